"""A run as a job is given it, guarded but not supervised, in this process."""

import uuid
from collections.abc import Generator
from contextlib import contextmanager
from datetime import datetime

import psycopg

from jobctl import clock
from jobctl.db.connection import Database
from jobctl.runtime.guard import Grant, Guard
from jobctl.runtime.identity import Identity
from jobctl.runtime.run import EventSink, Run, VerdictSink
from jobctl.runtime.stop import Stop


def identity(job_name: str = "ingest-branch") -> Identity:
    run_id = uuid.uuid4()
    return Identity(run_id, job_name, str(run_id), "test-host", "tester", 1, "0", "jobctl")


def unheard(level: str, event: str, fields: dict[str, object]) -> None:
    """Events that nobody asks for."""


@contextmanager
def guarded(
    database: Database,
    conn: psycopg.Connection,
    job_name: str,
    scope: str = "",
    *,
    dry_run: bool = False,
    stop: Stop | None = None,
    now: datetime | None = None,
    on_event: EventSink = unheard,
    on_verdicts: VerdictSink = lambda conn, verdicts, looked_at: None,
) -> Generator[Run, None, None]:
    """Holds the lock by `conn` until it is left; a dry run takes none."""
    who = identity(job_name)
    guard = Guard(database, who.job, scope, lease_s=60)
    grant = None
    if not dry_run:
        taken = guard.acquire(conn, run_id=who.run_id, host=who.host, worker_pid=1)
        assert isinstance(taken, Grant)
        grant = taken
    try:
        yield Run(
            identity=who,
            scope=scope,
            database=database,
            stop=stop or Stop(),
            grant=grant,
            dry_run=dry_run,
            now=now or clock.utc_now(),
            record_event=on_event,
            keep_verdicts=on_verdicts,
        )
    finally:
        guard.release()
