"""What the conditions judge, read from the tables of runs: ops.job_history."""

from collections.abc import Sequence
from datetime import datetime

import psycopg
from psycopg.rows import class_row

from jobctl.alerts.anomalies import Past
from jobctl.alerts.conditions.rates import Rate
from jobctl.alerts.conditions.run_fact import RunFact
from jobctl.alerts.same_hour import Hour

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


MOST_AN_HOUR = 4  # of a job that runs each minute these are enough to know it by, and what is read stays small

# An hour is a range of one index, and its newest runs are read from the end of it.
PAST = """
SELECT past.started_at, past.duration_ms, past.counts
FROM unnest(%(starts)s::timestamptz[], %(ends)s::timestamptz[]) AS hour (starts_at, ends_at)
CROSS JOIN LATERAL (
    SELECT h.started_at, coalesce(h.duration_ms, 0) AS duration_ms, h.counts
    FROM ops.job_history AS h
    WHERE h.job = %(job)s AND h.scope = %(scope)s AND h.started_at >= hour.starts_at AND h.started_at < hour.ends_at
      AND h.status = 'completed'
    ORDER BY h.started_at DESC LIMIT %(most)s) AS past
"""


def past(conn: psycopg.Connection, job: str, scope: str, hours: Sequence[Hour]) -> list[Past]:
    """The completed runs of these hours, a few of each."""
    parameters = {
        "job": job,
        "scope": scope,
        "starts": [hour.starts_at for hour in hours],
        "ends": [hour.ends_at for hour in hours],
        "most": MOST_AN_HOUR,
    }
    with conn.cursor(row_factory=class_row(Past)) as cursor:
        return cursor.execute(PAST, parameters).fetchall()
