"""Store of ops.job_history: what runs, for how long, and how it ended. Questions to it stand elsewhere."""

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import psycopg
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from jobctl.runtime import cancellations
from jobctl.runtime.cancellations import Cancellation
from jobctl.runtime.identity import Identity
from jobctl.runtime.outcome import ScopeReport


class Abandoned(NamedTuple):
    """A run that was found dead: its row said running, its lock was gone."""

    run_id: UUID
    scope: str
    job: str
    host: str
    worker_pid: int | None
    heartbeat_at: datetime


INSERT_ROW = """
INSERT INTO ops.job_history (run_id, scope, job, correlation_id, status, lock_key, fence, host, os_user, supervisor_pid,
    worker_pid, guard_backend_pid, version, command, slot_at, lease_s)
VALUES (%(run_id)s, %(scope)s, %(job)s, %(correlation_id)s, 'running', %(lock_key)s, %(fence)s, %(host)s, %(os_user)s,
    %(supervisor_pid)s, %(worker_pid)s, %(guard_backend_pid)s, %(version)s, %(command)s, %(slot_at)s, %(lease_s)s)
RETURNING started_at
"""


def start(
    conn: psycopg.Connection,
    identity: Identity,
    scope: str,
    *,
    lock_key: int,
    fence: int,
    worker_pid: int,
    guard_backend_pid: int,
    lease_s: int,
) -> datetime:
    """Write the row `running`; gives the database's time, by which this run's age is told."""
    row = conn.execute(
        INSERT_ROW,
        {
            **_identity(identity),
            "scope": scope,
            "lock_key": lock_key,
            "fence": fence,
            "worker_pid": worker_pid,
            "guard_backend_pid": guard_backend_pid,
            "lease_s": lease_s,
        },
    ).fetchone()
    assert row is not None
    return row[0]


INSERT_FINISHED = """
INSERT INTO ops.job_history (run_id, scope, job, correlation_id, status, exit_code, host, os_user, supervisor_pid,
    worker_pid, version, command, slot_at, started_at, finished_at, duration_ms, counts, metrics, notes, error_class,
    error_message, error_hint, evidence)
VALUES (%(run_id)s, %(scope)s, %(job)s, %(correlation_id)s, %(status)s, %(exit_code)s, %(host)s, %(os_user)s,
    %(supervisor_pid)s, %(worker_pid)s, %(version)s, %(command)s, %(slot_at)s, %(started_at)s, %(finished_at)s,
    %(duration_ms)s, %(counts)s, %(metrics)s, %(notes)s, %(error_class)s, %(error_message)s, %(error_hint)s,
    %(evidence)s)
ON CONFLICT (run_id, scope) DO NOTHING
"""

# The word of a run that the database did not hear at the time; it outranks what others had to guess meanwhile.
REPLAY = """
INSERT INTO ops.job_history (run_id, scope, job, correlation_id, status, degraded, exit_code, host, os_user,
    supervisor_pid, version, command, slot_at, started_at, heartbeat_at, finished_at, duration_ms, counts, metrics,
    notes, error_class, error_message, error_hint, evidence, output, peak_memory_bytes, replayed_at)
VALUES (%(run_id)s, %(scope)s, %(job)s, %(correlation_id)s, %(status)s, %(degraded)s, %(exit_code)s, %(host)s,
    %(os_user)s, %(supervisor_pid)s, %(version)s, %(command)s, %(slot_at)s, %(started_at)s, %(finished_at)s,
    %(finished_at)s, %(duration_ms)s, %(counts)s, %(metrics)s, %(notes)s, %(error_class)s, %(error_message)s,
    %(error_hint)s, %(evidence)s, %(output)s, %(peak_memory_bytes)s, clock_timestamp())
ON CONFLICT (run_id, scope) DO UPDATE
SET status = excluded.status, degraded = excluded.degraded, exit_code = excluded.exit_code,
    finished_at = excluded.finished_at, duration_ms = excluded.duration_ms, counts = excluded.counts,
    metrics = excluded.metrics, notes = excluded.notes, error_class = excluded.error_class,
    error_message = excluded.error_message, error_hint = excluded.error_hint, evidence = excluded.evidence,
    output = excluded.output, peak_memory_bytes = excluded.peak_memory_bytes, replayed_at = excluded.replayed_at
WHERE job_history.status IN ('running', 'abandoned') AND job_history.replayed_at IS NULL
"""


