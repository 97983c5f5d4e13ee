"""How far a run is: its steps, each by itself, and what they have done so far.

The counts commit with the work, as the run's checkpoint, so that a run that was stopped or killed tells what it did. A
step that fails is noted, and the next one is done.

A dry run does the steps that change each other's tasks in one transaction, which is rolled back at the end: each step
meets what those before it have done, so that its counts are those of the run that follows. It holds the rows that it
would change for that long, some seconds at the most.
"""

from collections import Counter
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from typing import NamedTuple

import psycopg

from jobctl.db.sqlstate import explain
from jobctl.errors import JobctlError, LockLost
from jobctl.runtime.checkpoints import Checkpoint
from jobctl.runtime.run import Run

FORMAT = 1


class Failure(NamedTuple):
    step: str
    error: JobctlError


class Progress:
    def __init__(self, run: Run, counts: Iterable[str]) -> None:
        self.run = run
        self.counts: Counter[str] = Counter(dict.fromkeys(counts, 0))
        self.notes: list[str] = []
        self.failures: list[Failure] = []
        self.steps = 0
        self.is_incomplete = False  # something was not done that should have been
        self._shared: psycopg.Connection | None = None
        self._last: Checkpoint | None = None

    @contextmanager
    def together(self) -> Generator[None, None, None]:
        """Steps that see each other's work: one transaction in a dry run."""
        if not self.run.dry_run:
            yield
            return
        with self.run.connect("queue") as conn, self.run.database.transaction(conn):
            self._shared = conn
            try:
                yield
            finally:
                self._shared = None
            raise psycopg.Rollback

    def step(self, name: str, work: Callable[[psycopg.Connection], None]) -> None:
        """A step that fails is noted. Raises what ends the whole run."""

        def connected() -> None:
            with self._session() as conn:
                work(conn)

        self.step_alone(name, connected)

    def step_alone(self, name: str, work: Callable[[], None]) -> None:
        """The same without a connection."""
        self.run.stop.check()
        self.steps += 1
        try:
            work()
        except Exception as error:
            self.run.stop.check()
            if isinstance(error, LockLost):
                raise
            self._fail(name, error)

    @contextmanager
    def batch(self, conn: psycopg.Connection, *, wait_for_disk: bool = True) -> Generator[Counter[str], None, None]:
        """A transaction of the work, and the counts that commit with it."""
        made: Counter[str] = Counter()
        checkpoint: Checkpoint | None = None
        if self._shared is not None:
            with conn.transaction():
                yield made
        else:
            with self.run.effect(conn, wait_for_disk=wait_for_disk):
                yield made
                if not self.run.dry_run:
                    checkpoint = self._save(conn, made)
        self._last = checkpoint or self._last
        self.counts.update(made)

    @contextmanager
    def _session(self) -> Generator[psycopg.Connection, None, None]:
        if self._shared is not None:
            with self._shared.transaction():
                yield self._shared
        else:
            with self.run.connect("queue") as conn:
                yield conn

    def _save(self, conn: psycopg.Connection, made: Counter[str]) -> Checkpoint:
        last = self._last or self.run.checkpoint(conn)
        batch_no = last.batch_no + 1 if last is not None and last.run_id == self.run.run_id else 1
        counts = Counter(self.counts)
        counts.update(made)
        checkpoint = Checkpoint(FORMAT, {}, self.run.run_id, batch_no, counts)
        self.run.save_checkpoint(conn, checkpoint, after=last)
        return checkpoint

    def _fail(self, name: str, error: Exception) -> None:
        known = explain(error) if isinstance(error, psycopg.Error) else error
        if not isinstance(known, JobctlError):
            known = JobctlError(f"{type(error).__name__}: {error}")
        self._last = None  # it may be the answer to a COMMIT that was lost: what is there is read anew
        self.failures.append(Failure(name, known))
        self.is_incomplete = True
        self.notes.append(f"{name} failed: {known.message}" + (f" ({known.hint})" if known.hint else ""))
        self.run.event("step_failed", level="error", step=name, error_class=type(error).__name__, reason=known.message)
