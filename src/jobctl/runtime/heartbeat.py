"""The thread that says a run is alive, and finds out when it no longer may be.

It beats on a connection of its own, so that a long statement of the job delays nothing, and stops the run when the lock
or the fence is another's, or when the database was out of reach for as long as the lease. A lock whose session was cut
off it takes again for the jobs that may. With each beat comes whether somebody, on whatever host, wants the run to end.
"""

import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from typing import Self

import psycopg

from jobctl import log
from jobctl.db.connection import Database
from jobctl.errors import DatabaseUnavailable, JobctlError, LockLost
from jobctl.runtime import cancellations, guard, history
from jobctl.runtime.cancelling import Cancelling
from jobctl.runtime.guard import Grant, Holder, Standing
from jobctl.runtime.identity import Identity
from jobctl.runtime.outcome import INTERRUPTED, ScopeReport
from jobctl.runtime.stop import Stop, shut

LOG = log.get_logger()
Regain = Callable[[psycopg.Connection], Grant | Holder]


class Heartbeat:
    def __init__(
        self,
        database: Database,
        identity: Identity,
        scope: str,
        grant: Grant,
        stop: Stop,
        *,
        every_s: float,
        lease_s: float,
        soft_limit_s: float,
        on_soft_limit: Callable[[], None],
        outlives_database: bool = False,
        regain: Regain | None = None,
    ) -> None:
        self._database = database
        self._identity = identity
        self._scope = scope
        self._grant = grant
        self._stop = stop
        self._every_s = every_s
        self._lease_s = lease_s
        self._soft_limit_at = time.monotonic() + soft_limit_s
        self._on_soft_limit: Callable[[], None] | None = on_soft_limit
        self._outlives_database = outlives_database
        self._regain = regain
        self._cancelling = Cancelling(stop, identity.supervisor_pid)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat_until_ended, name="heartbeat", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(timeout=5)

    def told_on(self, ending: ScopeReport) -> ScopeReport:
        """The report, with who cancelled the run where that is what ended it."""
        request = self._cancelling.request
        if request is None or ending.status != INTERRUPTED:
            return ending
        return ending._replace(evidence={**(ending.evidence or {}), **request.as_evidence()})

    def _beat_until_ended(self) -> None:
        conn: psycopg.Connection | None = None
        last_good = time.monotonic()
        while not self._ended.wait(self._every_s):
            try:
                if conn is None or conn.closed:
                    conn = self._database.connect(purpose="beat")
                with _time_limit(conn, self._lease_s / 3):
                    lost = self._what_was_lost(conn)
                if isinstance(lost, DatabaseUnavailable) and self._outlives_database:
                    lost = None  # it went on without a lock, as it was told to
                if lost is not None:
                    self._stop.request(lost, now=True)
                    break
                last_good = time.monotonic()
            except (psycopg.Error, JobctlError) as error:
                if conn is not None:
                    conn.close()
                    conn = None
                if time.monotonic() - last_good > self._lease_s and not self._outlives_database:
                    self._stop.request(
                        DatabaseUnavailable(
                            f"the database was out of reach for {self._lease_s:.0f} s: {error}",
                            hint="the next run continues from the checkpoint",
                        ),
                        now=True,
                    )
                    self._stop.sever()
                    break
            if self._on_soft_limit is not None and time.monotonic() > self._soft_limit_at:
                self._on_soft_limit()
                self._on_soft_limit = None
        if conn is not None:
            with suppress(psycopg.Error):
                conn.close()

    def _what_was_lost(self, conn: psycopg.Connection) -> JobctlError | None:
        hint = "the next run continues from the checkpoint"
        run_id, asked = self._identity.run_id, None
        with self._database.transaction(conn):
            now = guard.standing(conn, self._grant)
            if now is Standing.UNLOCKED and self._regain is None:
                return DatabaseUnavailable("the session that held this run's lock was cut off", hint=hint)
            if now is not Standing.UNLOCKED:
                beat = history.beat(conn, run_id, self._scope) if now is Standing.GUARDED else None
                if beat is None:
                    return LockLost("another run took over this run's lock", hint=hint)
                asked = beat.cancellation
                if asked is not None and asked.heard_at is None:
                    cancellations.mark_heard(conn, run_id)
        if now is not Standing.UNLOCKED:
            if asked is not None:
                self._cancelling.heed(asked)
            return None
        assert self._regain is not None
        granted = self._regain(conn)
        if not isinstance(granted, Grant):
            return LockLost(f"this run's lock was cut off, and is held by {granted} now", hint=hint)
        self._grant = granted
        if not history.regained(conn, self._identity.run_id, self._scope, **granted._asdict()):
            return LockLost("another run declared this one dead", hint="see the row in ops.job_history")
        LOG.warning("lock_regained", fence=granted.fence)
        return None


@contextmanager
def _time_limit(conn: psycopg.Connection, seconds: float) -> Generator[None, None, None]:
    """A limit of our own: a peer whose kernel still acknowledges, but which is frozen, ends no wait by itself."""
    timer = threading.Timer(seconds, shut, args=(conn,))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
