"""Guards: beside a long history no question of the monitor reads a large table from end to end, nor much of it."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import psycopg
import pytest
from psycopg import sql

from bench_history import make_many, make_run
from jobctl.monitor.runs import events, faults, glance, slo_facts, statistics
from jobctl.schedule.plan import PLAN
from jobctl.settings_alerts import AlertSettings
from jobctl.settings_monitor import SloSettings

RUNS, EVENTS, SPAN = 60_000, 120_000, timedelta(days=365)
TABLES = ("job_history", "sync_events")
READ = """
SELECT relname, seq_scan, seq_tup_read + coalesce(idx_tup_fetch, 0) FROM pg_stat_user_tables
WHERE schemaname = 'ops' AND relname IN ('job_history', 'sync_events')
"""


class Read(NamedTuple):
    whole: int
    rows: int


def read_so_far(conn: psycopg.Connection) -> Read:
    conn.execute("SELECT pg_stat_force_next_flush()")
    rows = conn.execute(READ).fetchall()
    return Read(sum(row[1] for row in rows), sum(row[2] for row in rows))


@pytest.mark.slow
def test_no_question_reads_a_large_table_whole(conn: psycopg.Connection) -> None:
    row = conn.execute("SELECT clock_timestamp()").fetchone()
    assert row is not None
    now: datetime = row[0]
    make_many(conn, runs=RUNS, events=EVENTS, until=now, span=SPAN)
    make_run(conn, now, job="sync", status="running")
    conn.execute("ANALYZE ops.job_history")
    day = now - timedelta(days=1)
    month = RUNS * 31 // 365

    def page(*, since: datetime = now - timedelta(days=30), **asked: Any) -> Callable[[], object]:
        return lambda: events.page(conn, since=since, **asked)

    def figures() -> object:
        return statistics.statistics(conn, since=now - timedelta(days=30), until=now, zone="UTC")

    def slow() -> object:
        since = now - timedelta(days=30)
        return faults.slow(conn, since=since, until=now, default_s=30, limits_s={"work": 0})

    def levels() -> object:
        return slo_facts.levels(conn, SloSettings(), (), PLAN, "UTC", now)

    def status() -> object:
        return glance.gather(conn, AlertSettings().conditions, host="vm1", now=now)

    steps: list[tuple[str, Callable[[], object], int]] = [  # and how many rows each may read
        ("status", status, 1_000),
        ("stats", figures, 2 * month),
        ("slow", slow, 2 * month),
        ("failures", lambda: faults.failures_since(conn, day), 500),
        ("slo", levels, 5 * month),
        ("events", page(), 400),
        ("events of a busy job", page(job="work"), 1_000),
        ("events of a rare job", page(job="report"), 400),
        ("events of no job", page(job="none"), 100),
        ("grave events", page(level="warning"), 400),
        ("graver events of a job", page(level="error", job="sync"), 3_000),
        ("events since a moment", page(since=now - timedelta(minutes=1)), 200),
        ("events of a run", page(run_id=UUID(int=5), since=events.EVER), 100),
        ("an old page", page(since=events.EVER, before=1_000), 400),
    ]
    for _ in range(7):  # a prepared statement has its final plan after the fifth
        for name, step, allowed in steps:
            before = read_so_far(conn)
            step()
            after = read_so_far(conn)
            assert after.whole == before.whole, name
            assert after.rows - before.rows <= allowed, (name, after.rows - before.rows)
    before = read_so_far(conn)
    conn.execute(sql.SQL("SELECT count(*) FROM ops.job_history WHERE host = 'x'"))  # what the guard must see
    after = read_so_far(conn)
    assert after.whole > before.whole and after.rows - before.rows > RUNS
