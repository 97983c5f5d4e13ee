"""What the conditions judge, read from the tables of runs: ops.job_history."""

from collections.abc import Sequence
from datetime import datetime

import psycopg
from psycopg.rows import class_row

from jobctl.alerts.conditions import Rate, RunFact

MOST_RUNS = 50

LAST_RUNS = """
SELECT run_id, status, degraded, coalesce(exit_code, 0) AS exit_code, host, started_at, finished_at,
    coalesce(duration_ms, 0) AS duration_ms, counts, notes, error_class, error_message, error_hint,
    evidence ->> 'holder_run_id' AS holder_run_id
FROM ops.job_history
WHERE job = %(job)s AND scope = %(scope)s AND finished_at IS NOT NULL
ORDER BY started_at DESC, run_id LIMIT %(limit)s
"""


def last_runs(conn: psycopg.Connection, job: str, scope: str, *, limit: int = MOST_RUNS) -> list[RunFact]:
    """The newest first."""
    with conn.cursor(row_factory=class_row(RunFact)) as cursor:
        return cursor.execute(LAST_RUNS, {"job": job, "scope": scope, "limit": limit}).fetchall()


RATES = """
SELECT job,
    count(*) FILTER (WHERE status = 'completed') AS good,
    count(*) FILTER (WHERE status IN ('failed', 'timeout', 'abandoned')
        OR (status = 'interrupted' AND exit_code <> ALL (%(asked_for)s))) AS bad
FROM ops.job_history
WHERE started_at >= %(since)s AND finished_at IS NOT NULL AND status <> 'skipped'
GROUP BY job ORDER BY job
"""


def rates(conn: psycopg.Connection, since: datetime, asked_for: Sequence[int]) -> list[Rate]:
    """How the runs of each job ended since then."""
    with conn.cursor(row_factory=class_row(Rate)) as cursor:
        return cursor.execute(RATES, {"since": since, "asked_for": list(asked_for)}).fetchall()
