"""Store of the runs that somebody should look at: slow ones by the alerts' limit, and those that ended badly."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final, NamedTuple

import psycopg
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from jobctl.alerts.conditions import ASKED_FOR, BAD

SHOWN_SLOW: Final = 20


class Slow(NamedTuple):
    """Completed runs of a job and scope that took longer than the limit of `slow-run`."""

    job: str
    scope: str
    runs: int
    longest_ms: int
    limit_ms: int


SLOW = """
SELECT s.job, s.scope, count(*) AS runs, max(s.duration_ms) AS longest_ms, s.limit_ms
FROM (
    SELECT h.job, h.scope, h.duration_ms,
        coalesce(%(limits)s::jsonb ->> (h.job || '/' || h.scope), %(limits)s::jsonb ->> h.job, %(default_ms)s::text)
            ::bigint AS limit_ms
    FROM ops.job_history AS h
    WHERE h.started_at >= %(since)s AND h.started_at < %(until)s AND (%(job)s::text IS NULL OR h.job = %(job)s)
      AND h.status = 'completed' AND h.duration_ms > %(least_ms)s
) AS s
WHERE s.limit_ms > 0 AND s.duration_ms > s.limit_ms
GROUP BY s.job, s.scope, s.limit_ms
ORDER BY runs DESC, s.job, s.scope LIMIT %(most)s
"""


def slow(
    conn: psycopg.Connection,
    *,
    since: datetime,
    until: datetime,
    default_s: float,
    limits_s: Mapping[str, float],
    job: str | None = None,
) -> list[Slow]:
    """Those with the most slow runs first. The limits are those of the condition `slow-run`, by job or `job/scope`; 0
    is none."""
    in_ms = {name: round(limit_s * 1_000) for name, limit_s in limits_s.items()}
    default_ms = round(default_s * 1_000)
    parameters = {
        "since": since,
        "until": until,
        "job": job,
        "limits": Jsonb(in_ms),
        "default_ms": default_ms,
        "least_ms": min((limit for limit in (*in_ms.values(), default_ms) if limit > 0), default=0),
        "most": SHOWN_SLOW,
    }
    with conn.cursor(row_factory=class_row(Slow)) as cursor:
        return cursor.execute(SLOW, parameters).fetchall()


RECENT_FAILURES = """
SELECT count(*) FROM ops.job_history AS h
WHERE h.started_at >= %(since)s
  AND (h.status = ANY (%(bad)s) OR h.status = 'interrupted' AND h.exit_code <> ALL (%(asked_for)s))
"""


def failures_since(conn: psycopg.Connection, since: datetime) -> int:
    row = conn.execute(RECENT_FAILURES, {"since": since, "bad": sorted(BAD), "asked_for": sorted(ASKED_FOR)}).fetchone()
    return row[0] if row else 0
