"""Guards: beside a long history no question about runs reads a whole table, nor more of one than it shows."""

import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from bench_past_runs import NOON, add_run
from jobctl.cli import completion
from jobctl.monitor.runs import finding, lineage, listing, showing
from jobctl.monitor.runs.listing import Asked
from jobctl.runtime import history

RUNS, EVENTS = 30_000, 100_000
HISTORY = """
INSERT INTO ops.job_history (run_id, scope, job, correlation_id, status, host, os_user, supervisor_pid, version,
    command, started_at, finished_at, duration_ms)
SELECT gen_random_uuid(), 's' || n %% 7, (ARRAY['ingest-branch', 'sync', 'metrics', 'work'])[1 + n %% 4], 'c' || n,
    CASE WHEN n %% 500 = 0 THEN 'failed' ELSE 'completed' END, 'vm1', 'ops', 1, '0', 'jobctl',
    %s - n * interval '1 minute', %s - n * interval '1 minute' + interval '2 s', 2000
FROM generate_series(1, %s) AS n
"""
EVENT_ROWS = """
INSERT INTO ops.sync_events (run_id, job, level, event)
SELECT md5((n / 10)::text)::uuid, 'sync', 'info', 'page' FROM generate_series(1, %s) AS n
"""
OTHERS = """
INSERT INTO ops.slots (job, scope, slot_at, slot_local, verdict, host, run_id)
SELECT 'sync', '', now() - n * interval '1 minute', '', 'ran', 'vm1', md5(n::text)::uuid
FROM generate_series(1, 15000) AS n;
INSERT INTO queue.tasks (type, subject_id, run_id)
SELECT 'embed', n, md5((n / 10)::text)::uuid FROM generate_series(1, 20000) AS n;
INSERT INTO branch.rejects (branch_id, record_no, record_key, run_id, reason, payload, payload_hash, rules)
SELECT 1, n, '', md5((n / 10)::text)::uuid, 'missing', '', md5('')::uuid, '' FROM generate_series(1, 15000) AS n;
INSERT INTO ops.outbox (channel, dedupe_key, payload, run_id, state)
SELECT 'slack', n::text, '{}', md5((n / 10)::text)::uuid, 'sent' FROM generate_series(1, 15000) AS n;
INSERT INTO queue.attempts (task_id, fence, type, user_id, attempt, host, worker, run_id, due_at, claimed_at,
    finished_at, outcome)
SELECT n, n, 'crawl', '', 1, 'vm1', 'w', md5((n / 10)::text)::uuid, now(), now(), now() - (20000 - n) * interval '1 s',
    'succeeded'
FROM generate_series(1, 20000) AS n;
"""
TABLES = ("job_history", "sync_events", "slots", "tasks", "rejects", "outbox", "attempts")
READ = """
SELECT coalesce(sum(seq_scan), 0), coalesce(sum(seq_tup_read + coalesce(idx_tup_fetch, 0)), 0)
FROM pg_stat_user_tables WHERE relname = ANY (%s)
"""


@pytest.fixture
def long_history(conn: psycopg.Connection) -> psycopg.Connection:
    conn.execute("SET statement_timeout TO 0")
    conn.execute(HISTORY, (NOON, NOON, RUNS))
    conn.execute(EVENT_ROWS, (EVENTS,))
    conn.execute(OTHERS)
    conn.execute("VACUUM ANALYZE")
    return conn


def read_so_far(conn: psycopg.Connection) -> tuple[int, int]:
    conn.execute("SELECT pg_stat_force_next_flush()")
    row: Any = conn.execute(READ, (list(TABLES),)).fetchone()
    return int(row[0]), int(row[1])


@pytest.mark.slow
def test_no_question_about_runs_reads_a_whole_table(long_history: psycopg.Connection) -> None:
    conn = long_history
    run_id = uuid.UUID("c4ca4238-a0b9-2382-0dcc-509a6f75849b")  # md5 of 1: it has events, tasks and all the rest
    add_run(conn, "sync", "", run_id=run_id, started_at=NOON - timedelta(days=9), duration_ms=5_000)
    worker = add_run(conn, "work", "vm1", started_at=NOON - timedelta(days=8), duration_ms=5_000)
    middle = listing.Place(NOON - timedelta(days=20), uuid.UUID(int=0), "")
    shown, worked = (showing.show(conn, each, events=0) for each in (run_id, worker))

    def page(**asked: Any) -> Callable[[], object]:
        return lambda: listing.page(conn, Asked(**asked), limit=20)

    questions: list[tuple[str, Callable[[], object], int]] = [  # and how many rows each may read
        ("all", page(), 60),
        ("a page in the middle", lambda: listing.page(conn, Asked(), after=middle, limit=20), 60),
        ("a job", page(job="sync"), 60),
        ("a job and scope", page(job="sync", scope="s3"), 400),
        ("a rare status", page(states=("failed",)), 200),
        ("a rare status of a job", page(states=("failed",), job="work"), 500),
        ("what runs", page(states=("running", "frozen")), 60),
        ("a correlation id", page(correlation_id="c4711"), 60),
        ("a day", page(since=NOON - timedelta(days=11), until=NOON - timedelta(days=10)), 60),
        ("last", lambda: finding.find(conn, "last"), 20),
        ("a beginning", lambda: finding.find(conn, str(run_id)[:12]), 20),
        ("the last of a job", lambda: finding.find(conn, "metrics"), 20),
        ("show", lambda: showing.show(conn, run_id, events=30), 300),
        ("what is new", lambda: showing.events_after(conn, run_id, 0), 60),
        ("explain", lambda: lineage.trace(conn, shown, now=NOON), 300),
        ("explain a worker", lambda: lineage.trace(conn, worked, now=NOON), 20_000),  # a range of a BRIN index
        ("a beat", lambda: history.beat(conn, run_id, ""), 20),
        ("completion", lambda: conn.execute(completion.RUNS).fetchall(), 60),
        ("completion of running ones", lambda: conn.execute(completion.RUNNING).fetchall(), 60),
    ]
    for _ in range(7):  # a prepared statement has its final plan after the fifth
        for name, ask, allowed in questions:
            before = read_so_far(conn)
            ask()
            after = read_so_far(conn)
            assert after[0] == before[0], name
            assert after[1] - before[1] <= allowed, name


def test_the_guard_sees_a_table_that_is_read_whole(conn: psycopg.Connection) -> None:
    add_run(conn)
    before = read_so_far(conn)
    conn.execute("SELECT count(*) FROM ops.job_history WHERE version = 'x'").fetchall()
    assert read_so_far(conn)[0] > before[0]
