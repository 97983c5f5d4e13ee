"""A file of settings: its text, and whether it may be trusted.

**Who may have written it**: a file belongs to root or to the user who runs jobctl, and the world cannot write to it. A
file that sets a secret is readable by its owner alone. The mode is taken from the opened file, not from its name.
"""

import os
import stat
from pathlib import Path

from jobctl.settings_reading.fault import Fault

LARGEST_FILE = 1 << 20


class Unusable(Exception):
    """A file that cannot be read, and the way to mend it."""

    def __init__(self, message: str, mend: str) -> None:
        super().__init__(message)
        self.message = message
        self.mend = mend


def read(path: Path) -> tuple[str, os.stat_result]:
    """Its text, and what it was when it was opened. Raises Unusable."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        raise Unusable(f"{path} does not exist", "create it or name another") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a path"
        raise Unusable(f"{path} cannot be read: {reason}", "make it readable for the user who runs jobctl") from None
    try:
        status = os.fstat(descriptor)
        if not (stat.S_ISREG(status.st_mode) or os.path.samestat(status, Path(os.devnull).stat())):
            raise Unusable(f"{path} is not a file", "name a regular file")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            data = file.read(LARGEST_FILE + 1)
    except OSError as error:
        raise Unusable(f"{path} cannot be read: {error.strerror}", "look at the file and its disk") from None
    finally:
        os.close(descriptor)
    if len(data) > LARGEST_FILE:
        raise Unusable(f"{path} is larger than 1 MiB", "name a file of settings")
    try:
        return data.decode("utf-8-sig"), status
    except UnicodeDecodeError:
        raise Unusable(f"{path} is not UTF-8 text", "save it as UTF-8") from None


def permission_faults(path: Path, status: os.stat_result, origin: str, *, secret: bool) -> list[Fault]:
    """`secret`: it holds one."""
    if not stat.S_ISREG(status.st_mode):
        return []
    faults: list[Fault] = []
    mode = stat.S_IMODE(status.st_mode)
    user = os.geteuid()
    if status.st_uid not in (0, user):
        message = f"{path} belongs to another user (uid {status.st_uid})"
        faults.append(Fault(str(path), origin, message, f"chown {user} {_quoted(path)}"))
    if secret and mode & (stat.S_IRWXG | stat.S_IRWXO):
        message = f"{path} holds a secret and is open to others (mode {mode:04o})"
        faults.append(Fault(str(path), origin, message, f"chmod 600 {_quoted(path)}"))
    elif mode & stat.S_IWOTH:
        faults.append(
            Fault(str(path), origin, f"{path} is writable by all (mode {mode:04o})", f"chmod o-w {_quoted(path)}")
        )
    return faults


def _quoted(path: Path) -> str:
    import shlex

    return shlex.quote(str(path))
