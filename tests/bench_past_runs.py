"""Runs as the history has them: ended ones that are written as rows, and one that really holds its lock."""

import uuid
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import psycopg
from psycopg.types.json import Jsonb

from jobctl.db.connection import Database
from jobctl.runtime import history
from jobctl.runtime.guard import Grant, Guard
from jobctl.runtime.identity import Identity

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
HOST = "vm1"

INSERT = """
INSERT INTO ops.job_history (run_id, scope, job, correlation_id, status, degraded, exit_code, host, os_user,
    supervisor_pid, version, command, slot_at, started_at, heartbeat_at, finished_at, duration_ms, counts, metrics,
    notes, error_class, error_message, error_hint, evidence, output)
VALUES (%(run_id)s, %(scope)s, %(job)s, %(correlation_id)s, %(status)s, %(degraded)s, %(exit_code)s, %(host)s, 'ops',
    100, %(version)s, %(command)s, %(slot_at)s, %(started_at)s, %(started_at)s, %(finished_at)s, %(duration_ms)s,
    %(counts)s, %(metrics)s, %(notes)s, %(error_class)s, %(error_message)s, %(error_hint)s, %(evidence)s, %(output)s)
"""


def add_run(
    conn: psycopg.Connection,
    job: str = "ingest-branch",
    scope: str = "north",
    *,
    status: str = "completed",
    started_at: datetime = NOON,
    duration_ms: int = 1_000,
    run_id: uuid.UUID | None = None,
    counts: Mapping[str, object] | None = None,
    metrics: Mapping[str, object] | None = None,
    evidence: Mapping[str, object] | None = None,
    error: tuple[str, str, str] | None = None,
    exit_code: int = 0,
    **others: object,
) -> uuid.UUID:
    """A row; one that says `running` has no lock."""
    run_id = run_id or uuid.uuid4()
    has_ended = status not in ("pending", "running")
    conn.execute(
        INSERT,
        {
            "run_id": run_id,
            "scope": scope,
            "job": job,
            "correlation_id": str(run_id),
            "status": status,
            "degraded": False,
            "exit_code": exit_code if has_ended else None,
            "host": HOST,
            "version": "0.1.0",
            "command": f"jobctl {job}",
            "slot_at": None,
            "started_at": started_at,
            "finished_at": started_at + timedelta(milliseconds=duration_ms) if has_ended else None,
            "duration_ms": duration_ms if has_ended else None,
            "counts": Jsonb(dict(counts or {})),
            "metrics": Jsonb(dict(metrics or {})),
            "notes": Jsonb([]),
            "error_class": error[0] if error else None,
            "error_message": error[1] if error else None,
            "error_hint": error[2] if error else None,
            "evidence": Jsonb(dict(evidence)) if evidence is not None else None,
            "output": None,
            **others,
        },
    )
    return run_id


@contextmanager
def running(
    database: Database, conn: psycopg.Connection, job: str, scope: str, *, host: str = HOST, lease_s: int = 60
) -> Generator[uuid.UUID, None, None]:
    """A run that holds its lock, as its row says."""
    run_id = uuid.uuid4()
    guard = Guard(database, job, scope, lease_s=lease_s)
    grant = guard.acquire(conn, run_id=run_id, host=host, worker_pid=7)
    assert isinstance(grant, Grant)
    who = Identity(run_id, job, str(run_id), host, "ops", 1, "0.1.0", f"jobctl {job}")
    history.start(
        conn, who, scope, lock_key=grant.lock_key, fence=grant.fence, worker_pid=7,
        guard_backend_pid=grant.guard_backend_pid, lease_s=lease_s,
    )  # fmt: skip
    try:
        yield run_id
    finally:
        guard.release()


def age_heartbeat(conn: psycopg.Connection, run_id: uuid.UUID, seconds: int) -> None:
    conn.execute(
        "UPDATE ops.job_history SET heartbeat_at = clock_timestamp() - make_interval(secs => %s) WHERE run_id = %s",
        (seconds, run_id),
    )
