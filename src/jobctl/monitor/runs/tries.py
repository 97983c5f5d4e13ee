"""The queue's tries as figures by the type of their tasks, for `jobctl stats --by type`."""

from datetime import datetime

import psycopg

from jobctl.monitor.queue import stats
from jobctl.monitor.queue.stats import Window
from jobctl.monitor.runs.statistics import Figures

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
    for tries in stats.ended(conn, window).tries:
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
