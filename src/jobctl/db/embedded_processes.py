"""Which living processes are this server's. A pid alone proves nothing: numbers are given out again.

A process is ours if it runs under our uid, its program is `postgres`, and it stands in our data directory (PostgreSQL
changes into it and all its processes stay there). What cannot be looked at is a stranger, and strangers are never
signalled. A zombie has neither program nor directory, so it is none of ours.
"""

import errno
import os
import signal
from contextlib import suppress
from pathlib import Path

PROC = Path("/proc")
PID_FILE_BYTES = 4096


def pid_in(pid_file: Path) -> int | None:
    """The number in the first line, or None if the file is missing, empty, half-written or garbage."""
    try:
        fd = os.open(pid_file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    with os.fdopen(fd, "rb") as file:
        try:
            line, newline, _ = file.read(PID_FILE_BYTES).partition(b"\n")
        except OSError:
            return None
    if not newline or not line.isdigit():
        return None
    return int(line) if 1 < int(line) < 2**31 else None


def is_ours(pid: int, pgdata: Path) -> bool:
    process = PROC / str(pid)
    try:
        if process.stat().st_uid != os.geteuid():
            return False
        here, there = (process / "cwd").stat(), pgdata.stat()
        program = (process / "exe").readlink().name.removesuffix(" (deleted)")
    except OSError:
        return False
    return (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino) and program == "postgres"


def all_of(pgdata: Path) -> list[int]:
    """Every living process of the server in this data directory, the postmaster's children too."""
    pids = [int(path.name) for path in PROC.iterdir() if path.name.isdigit()]
    return [pid for pid in pids if is_ours(pid, pgdata)]


def postmaster_of(pgdata: Path, pid_file: Path) -> int | None:
    """The server's first process. The pid file is a hint; where it lies, the processes are looked through: the
    postmaster was started with `-D`, its children have rewritten their command line."""
    hint = pid_in(pid_file)
    if hint is not None and is_ours(hint, pgdata):
        return hint
    ours = all_of(pgdata)
    for pid in ours:
        with suppress(OSError):
            words = (PROC / str(pid) / "cmdline").read_bytes().split(b"\0")
            parent = int((PROC / str(pid) / "stat").read_bytes().rpartition(b")")[2].split()[1])
            if b"-D" in words and parent not in ours:
                return pid
    return None


def says_ready(pid_file: Path) -> bool:
    """Whether the postmaster has noted that it is up (the eighth line of its pid file)."""
    try:
        lines = pid_file.read_bytes()[:PID_FILE_BYTES].splitlines()
    except OSError:
        return False
    return len(lines) >= 8 and lines[7].strip() == b"ready"


def send(pid: int, pgdata: Path, number: signal.Signals) -> bool:
    """Signal a process if it is ours, held by a pidfd so that it cannot become another one in between."""
    with suppress(ProcessLookupError, PermissionError):
        try:
            fd = os.pidfd_open(pid)
        except OSError as error:
            if error.errno != errno.ENOSYS:
                raise
            return is_ours(pid, pgdata) and _kill(pid, number)  # a sandbox without pidfd
        try:
            if is_ours(pid, pgdata):
                signal.pidfd_send_signal(fd, number)
                return True
        finally:
            os.close(fd)
    return False


def _kill(pid: int, number: signal.Signals) -> bool:
    os.kill(pid, number)
    return True
