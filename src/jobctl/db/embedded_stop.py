"""Stop the embedded server, and wait until the last of its processes is gone.

Unforced, it lets nobody in any more and waits for the sessions there are; it never cuts one. Forced, it cuts them, and
where that is not enough goes further in steps, only to processes that are proven to be this server's.
"""

import signal
import time
from functools import partial

from jobctl.db import embedded_processes as processes
from jobctl.db.embedded_layout import Layout
from jobctl.db.embedded_lock import PAUSE_S, lock_file
from jobctl.db.embedded_owner import as_owner, owner_of
from jobctl.errors import DatabaseUnavailable

FORCED_STEP_S = 10.0


def stop(layout: Layout, *, wait_s: float, force: bool) -> bool:
    """Stop the server; True if one ran."""
    owner = owner_of(layout, "")
    return bool(as_owner(owner, partial(_stop, layout, time.monotonic() + wait_s, wait_s, force)))


def _stop(layout: Layout, deadline: float, wait_s: float, force: bool) -> bool:
    with lock_file(layout.start_lock, wait_s=wait_s) as ours:
        if ours is None:
            raise DatabaseUnavailable("another process is starting or stopping the embedded PostgreSQL")
        if not _somebody_lives(layout):
            return False
        _signal_postmaster(layout, signal.SIGINT if force else signal.SIGTERM)
        if _wait_until_gone(layout, deadline):
            return True
        if force:
            for number in (signal.SIGQUIT, signal.SIGKILL):
                for pid in processes.all_of(layout.pgdata):
                    processes.send(pid, layout.pgdata, number)
                    processes.send(pid, layout.pgdata, signal.SIGCONT)
                if _wait_until_gone(layout, time.monotonic() + FORCED_STEP_S):
                    return True
        raise DatabaseUnavailable(
            f"the embedded PostgreSQL did not stop within {wait_s:g} s"
            + ("" if force else ": sessions are still open"),
            hint=f"see {layout.log}" if force else "nobody new is let in; to cut who is left: jobctl db stop --force",
        )


def _somebody_lives(layout: Layout) -> bool:
    with lock_file(layout.server_lock, wait_s=0) as free:
        return free is None or processes.postmaster_of(layout.pgdata, layout.pid_file) is not None


def _signal_postmaster(layout: Layout, number: signal.Signals) -> None:
    pid = processes.postmaster_of(layout.pgdata, layout.pid_file)
    if pid is not None:
        processes.send(pid, layout.pgdata, number)


def _wait_until_gone(layout: Layout, deadline: float) -> bool:
    while _somebody_lives(layout):
        if time.monotonic() >= deadline:
            return False
        time.sleep(PAUSE_S)
    return True
