"""All processes that came of one, also those that tried to get away.

A child may start a session of its own, fork twice, ignore SIGTERM. As a subreaper (prctl(2)) this process becomes the
parent of every descendant whose own parent has ended, so the tree below it in /proc is complete, and it is ended by
looking again until nothing is left. Linux only; elsewhere the process group is all that is known.
"""

import os
import signal
import time
from collections.abc import Container
from contextlib import suppress
from pathlib import Path

PROC = Path("/proc")
PR_SET_CHILD_SUBREAPER = 36
LOOK_EACH_S = 0.02


def adopt_orphans(yes: bool = True) -> None:
    """Be the parent of descendants whose own parent ends, or no longer."""
    import ctypes

    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, int(yes), 0, 0, 0)


def descendants(of: int) -> set[int]:
    """Pids below this process, zombies left out."""
    children: dict[int, list[int]] = {}
    for entry in PROC.iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_bytes().rpartition(b")")[2].split()
        except OSError:
            continue  # it has ended
        if fields[0] not in (b"Z", b"X"):
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    found: set[int] = set()
    waiting = [of]
    while waiting:
        for child in children.get(waiting.pop(), ()):
            if child not in found:
                found.add(child)
                waiting.append(child)
    return found


def end_descendants(*, first: int, wait_s: float, spare: Container[int] = ()) -> int:
    """Send `first` to each process below this one, wait, then SIGKILL until none is left; gives how many there were."""
    ours = os.getpid()
    there = {pid for pid in descendants(ours) if pid not in spare}
    ended = len(there)
    _send(there, first)
    until = time.monotonic() + wait_s
    while there and time.monotonic() < until:
        time.sleep(LOOK_EACH_S)
        there = {pid for pid in descendants(ours) if pid not in spare}
    while there:
        _send(there, signal.SIGCONT)
        _send(there, signal.SIGKILL)
        time.sleep(LOOK_EACH_S)
        there = {pid for pid in descendants(ours) if pid not in spare}
    return ended


def _send(pids: set[int], number: int) -> None:
    for pid in pids:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)
