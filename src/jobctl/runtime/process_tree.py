"""Every process that came of a command, and their end: also of those that left its session, its group and its parent.

The kernel gives an orphan to its nearest ancestor that asked for orphans (a child subreaper, prctl(2)), so a process
that forks twice, takes a session of its own and closes its pipes still stands below its asker in /proc. Worker and
supervisor both ask: what the worker leaves behind when it is killed comes to the supervisor, which ends it. A process
that had itself started by somebody else (at(1), systemd-run, a container's daemon) is below neither and is not ours.

Nor is what the worker started before the command: the embedded PostgreSQL, which outlives every run. The command notes
its own start time in memory that supervisor and worker share, and an older process is not followed. Where there is no
/proc (not Linux) nothing is found, and only the command's process group is ended.
"""

import mmap
import os
import signal
import struct
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
PAUSE_S = 0.005

_began = mmap.mmap(-1, 8)  # shared with the processes forked from here on
_prctl: list[Callable[..., Any]] = []


class Process(NamedTuple):
    """`started` is in ticks since boot; with the pid it names one process for good."""

    pid: int
    parent: int
    started: int


def adopt_orphans(*, on: bool = True) -> bool:
    """Ask for the orphans among this process's descendants. False: this system has no such thing."""
    if not _prctl:
        import ctypes

        with suppress(OSError, AttributeError):
            _prctl.append(ctypes.CDLL(None, use_errno=True).prctl)
    return bool(_prctl) and _prctl[0](PR_SET_CHILD_SUBREAPER, int(on), 0, 0, 0) == 0


def begin_as_command(parent: int) -> None:
    """In the command's process, before its program: note when it began, and end with the worker however that ends.

    SIGKILL: when the worker is gone so is its lock, and the next run may begin at once."""
    if _prctl:
        _prctl[0](PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # it died before it was asked
            os._exit(1)
    me = _read(os.getpid())
    if me is not None and _mark() == 0:  # the first of several tries
        _began[:] = struct.pack("q", me.started)


def has_begun() -> bool:
    return _mark() != 0


def forget() -> None:
    """What the command left behind may go on."""
    _began[:] = struct.pack("q", 0)


def has_children() -> bool:
    """Whether this process has any child, also a dead one that nobody asked for."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def below(root: int) -> list[Process]:
    """The living processes that came of the command, found below `root`."""
    mark = _mark()
    if mark == 0:
        return []
    children: dict[int, list[Process]] = {}
    for name in _numbers():
        process = _read(name)
        if process is not None:
            children.setdefault(process.parent, []).append(process)
    found: list[Process] = []
    waiting = [root]
    while waiting:
        ours = [process for process in children.get(waiting.pop(), []) if process.started >= mark]
        found += ours
        waiting += [process.pid for process in ours]
    return found


def send(processes: Iterable[Process], number: int) -> None:
    """The signal to each of them that is still the same process and ours to signal."""
    for process in processes:
        with suppress(ProcessLookupError, PermissionError):
            _send(process, number)


def kill_all(*, within_s: float, reap: Callable[[], None]) -> Sequence[Process]:
    """SIGKILL to all that came of the command, until none is left; gives those that would not go (another user's).

    `reap` takes in the dead children of this process. Who forks faster than this looks is still caught, since each
    orphan comes to us: only a look that finds nothing, while nobody is our child, is believed at once."""
    until = time.monotonic() + within_s
    empty_looks = 0
    while True:
        found = below(os.getpid())
        send(found, signal.SIGKILL)
        reap()
        empty_looks = 0 if found else empty_looks + 1
        if not found and (empty_looks > 1 or not has_children()):
            return ()
        if found and time.monotonic() > until:
            return found
        time.sleep(PAUSE_S)


def reap_all() -> None:
    """Take in every dead child. For a process that waits for none of them by itself."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _send(process: Process, number: int) -> None:
    """By a descriptor of the process, so that its number cannot pass to another between the look and the signal."""
    try:
        descriptor = os.pidfd_open(process.pid)
    except ProcessLookupError:
        raise
    except OSError:  # an old kernel, or a sandbox that forbids it
        os.kill(process.pid, number)
        return
    try:
        now = _read(process.pid)
        if now is not None and now.started == process.started:
            signal.pidfd_send_signal(descriptor, number)
    finally:
        os.close(descriptor)


def _mark() -> int:
    return struct.unpack("q", _began[:])[0]


def _numbers() -> list[int]:
    try:
        return [int(name) for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208 - thousands of names
    except OSError:
        return []


def _read(pid: int) -> Process | None:
    """None: it is not there, or dead and not yet taken in."""
    try:
        descriptor = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        text = os.read(descriptor, 1_024)
    except OSError:
        return None
    finally:
        os.close(descriptor)
    fields = text.rpartition(b")")[2].split()  # the name before may hold spaces and brackets
    if len(fields) < 20 or fields[0] in (b"Z", b"X"):
        return None
    return Process(pid, int(fields[1]), int(fields[19]))
