"""What the runs of a stretch of time were like, job by job: questions to ops.job_history, which `history` writes."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import NamedTuple
from uuid import UUID

import psycopg
from psycopg.rows import class_row, scalar_row


class JobRuns(NamedTuple):
    """Of one job; what `jobctl run NAME` wraps is one for each name. Bad is as the alerts have it."""

    job: str
    good: int
    bad: int
    skipped: int
    degraded: int
    median_ms: float | None
    slowest_ms: int | None
    slowest_run: UUID | None


# A run that was only asked to stop, such as before a deploy, is neither good nor bad.
OF_JOBS = """
SELECT CASE job WHEN 'run' THEN 'run ' || scope ELSE job END AS job,
    count(*) FILTER (WHERE status = 'completed') AS good,
    count(*) FILTER (WHERE status IN ('failed', 'timeout', 'abandoned')
        OR (status = 'interrupted' AND exit_code <> ALL (%(asked_for)s))) AS bad,
    count(*) FILTER (WHERE status = 'skipped') AS skipped,
    count(*) FILTER (WHERE degraded) AS degraded,
    percentile_cont(0.5) WITHIN GROUP (ORDER BY duration_ms) FILTER (WHERE status = 'completed') AS median_ms,
    max(duration_ms) FILTER (WHERE status <> 'skipped') AS slowest_ms,
    (array_agg(run_id ORDER BY duration_ms DESC NULLS LAST) FILTER (WHERE status <> 'skipped'))[1] AS slowest_run
FROM ops.job_history
WHERE started_at >= %(since)s AND started_at < %(until)s AND finished_at IS NOT NULL
GROUP BY 1 ORDER BY 1
"""


def of_jobs(conn: psycopg.Connection, since: datetime, until: datetime, asked_for: Sequence[int]) -> list[JobRuns]:
    values = {"since": since, "until": until, "asked_for": list(asked_for)}
    with conn.cursor(row_factory=class_row(JobRuns)) as cursor:
        return cursor.execute(OF_JOBS, values).fetchall()


class DayOfJob(NamedTuple):
    job: str
    day: date
    good: int
    bad: int


OF_DAYS = """
SELECT CASE job WHEN 'run' THEN 'run ' || scope ELSE job END AS job, (started_at AT TIME ZONE %(zone)s)::date AS day,
    count(*) FILTER (WHERE status = 'completed') AS good,
    count(*) FILTER (WHERE status IN ('failed', 'timeout', 'abandoned')
        OR (status = 'interrupted' AND exit_code <> ALL (%(asked_for)s))) AS bad
FROM ops.job_history
WHERE started_at >= %(since)s AND started_at < %(until)s AND finished_at IS NOT NULL AND status <> 'skipped'
GROUP BY 1, 2 ORDER BY 1, 2
"""


def of_days(
    conn: psycopg.Connection, since: datetime, until: datetime, zone: str, asked_for: Sequence[int]
) -> list[DayOfJob]:
    """Days of that zone."""
    values = {"since": since, "until": until, "zone": zone, "asked_for": list(asked_for)}
    with conn.cursor(row_factory=class_row(DayOfJob)) as cursor:
        return cursor.execute(OF_DAYS, values).fetchall()


class Counted(NamedTuple):
    """What the runs of a job have counted in one scope. None: no run has."""

    scope: str
    runs: int
    read: int | None
    changed: int | None
    rejected: int | None


COUNTED = """
SELECT scope, count(*) AS runs, sum((counts ->> 'read')::bigint)::bigint AS read,
    sum(coalesce((counts ->> 'inserted')::bigint, 0) + coalesce((counts ->> 'updated')::bigint, 0))::bigint AS changed,
    sum((counts ->> 'rejected')::bigint)::bigint AS rejected
FROM ops.job_history
WHERE job = %(job)s AND started_at >= %(since)s AND started_at < %(until)s AND finished_at IS NOT NULL
    AND status <> 'skipped'
GROUP BY scope ORDER BY scope
"""


def counted(conn: psycopg.Connection, job: str, since: datetime, until: datetime) -> dict[str, Counted]:
    """By scope: records read, inserted or updated, and rejected."""
    with conn.cursor(row_factory=class_row(Counted)) as cursor:
        rows = cursor.execute(COUNTED, {"job": job, "since": since, "until": until})
        return {each.scope: each for each in rows}


KEPT_SINCE = "SELECT min(started_at) FROM ops.job_history"


def kept_since(conn: psycopg.Connection) -> datetime | None:
    """The start of the oldest run that is told of here."""
    with conn.cursor(row_factory=scalar_row) as cursor:
        return cursor.execute(KEPT_SINCE).fetchone()
