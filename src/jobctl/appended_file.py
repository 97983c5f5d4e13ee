"""A file that several processes append to and that logrotate may move away at any time.

It is opened for appending and each `write` is one write(2), so that writers share it without tearing lines. Before each
one the path is compared with what is open: when the file was moved away a new one is made, which is why the shipped
logrotate snippet says `nocreate`; nothing is lost, because until then all goes into the file that was moved. The same
comparison notices a descriptor that was closed and now belongs to another file or socket.
"""

import os
import stat
import time
from contextlib import suppress
from pathlib import Path


class AppendedFile:
    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor = -1
        self._identity: tuple[int, int] | None = None

    def write(self, data: bytes) -> int:
        """How many bytes were written, as write(2) tells. Raises OSError."""
        if not self.is_current():
            self._reopen()
        return os.write(self._descriptor, data)

    def is_current(self) -> bool:
        """Whether what is open is what stands at the path."""
        if self._identity is None:
            return False
        try:
            there, opened = self.path.stat(), os.fstat(self._descriptor)
        except OSError:
            return False
        return (there.st_dev, there.st_ino) == self._identity == (opened.st_dev, opened.st_ino)

    def close(self) -> None:
        """Close the file, unless its number has meanwhile become somebody else's."""
        identity, self._identity = self._identity, None
        with suppress(OSError):
            if identity is not None:
                status = os.fstat(self._descriptor)
                if (status.st_dev, status.st_ino) == identity:
                    os.close(self._descriptor)

    def _reopen(self) -> None:
        self.close()
        descriptor = _open(self.path)
        status = os.fstat(descriptor)
        self._descriptor, self._identity = descriptor, (status.st_dev, status.st_ino)


def make_private_directory(path: Path) -> None:
    """The directory and those above it that are missing, each 0700 whatever the umask. Those there keep their mode."""
    if path.is_dir():
        return
    make_private_directory(path.parent)
    try:
        path.mkdir(0o700)
    except FileExistsError:
        return
    path.chmod(stat.S_IRWXU)


def _open(path: Path) -> int:
    """Open, and make what is missing: directories 0700, the file 0600, whatever the umask. Never waits for a reader."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
    for attempt in range(5):
        try:
            descriptor = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o600)
            os.fchmod(descriptor, 0o600)
            return descriptor
        except FileNotFoundError:
            make_private_directory(path.parent)
        except FileExistsError:
            try:
                return os.open(path, flags)
            except FileNotFoundError:  # rotated away between the two calls
                time.sleep(0.001 * attempt)
    return os.open(path, flags | os.O_CREAT, 0o600)
