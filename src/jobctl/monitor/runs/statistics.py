"""Store of figures of a window of history: how many runs there were, how they ended, how long they took, what they did.

One question reads each run of the window once, by the index of times, and counts in all, by job and by day. What is a
bad run is said by the alerts' words (`BAD`, `ASKED_FOR`), a percentile is of the nearest rank, as theirs. The records
of a run are the first of `read`, `claimed`, `projects`, `requeued` that it counted.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

import psycopg
from psycopg.rows import class_row, dict_row
from psycopg.types.json import Jsonb

from jobctl.alerts.conditions import ASKED_FOR, BAD
from jobctl.monitor.queue import stats as queue_stats
from jobctl.monitor.queue.stats import Window

PARTS: Final = 12  # of the window, for the trend
SHOWN_SLOW: Final = 20


class Figures(NamedTuple):
    """Of all runs, of a job, or of a day. `failed` are those that ended badly; `interrupted` those that somebody ended
    on purpose. Times are of completed runs. `trend_ms`: the medians of equal parts of the window, the oldest first."""

    name: str
    total: int
    completed: int
    degraded: int
    failed: int
    interrupted: int
    skipped: int
    unfinished: int
    records: int
    avg_ms: float | None
    p50_ms: int | None
    p95_ms: int | None
    p99_ms: int | None
    trend_ms: tuple[int | None, ...] = ()

    @property
    def success_rate(self) -> float | None:
        """Of those that somebody wanted to end well; None without any."""
        judged = self.completed + self.failed
        return self.completed / judged if judged else None


NOTHING: Final = Figures("", 0, 0, 0, 0, 0, 0, 0, 0, None, None, None, None)


class Slow(NamedTuple):
    """Completed runs of a job and scope that took longer than the limit of `slow-run`."""

    job: str
    scope: str
    runs: int
    longest_ms: int
    limit_ms: int


class Statistics(NamedTuple):
    since: datetime
    until: datetime
    total: Figures
    jobs: tuple[Figures, ...]
    days: tuple[Figures, ...]


# The CTE is counted in several ways, and read from the table once.
FIGURES = """
WITH runs AS MATERIALIZED (
    SELECT h.job, h.status, h.degraded,
        h.status = ANY (%(bad)s) OR h.status = 'interrupted' AND h.exit_code <> ALL (%(asked_for)s) AS is_bad,
        CASE WHEN h.status = 'completed' THEN h.duration_ms END AS took_ms,
        (h.started_at AT TIME ZONE %(zone)s)::date AS day,
        least(floor(extract(epoch FROM h.started_at - %(since)s) / %(part_s)s), %(parts)s - 1)::integer AS part,
        coalesce(h.counts ->> 'read', h.counts ->> 'claimed', h.counts ->> 'projects', h.counts ->> 'requeued', '0')
            ::bigint AS records
    FROM ops.job_history AS h
    WHERE h.started_at >= %(since)s AND h.started_at < %(until)s AND (%(job)s::text IS NULL OR h.job = %(job)s)
)
SELECT r.job, r.day, r.part,
    count(*) AS total,
    count(*) FILTER (WHERE r.status = 'completed') AS completed,
    count(*) FILTER (WHERE r.status = 'completed' AND r.degraded) AS degraded,
    count(*) FILTER (WHERE r.is_bad) AS failed,
    count(*) FILTER (WHERE r.status = 'interrupted' AND NOT r.is_bad) AS interrupted,
    count(*) FILTER (WHERE r.status = 'skipped') AS skipped,
    count(*) FILTER (WHERE r.status IN ('pending', 'running')) AS unfinished,
    coalesce(sum(r.records), 0)::bigint AS records,
    avg(r.took_ms)::float8 AS avg_ms,
    percentile_disc(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (ORDER BY r.took_ms) AS took_ms
FROM runs AS r
GROUP BY GROUPING SETS ((), (r.job), (r.day), (r.job, r.part))
ORDER BY r.job, r.day, r.part
"""


def statistics(
    conn: psycopg.Connection, *, since: datetime, until: datetime, zone: str, job: str | None = None
) -> Statistics:
    """Days are those of `zone`."""
    parameters: dict[str, Any] = {
        "since": since,
        "until": until,
        "job": job,
        "zone": zone,
        "bad": sorted(BAD),
        "asked_for": sorted(ASKED_FOR),
        "parts": PARTS,
        "part_s": max(1.0, (until - since) / timedelta(seconds=1)) / PARTS,
    }
    trends: dict[str, list[int | None]] = {}
    total, jobs, days = NOTHING, list[Mapping[str, Any]](), list[Figures]()
    with conn.cursor(row_factory=dict_row) as cursor:
        for row in cursor.execute(FIGURES, parameters):
            if row["part"] is not None:
                median = row["took_ms"][0] if row["took_ms"] else None
                trends.setdefault(row["job"], [None] * PARTS)[row["part"]] = median
            elif row["day"] is not None:
                days.append(_figures(row["day"].isoformat(), row))
            elif row["job"] is not None:
                jobs.append(row)
            else:
                total = _figures("", row)
    return Statistics(
        since, until, total, tuple(_figures(row["job"], row, trends.get(row["job"], ())) for row in jobs), tuple(days)
    )


def _figures(name: str, row: Mapping[str, Any], trend: Sequence[int | None] = ()) -> Figures:
    counts = {key: row[key] for key in Figures._fields if key in row}
    p50, p95, p99 = row["took_ms"] or (None, None, None)
    return Figures(name, **counts, p50_ms=p50, p95_ms=p95, p99_ms=p99, trend_ms=tuple(trend))


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


AVERAGES = """
SELECT a.type, avg(date_part('epoch', a.finished_at - a.claimed_at)) * 1000 FROM queue.attempts AS a
WHERE a.finished_at >= %(since)s AND a.finished_at <= %(until)s
  AND a.outcome IN ('succeeded', 'failed', 'timeout', 'crashed')
GROUP BY a.type
"""


def by_type(conn: psycopg.Connection, *, since: datetime, until: datetime) -> list[Figures]:
    """The queue's tries by the type of their tasks. Percentiles are right to 1 %."""
    window = Window(since, until)
    averages: dict[str, float] = dict(conn.execute(AVERAGES, window._asdict()).fetchall())
    found: list[Figures] = []
    for tries in queue_stats.ended(conn, window).tries:
        if tries.type is None:
            continue
        of = tries.outcomes
        run = tries.run
        found.append(
            Figures(
                tries.type,
                total=tries.number,
                completed=of["succeeded"],
                degraded=0,
                failed=of["failed"] + of["timeout"] + of["crashed"],
                interrupted=of["snoozed"] + of["released"],
                skipped=0,
                unfinished=0,
                records=of["succeeded"],
                avg_ms=averages.get(tries.type),
                p50_ms=round(run.p50_s * 1_000) if run else None,
                p95_ms=round(run.p95_s * 1_000) if run else None,
                p99_ms=round(run.p99_s * 1_000) if run else None,
            )
        )
    return found
