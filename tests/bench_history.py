"""A history of runs and events, written straight into the tables, whose figures can be worked out by hand."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
from psycopg.types.json import Jsonb

INSERT = """
INSERT INTO ops.job_history (run_id, scope, job, correlation_id, status, degraded, exit_code, lock_key, fence, host,
    os_user, supervisor_pid, worker_pid, guard_backend_pid, version, command, slot_at, started_at, heartbeat_at,
    lease_s, finished_at, duration_ms, counts, metrics, error_class, error_message)
VALUES (%(run_id)s, %(scope)s, %(job)s, 'c', %(status)s, %(degraded)s, %(exit_code)s, %(lock_key)s, %(fence)s, 'vm1',
    'ops', 1, 2, %(guard_backend_pid)s, '0.1', 'jobctl', %(slot_at)s, %(started_at)s, %(heartbeat_at)s, 60,
    %(finished_at)s, %(duration_ms)s, %(counts)s, %(metrics)s, %(error_class)s, NULL)
"""


def make_run(
    conn: psycopg.Connection,
    started_at: datetime,
    *,
    job: str = "sync",
    scope: str = "",
    status: str = "completed",
    took_s: float = 10,
    degraded: bool = False,
    exit_code: int | None = None,
    counts: Mapping[str, int] | None = None,
    metrics: Mapping[str, float] | None = None,
    **more: Any,
) -> UUID:
    run_id = uuid4()
    is_over = status not in ("pending", "running")
    parameters = {
        "run_id": run_id,
        "scope": scope,
        "job": job,
        "status": status,
        "degraded": degraded,
        "exit_code": exit_code if exit_code is not None or not is_over else int(status not in ("completed", "skipped")),
        "lock_key": None,
        "fence": None,
        "guard_backend_pid": None,
        "slot_at": None,
        "started_at": started_at,
        "heartbeat_at": started_at,
        "finished_at": started_at + timedelta(seconds=took_s) if is_over else None,
        "duration_ms": round(took_s * 1_000) if is_over else None,
        "counts": Jsonb(dict(counts or {})),
        "metrics": Jsonb(dict(metrics or {})),
        "error_class": None,
    }
    conn.execute(INSERT, parameters | more)
    return run_id


EVENT = """
INSERT INTO ops.sync_events (run_id, scope, job, at, level, event)
VALUES (%(run_id)s, '', %(job)s, %(at)s, %(level)s, %(event)s) RETURNING event_id
"""


def make_event(
    conn: psycopg.Connection,
    at: datetime,
    *,
    job: str = "sync",
    level: str = "info",
    event: str = "page_read",
    run_id: UUID | None = None,
) -> int:
    parameters = {"run_id": run_id or uuid4(), "job": job, "at": at, "level": level, "event": event}
    row = conn.execute(EVENT, parameters).fetchone()
    assert row is not None
    return row[0]


# Of jobs that a team has, over a year, in the order in which they came; some of each kind of end. Seeded.
MANY_RUNS = """
INSERT INTO ops.job_history (run_id, scope, job, correlation_id, status, degraded, exit_code, host, os_user,
    supervisor_pid, version, command, started_at, heartbeat_at, finished_at, duration_ms, counts, error_class,
    error_message)
SELECT pg_catalog.md5(n::text)::uuid, CASE WHEN n %% 10 < 6 THEN 'branch-' || n %% 6 ELSE '' END,
    CASE WHEN n %% 10 < 6 THEN 'ingest-branch' WHEN n %% 10 = 6 THEN 'sync' WHEN n %% 10 = 7 THEN 'metrics'
        WHEN n %% 10 = 8 THEN 'retry-failed' ELSE 'work' END,
    'c', s.status, false, CASE WHEN s.status = 'completed' THEN 0 ELSE 1 END, 'vm1', 'jobctl', 1, '0.1',
    'jobctl ingest-branch --scheduled', s.started_at, s.started_at, s.started_at + s.took, s.ms,
    pg_catalog.jsonb_build_object('read', n %% 5000, 'inserted', n %% 300, 'updated', 7, 'unchanged', 12,
        'rejected', 3),
    CASE WHEN s.status = 'failed' THEN 'SourceError' END, CASE WHEN s.status = 'failed' THEN 'it cannot be read' END
FROM (
    SELECT n, r.ms, r.ms * interval '1 ms' AS took,
        CASE WHEN n %% 97 = 0 THEN 'failed' WHEN n %% 41 = 0 THEN 'skipped' ELSE 'completed' END AS status,
        %(until)s::timestamptz - (%(runs)s - n) * (%(span)s::interval / %(runs)s) AS started_at
    FROM pg_catalog.generate_series(1, %(runs)s) AS n
    CROSS JOIN LATERAL (SELECT (2000 + 40000 * power(random(), 4) + n * 0)::bigint AS ms) AS r
) AS s
"""
MANY_EVENTS = """
INSERT INTO ops.sync_events (run_id, scope, job, at, level, event, fields)
SELECT pg_catalog.md5((n / 10)::text)::uuid, '',
    CASE WHEN n %% 1000 = 999 THEN 'report' WHEN n %% 10 < 7 THEN 'sync' ELSE 'work' END,
    %(until)s::timestamptz - (%(events)s - n) * (%(span)s::interval / %(events)s),
    CASE WHEN n %% 500 = 0 THEN 'error' WHEN n %% 100 = 0 THEN 'warning' ELSE 'info' END, 'page_read',
    pg_catalog.jsonb_build_object('page', n)
FROM pg_catalog.generate_series(1, %(events)s) AS n
"""


def make_many(conn: psycopg.Connection, *, runs: int, events: int, until: datetime, span: timedelta) -> None:
    """And what the planner knows of them."""
    with conn.transaction():
        conn.execute("SELECT setseed(0.5)")
        parameters = {"runs": runs, "events": events, "until": until, "span": span}
        conn.execute(MANY_RUNS, parameters)
        conn.execute(MANY_EVENTS, parameters)
    conn.execute("VACUUM ANALYZE ops.job_history, ops.sync_events")
