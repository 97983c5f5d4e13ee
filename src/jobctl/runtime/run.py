"""What a job is given: who it is, where it may write, and when it must stop."""

from collections.abc import Callable, Collection, Generator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple
from uuid import UUID

import psycopg

from jobctl.db.connection import Database
from jobctl.runtime import checkpoints, guard
from jobctl.runtime.checkpoints import Checkpoint
from jobctl.runtime.guard import Grant
from jobctl.runtime.identity import Identity
from jobctl.runtime.stop import Stop

if TYPE_CHECKING:
    from jobctl.alerts.verdict import Verdict

EventSink = Callable[[str, str, dict[str, object]], None]
VerdictSink = Callable[[psycopg.Connection, "Sequence[Verdict]", Collection[str]], None]


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
    keep_verdicts: VerdictSink = lambda conn, verdicts, looked_at: None

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

    def tell(self, conn: psycopg.Connection, verdicts: "Sequence[Verdict]", *, looked_at: Collection[str] = ()) -> None:
        """Inside a transaction: hand over what the job has judged (not of how it went, which is judged at its end).
        `looked_at`: conditions of which it is all there is, so that what it does not name is over."""
        if not self.dry_run:
            self.keep_verdicts(conn, verdicts, looked_at)

    def checkpoint(self, conn: psycopg.Connection) -> Checkpoint | None:
        return checkpoints.get(conn, self.identity.job, self.scope)

    def save_checkpoint(self, conn: psycopg.Connection, checkpoint: Checkpoint, *, after: Checkpoint | None) -> None:
        """Inside the transaction of the work that the checkpoint speaks of; `after` is the one it goes on from."""
        fence = self.grant.fence if self.grant is not None else 0
        checkpoints.save(conn, self.identity.job, self.scope, checkpoint, after=after, fence=fence)
