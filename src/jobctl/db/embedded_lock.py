"""A lock on a file, kept by the kernel for as long as the open file lives, in whichever processes that is."""

import fcntl
import os
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from jobctl.errors import ConfigurationError

PAUSE_S = 0.05


@contextmanager
def lock_file(path: Path, *, wait_s: float, directory: bool = False) -> Generator[int | None, None, None]:
    """The open file on which the lock is held, or None if another holds it for longer than `wait_s`.

    A directory can be locked as it is; a file is made if it is missing."""
    kind = os.O_RDONLY | os.O_DIRECTORY if directory else os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW
    fd = os.open(path, kind | os.O_CLOEXEC, 0o600)
    try:
        yield fd if _acquire(fd, path, time.monotonic() + wait_s) else None
    finally:
        os.close(fd)


def _acquire(fd: int, path: Path, deadline: float) -> bool:
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(PAUSE_S)
        except OSError as error:
            raise ConfigurationError(
                f"{path} cannot be locked: {error.strerror}", hint="set JOBCTL_DATA_DIR to a local file system"
            ) from error
        else:
            return True