def replay(conn: psycopg.Connection, identity: Identity, report: ScopeReport) -> bool:
    """Write the row that could not be written at its time. False: it is there already."""
    parameters = {**_identity(identity), **_ending(report), "started_at": report.started_at}
    return conn.execute(REPLAY, parameters).rowcount == 1


def record(conn: psycopg.Connection, identity: Identity, report: ScopeReport, *, worker_pid: int) -> None:
    """Write the row of a scope that ended before it began: skipped, or failed before its lock."""
    conn.execute(
        INSERT_FINISHED,
        {**_identity(identity), **_ending(report), "started_at": report.started_at, "worker_pid": worker_pid},
    )


# Zero rows: somebody declared this run dead before it could speak; its own word comes too late.
FINISH_ROW = """
UPDATE ops.job_history
SET status = %(status)s, degraded = %(degraded)s, exit_code = %(exit_code)s, finished_at = clock_timestamp(),
    duration_ms = %(duration_ms)s, counts = %(counts)s, metrics = %(metrics)s, notes = %(notes)s,
    peak_memory_bytes = %(peak_memory_bytes)s, output = %(output)s,
    error_class = %(error_class)s, error_message = %(error_message)s, error_hint = %(error_hint)s,
    evidence = %(evidence)s, dropped_log_lines = %(dropped_log_lines)s
WHERE run_id = %(run_id)s AND scope = %(scope)s AND status = 'running'
"""


def finish(conn: psycopg.Connection, run_id: UUID, report: ScopeReport, *, dropped_log_lines: int) -> bool:
    cursor = conn.execute(FINISH_ROW, {"run_id": run_id, **_ending(report), "dropped_log_lines": dropped_log_lines})
    return cursor.rowcount == 1


# The supervisor's last word for a worker that died without one.
FINISH_SILENT = """
UPDATE ops.job_history AS h
SET status = %(status)s, exit_code = %(exit_code)s, finished_at = clock_timestamp(),
    duration_ms = greatest(0, extract(epoch FROM clock_timestamp() - h.started_at) * 1000)::bigint,
    counts = coalesce((SELECT c.counts FROM ops.checkpoints AS c
        WHERE c.job = h.job AND c.scope = h.scope AND c.run_id = h.run_id), h.counts),
    peak_memory_bytes = %(peak_memory_bytes)s,
    error_class = %(error_class)s, error_message = %(error_message)s, error_hint = %(error_hint)s,
    evidence = %(evidence)s
WHERE h.run_id = %(run_id)s AND h.status = 'running'
RETURNING h.scope, h.counts
"""


def finish_silent(
    conn: psycopg.Connection,
    run_id: UUID,
    *,
    status: str,
    exit_code: int,
    error_class: str,
    message: str,
    hint: str,
    evidence: Mapping[str, object],
    peak_memory_bytes: int,
) -> list[tuple[str, Mapping[str, int]]]:
    """The scopes whose rows were still `running` and now tell how the worker ended, each with what it had committed."""
    rows = conn.execute(
        FINISH_SILENT,
        {
            "run_id": run_id,
            "status": status,
            "exit_code": exit_code,
            "error_class": error_class,
            "error_message": message,
            "error_hint": hint,
            "evidence": Jsonb(evidence),
            "peak_memory_bytes": peak_memory_bytes,
        },
    ).fetchall()
    return [(row[0], row[1]) for row in rows]


# A run is alive while the session that took its lock still holds it; nothing else is asked, no age is guessed.
# The two halves of the key are how pg_locks shows a 64-bit advisory lock.
ABANDON = """
UPDATE ops.job_history AS h
SET status = 'abandoned', finished_at = clock_timestamp(), exit_code = 1,
    duration_ms = greatest(0, extract(epoch FROM h.heartbeat_at - h.started_at) * 1000)::bigint,
    error_class = 'Abandoned',
    error_message = 'the run ended without a word; its lock was found free',
    evidence = pg_catalog.jsonb_build_object('found_by_run', %(run_id)s::text, 'last_heartbeat_at', h.heartbeat_at,
        'worker_pid', h.worker_pid, 'host', h.host, 'guard_backend_pid', h.guard_backend_pid)
WHERE h.status = 'running' AND h.run_id <> %(run_id)s
  -- A server that restarted gives out its process numbers anew, perhaps to this run's own guard: an older fence of the
  -- lock this run has is dead whatever pg_locks shows.
  AND (h.lock_key = %(lock_key)s AND h.fence < %(fence)s OR NOT EXISTS (
    SELECT FROM pg_catalog.pg_locks AS l
    WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 AND l.pid = h.guard_backend_pid
      AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
      AND (l.classid::bigint << 32) | l.objid::bigint = h.lock_key))
RETURNING h.run_id, h.scope, h.job, h.host, h.worker_pid, h.heartbeat_at
"""


