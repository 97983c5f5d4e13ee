"""Guard: what alerts ask at the end of each run goes by an index, and reads little of a long history."""

from collections.abc import Generator
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest

from jobctl.alerts import facts, same_hour

BERLIN = ZoneInfo("Europe/Berlin")
# Half a year of six jobs, each started every quarter of an hour; one of them is mostly skipped.
HISTORY = """
INSERT INTO ops.job_history (run_id, job, scope, correlation_id, status, exit_code, host, os_user, supervisor_pid,
    version, command, started_at, finished_at, duration_ms, counts)
SELECT gen_random_uuid(), job, scope, 'c', CASE WHEN job = 'sync' AND n % 5 > 0 THEN 'skipped' ELSE 'completed' END, 0,
    'vm1', 'u', 1, '0', 'x', now() - n * interval '15 minutes', now() - n * interval '15 minutes', n,
    '{"read": 1, "claimed": 1}'
FROM generate_series(1, 17000) AS n,
    (VALUES ('work', ''), ('sync', ''), ('run', 'a'), ('run', 'b'), ('metrics', ''), ('ingest-branch', 'places'))
        AS jobs (job, scope)
"""
READ = "SELECT seq_scan, seq_tup_read + idx_tup_fetch FROM pg_stat_user_tables WHERE relname = 'job_history'"


@pytest.fixture
def beside_history(conn: psycopg.Connection) -> psycopg.Connection:
    conn.execute(HISTORY)
    conn.execute("VACUUM ANALYZE ops.job_history")
    return conn


def read_so_far(conn: psycopg.Connection) -> tuple[int, int]:
    conn.execute("SELECT pg_stat_force_next_flush()")
    row = conn.execute(READ).fetchone()
    assert row is not None
    return row[0], row[1]


def nodes(plan: dict[str, Any]) -> Generator[dict[str, Any], None, None]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from nodes(child)


def test_the_past_of_a_weekday_and_hour_is_read_by_index_and_costs_the_same_however_often_a_job_runs(
    beside_history: psycopg.Connection,
) -> None:
    conn, now = beside_history, datetime.now(UTC)
    hours = same_hour.before(now, BERLIN, 12)
    for _ in range(8):  # a prepared statement has its final plan after the fifth
        for job, most in (("work", 2 * 84 * facts.MOST_AN_HOUR), ("sync", 84 * 4 + 50), ("retry-failed", 50)):
            before = read_so_far(conn)
            found = facts.past(conn, job, "", hours)
            after = read_so_far(conn)
            assert after[0] == before[0], "the table was read from end to end"
            assert after[1] - before[1] <= most
            assert all(each.started_at.astimezone(BERLIN).hour == now.astimezone(BERLIN).hour for each in found)
    assert len(facts.past(conn, "work", "", hours)) == len(hours) * facts.MOST_AN_HOUR
    given = {"job": "work", "scope": "", "starts": [hours[0].starts_at], "ends": [hours[0].ends_at], "most": 4}
    row = conn.execute(b"EXPLAIN (FORMAT JSON) " + facts.PAST.encode(), given).fetchone()
    assert row is not None
    plan = list(nodes(row[0][0]["Plan"]))
    ways = {(each["Node Type"], each.get("Index Name")) for each in plan if each.get("Relation Name") == "job_history"}
    assert ways == {("Index Scan", "job_history_by_job")}
