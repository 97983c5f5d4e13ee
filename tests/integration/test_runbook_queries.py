"""Each query that ops/ shows runs on the schema as it is, and the one that proves two hourly runs tells them apart."""

import re
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

OPS = Path(__file__).parents[2] / "ops"
BLOCK = re.compile(r"^```sql\n(.*?)^```$", re.MULTILINE | re.DOTALL)
QUERIES = [
    (page.name, query)
    for page in sorted(OPS.rglob("*.md"))
    for query in BLOCK.findall(page.read_text(encoding="utf-8"))
]
HOUR = timedelta(hours=1)
FIRST = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize("query", [query for _, query in QUERIES], ids=[name for name, _ in QUERIES])
def test_each_query_runs(conn: psycopg.Connection, query: str) -> None:
    ran = conn.execute(query.encode()).statusmessage or ""
    assert ran.split()[0] in ("SELECT", "UPDATE"), "a page shows what to look at, or mends rows"


def answer(conn: psycopg.Connection) -> tuple[object, ...] | None:
    query = next(query for name, query in QUERIES if name == "scheduling.md" and "last_two" in query)
    return conn.execute(query.encode()).fetchone()


def add_run(conn: psycopg.Connection, slot_at: datetime, *, verdict: str = "ran", status: str = "completed") -> None:
    run_id = uuid.uuid4()
    conn.execute(
        "INSERT INTO ops.slots (job, slot_at, slot_local, verdict, host, run_id)"
        " VALUES ('ingest-branch', %s, '', %s, 'vm1', %s)",
        (slot_at, verdict, run_id),
    )
    conn.execute(
        "INSERT INTO ops.job_history (run_id, scope, job, correlation_id, status, host, os_user, supervisor_pid,"
        " version, command, finished_at) VALUES (%s, 'airports', 'ingest-branch', '', %s, 'vm1', 'jobctl', 1, '', '',"
        " now())",
        (run_id, status),
    )


def test_two_consecutive_hourly_runs_answer_as_the_page_says(conn: psycopg.Connection) -> None:
    add_run(conn, FIRST, verdict="missed", status="failed")
    add_run(conn, FIRST + HOUR)
    add_run(conn, FIRST + 2 * HOUR, verdict="late")
    assert answer(conn) == (HOUR, 2, True, 0)


def test_a_gap_a_skip_and_failed_runs_answer_otherwise(conn: psycopg.Connection) -> None:
    add_run(conn, FIRST, verdict="skipped_locked", status="timeout")
    add_run(conn, FIRST + 2 * HOUR, status="failed")
    assert answer(conn) == (2 * HOUR, 2, False, 2)
