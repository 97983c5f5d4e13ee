"""What a job is given: who it is, where it may write, and when it must stop."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

import psycopg

from jobctl import clock
from jobctl.db.connection import Database
from jobctl.errors import EXIT_DEGRADED
from jobctl.runtime import checkpoints, guard
from jobctl.runtime.checkpoints import Checkpoint
from jobctl.runtime.guard import Grant
from jobctl.runtime.history import Identity
from jobctl.runtime.outcome import COMPLETED, ErrorReport, ScopeReport
from jobctl.runtime.stop import Stop

EventSink = Callable[[str, str, dict[str, object]], None]
AlertSink = Callable[[psycopg.Connection, ScopeReport, timedelta], None]


class Run(NamedTuple):
    """One scope of one run. `grant` is None in a dry run, which takes no lock and rolls back whatever it does."""

    identity: Identity
    scope: str
    database: Database
    stop: Stop
    grant: Grant | None
    dry_run: bool
    now: datetime
    record_event: EventSink
    progress: Callable[[int, int | None], None] = lambda done, total: None
    keep_alert: AlertSink = lambda conn, report, cool_down: None

    @property
    def run_id(self) -> UUID:
        return self.identity.run_id

    def connect(self, purpose: str) -> psycopg.Connection:
        """A connection whose statement ends when the run must stop at once."""
        return self.stop.watch(self.database.connect(purpose=purpose))

    @contextmanager
    def effect(self, conn: psycopg.Connection, *, wait_for_disk: bool = True) -> Generator[None, None, None]:
        """A transaction that writes: it begins by checking the fence, and a dry run rolls it back.

        Without `wait_for_disk` a crash of the server may undo the last commits, in order and each whole: for work whose
        checkpoint commits with it, so that it is merely done again. The run's final row waits, and with it all."""
        with self.database.transaction(conn):
            if not wait_for_disk:
                conn.execute("SET LOCAL synchronous_commit TO off")
            if self.grant is not None:
                guard.check_fence(conn, self.grant)
            yield
            if self.dry_run:
                raise psycopg.Rollback

    def event(self, event: str, /, *, level: str = "info", **fields: object) -> None:
        """Log a line and, outside a dry run, keep it as a row of ops.sync_events."""
        self.record_event(level, event, fields)

    def alert(
        self,
        conn: psycopg.Connection,
        cause: str,
        message: str,
        *,
        about: str = "",
        hint: str = "",
        cool_down: timedelta = timedelta(hours=1),
    ) -> None:
        """Inside a transaction: tell people of what the job has found (not of how it went, which is told with its end),
        once in `cool_down` for each cause and what it is about."""
        found = ScopeReport(about, COMPLETED, self.now, clock.utc_now(), 0, degraded=True)
        found = found._replace(error=ErrorReport(cause, message, hint, EXIT_DEGRADED))
        self.keep_alert(conn, found, cool_down)

    def checkpoint(self, conn: psycopg.Connection) -> Checkpoint | None:
        return checkpoints.get(conn, self.identity.job, self.scope)

    def save_checkpoint(self, conn: psycopg.Connection, checkpoint: Checkpoint, *, after: Checkpoint | None) -> None:
        """Inside the transaction of the work that the checkpoint speaks of; `after` is the one it goes on from."""
        fence = self.grant.fence if self.grant is not None else 0
        checkpoints.save(conn, self.identity.job, self.scope, checkpoint, after=after, fence=fence)
