"""Store of figures of a window of history: how many runs there were, how they ended, how long they took, what they did.

One question reads each run of the window once, by the index of times, and counts in all, by job and by day. What is a
bad run is said by the alerts' words (`BAD`, `ASKED_FOR`), a percentile is of the nearest rank, as theirs. The records
of a run are the first of `read`, `claimed`, `projects`, `requeued` that it counted (`facts.records`).
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, time, timedelta
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

import psycopg
from psycopg.rows import dict_row

from jobctl.alerts.conditions.run_fact import ASKED_FOR, BAD

PARTS: Final = 12  # of the window, for the trend


class Figures(NamedTuple):
    """Of all runs, of a job, or of a day. `failed` are those that ended badly; `interrupted` those that somebody ended
    on purpose. Times are of completed runs. `trend_ms`: the medians of equal parts of the window, the oldest first;
    `trend_records`: what was done in each."""

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
    trend_records: tuple[int, ...] = ()

    @property
    def success_rate(self) -> float | None:
        """Of those that somebody wanted to end well; None without any."""
        judged = self.completed + self.failed
        return self.completed / judged if judged else None


COUNTED: Final = (
    *("total", "completed", "degraded", "failed", "interrupted", "skipped", "unfinished", "records"),
    "took_ms",
)


class Statistics(NamedTuple):
    since: datetime
    until: datetime
    total: Figures
    jobs: tuple[Figures, ...]
    days: tuple[Figures, ...]


# Read from the table once. Counts are made by job, day and part, and added up here; percentiles need each set's runs.
# Parts and days come as the moments at which they begin, since to find one among them costs less than to work it out.
FIGURES = """
WITH runs AS MATERIALIZED (
    SELECT h.job COLLATE "C" AS job, h.status, h.degraded,
        h.status = ANY (%(bad)s) OR h.status = 'interrupted' AND h.exit_code <> ALL (%(asked_for)s) AS is_bad,
        CASE WHEN h.status = 'completed' THEN h.duration_ms END AS took_ms,
        pg_catalog.width_bucket(h.started_at, %(days)s::timestamptz[]) AS day,
        pg_catalog.width_bucket(h.started_at, %(parts)s::timestamptz[]) AS part,
        coalesce(h.counts ->> 'read', h.counts ->> 'claimed', h.counts ->> 'projects', h.counts ->> 'requeued', '0')
            ::bigint AS records
    FROM ops.job_history AS h
    WHERE h.started_at >= %(since)s AND h.started_at < %(until)s AND (%(job)s::text IS NULL OR h.job = %(job)s)
)
SELECT r.job, r.day, r.part, count(*) AS total,
    count(*) FILTER (WHERE r.status = 'completed') AS completed,
    count(*) FILTER (WHERE r.status = 'completed' AND r.degraded) AS degraded,
    count(*) FILTER (WHERE r.is_bad) AS failed,
    count(*) FILTER (WHERE r.status = 'interrupted' AND NOT r.is_bad) AS interrupted,
    count(*) FILTER (WHERE r.status = 'skipped') AS skipped,
    count(*) FILTER (WHERE r.status IN ('pending', 'running')) AS unfinished,
    coalesce(sum(r.records), 0)::bigint AS records,
    coalesce(sum(r.took_ms), 0)::bigint AS took_ms, NULL::bigint[] AS percentiles
FROM runs AS r GROUP BY r.job, r.day, r.part
UNION ALL
SELECT r.job, r.day, r.part, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
    percentile_disc(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (ORDER BY r.took_ms)
FROM runs AS r WHERE r.took_ms IS NOT NULL GROUP BY GROUPING SETS ((), (r.job), (r.day), (r.job, r.part))
"""


# For the transaction: a quarter of a million runs sorted in memory cost two thirds of what they do on disk.
ROOM = "SELECT pg_catalog.set_config('work_mem', '32MB', true)"


def statistics(
    conn: psycopg.Connection, *, since: datetime, until: datetime, zone: str, job: str | None = None
) -> Statistics:
    """Days are those of `zone`."""
    days = _days(since, until, ZoneInfo(zone))
    parameters: dict[str, Any] = {
        "since": since,
        "until": until,
        "job": job,
        "bad": sorted(BAD),
        "asked_for": sorted(ASKED_FOR),
        "days": days,
        "parts": [since + (until - since) / PARTS * nth for nth in range(PARTS)],
    }
    counts: dict[tuple[str, int | None], Counter[str]] = defaultdict(Counter)
    percentiles: dict[tuple[str, int | None], Sequence[int]] = {}
    trends: dict[str, list[int | None]] = defaultdict(lambda: [None] * PARTS)
    records: dict[str, list[int]] = defaultdict(lambda: [0] * PARTS)
    conn.execute(ROOM)
    with conn.cursor(row_factory=dict_row) as cursor:
        for row in cursor.execute(FIGURES, parameters):
            key = (row["job"] or "", row["day"])
            if row["total"] is not None:
                for whose in (("", None), (row["job"], None), ("", row["day"])):
                    counts[whose].update({name: row[name] for name in COUNTED})
                records[row["job"]][row["part"] - 1] += row["records"]
            elif row["percentiles"] is None:
                continue  # nothing completed
            elif row["part"] is not None:
                trends[row["job"]][row["part"] - 1] = row["percentiles"][0]
            else:
                percentiles[key] = row["percentiles"]

    def figures(name: str, key: tuple[str, int | None]) -> Figures:
        job = key[0]
        return _figures(name, counts[key], percentiles.get(key), trends.get(job, ()), records.get(job, ()))

    jobs = sorted(job for job, day in counts if job and day is None)
    numbers = sorted(day for _, day in counts if day is not None)
    in_zone = {number: days[number - 1].astimezone(ZoneInfo(zone)).date().isoformat() for number in numbers}
    return Statistics(
        since,
        until,
        figures("", ("", None)),
        tuple(figures(job, (job, None)) for job in jobs),
        tuple(figures(in_zone[number], ("", number)) for number in numbers),
    )


def _days(since: datetime, until: datetime, zone: ZoneInfo) -> list[datetime]:
    """When each day begins by the clocks of the zone, the one that `since` is in first."""
    day, found = since.astimezone(zone).date(), list[datetime]()
    while not found or found[-1] < until:
        found.append(datetime.combine(day, time(), zone).astimezone(UTC))
        day += timedelta(days=1)
    return found


def _figures(
    name: str,
    counts: Mapping[str, int],
    percentiles: Sequence[int] | None,
    trend_ms: Sequence[int | None],
    trend_records: Sequence[int],
) -> Figures:
    p50, p95, p99 = percentiles or (None, None, None)
    return Figures(
        name,
        **{count: counts[count] for count in COUNTED if count != "took_ms"},
        avg_ms=counts["took_ms"] / counts["completed"] if counts["completed"] else None,
        p50_ms=p50,
        p95_ms=p95,
        p99_ms=p99,
        trend_ms=tuple(trend_ms),
        trend_records=tuple(trend_records),
    )