def abandon_dead(conn: psycopg.Connection, run_id: UUID, *, lock_key: int, fence: int) -> list[Abandoned]:
    with conn.cursor(row_factory=class_row(Abandoned)) as cursor:
        return cursor.execute(ABANDON, {"run_id": run_id, "lock_key": lock_key, "fence": fence}).fetchall()


STATUS = "SELECT status FROM ops.job_history WHERE run_id = %(run_id)s AND scope = %(scope)s"


def status_of(conn: psycopg.Connection, run_id: UUID, scope: str) -> str | None:
    row = conn.execute(STATUS, {"run_id": run_id, "scope": scope}).fetchone()
    return row[0] if row else None


class Beat(NamedTuple):
    """A beat that found its row still running. `cancellation`: somebody wants the run to end."""

    cancellation: Cancellation | None


# What others want of the run comes back with the beat, so that it costs no query of its own.
BEAT = """
UPDATE ops.job_history AS h SET heartbeat_at = clock_timestamp()
WHERE h.run_id = %(run_id)s AND h.scope = %(scope)s AND h.status = 'running'
RETURNING (SELECT pg_catalog.to_jsonb(c) FROM ops.cancellations AS c WHERE c.run_id = h.run_id)
"""


def beat(conn: psycopg.Connection, run_id: UUID, scope: str) -> Beat | None:
    """None: the row no longer says that the run runs."""
    row = conn.execute(BEAT, {"run_id": run_id, "scope": scope}).fetchone()
    if row is None:
        return None
    return Beat(cancellations.of_row(row[0]) if row[0] is not None else None)


# Others may have found it without its lock meanwhile, and had to take it for dead.
REGAIN = """
UPDATE ops.job_history
SET status = 'running', lock_key = %(lock_key)s, fence = %(fence)s, guard_backend_pid = %(guard_backend_pid)s,
    heartbeat_at = clock_timestamp(), finished_at = NULL, duration_ms = NULL, exit_code = NULL, error_class = NULL,
    error_message = NULL, error_hint = NULL, evidence = NULL
WHERE run_id = %(run_id)s AND scope = %(scope)s AND status IN ('running', 'abandoned') AND replayed_at IS NULL
"""


def regained(
    conn: psycopg.Connection, run_id: UUID, scope: str, *, lock_key: int, fence: int, guard_backend_pid: int
) -> bool:
    """The run goes on with the lock it has taken again. False: its row is gone, or has its end."""
    parameters = {
        "run_id": run_id,
        "scope": scope,
        "lock_key": lock_key,
        "fence": fence,
        "guard_backend_pid": guard_backend_pid,
    }
    return conn.execute(REGAIN, parameters).rowcount == 1


def _identity(identity: Identity) -> dict[str, object]:
    return {
        "run_id": identity.run_id,
        "job": identity.job,
        "correlation_id": identity.correlation_id,
        "host": identity.host,
        "os_user": identity.os_user,
        "supervisor_pid": identity.supervisor_pid,
        "version": identity.version,
        "command": identity.command,
        "slot_at": identity.slot_at,
    }


def _ending(report: ScopeReport) -> dict[str, object]:
    return {
        "scope": report.scope,
        "status": report.status,
        "degraded": report.degraded,
        "exit_code": report.exit_code,
        "finished_at": report.finished_at,
        "duration_ms": report.duration_ms,
        "counts": Jsonb(dict(report.counts)),
        "metrics": Jsonb(dict(report.metrics)),
        "notes": Jsonb(list(report.notes)),
        "peak_memory_bytes": report.peak_memory_bytes,
        "error_class": report.error.class_ if report.error else None,
        "error_message": report.error.message if report.error else None,
        "error_hint": report.error.hint if report.error else None,
        "evidence": Jsonb(dict(report.evidence)) if report.evidence is not None else None,
        "output": report.output,
    }
