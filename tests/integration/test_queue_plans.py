"""Guards: beside 100,000 finished rows no statement of the queue reads a whole table, nor much of an index."""

import uuid
from collections.abc import Callable, Generator
from typing import Any, NamedTuple

import psycopg
import pytest

from bench_queue_store import add, claimer, end_leases, succeeded
from jobctl.db.connection import Database
from jobctl.queue import lease
from jobctl.queue.claim import BY_INDEX, CLAIM, FIND_LANES, Claimer
from jobctl.queue.complete import END, SUCCEED, complete
from jobctl.queue.enqueue import Request, enqueue
from jobctl.queue.rescue import find_lost, put_back
from jobctl.queue.task import Ending, Task

FINISHED = """
INSERT INTO queue.tasks (type, user_id, state, attempts, fence, claimed_at, finished_at, subject_id)
SELECT 'crawl', 'user-' || n % 50, CASE WHEN n % 100 = 0 THEN 'failed' ELSE 'succeeded' END, 1, n, now(), now(), n
FROM generate_series(1, 100000) AS n
"""
ATTEMPTS = """
INSERT INTO queue.attempts (task_id, fence, type, user_id, attempt, host, worker, due_at, claimed_at, finished_at,
    outcome)
SELECT t.task_id, t.fence, t.type, t.user_id, 1, 'vm1', 'vm1/1', now(), now(), now(), t.state FROM queue.tasks AS t
"""
READ = """
SELECT sum(seq_scan), sum(seq_tup_read + idx_tup_fetch) FROM pg_stat_user_tables
WHERE schemaname = 'queue' AND relname IN ('tasks', 'attempts')
"""


class Read(NamedTuple):
    """What has been read of both tables so far: scans from end to end, and rows in all."""

    whole: int
    rows: int


def read_so_far(conn: psycopg.Connection) -> Read:
    conn.execute("SELECT pg_stat_force_next_flush()")
    return Read(*(int(number) for number in conn.execute(READ).fetchone() or (0, 0)))


@pytest.fixture
def beside_finished(conn: psycopg.Connection) -> psycopg.Connection:
    conn.execute(FINISHED)
    conn.execute(ATTEMPTS)
    for number in range(200):
        add(conn, 5, user=f"user-{number}")
    conn.execute("VACUUM ANALYZE queue.tasks, queue.attempts, queue.limits")
    return conn


@pytest.mark.slow
@pytest.mark.parametrize("prepared", [True, False])
def test_no_statement_reads_a_whole_table(beside_finished: psycopg.Connection, prepared: bool) -> None:
    conn = beside_finished
    if not prepared:
        conn.prepare_threshold = None
    claims, tasks = claimer(), list[Task]()

    def claim() -> None:
        tasks[:] = claims.claim(conn, 20)
        assert len(tasks) == 20

    def check_held() -> None:
        with conn.transaction():
            lease.check_held(conn, tasks)

    def rescue() -> None:
        end_leases_of(conn, tasks[16:])
        assert len(put_back(conn, find_lost(conn), {}, 3, pause_s=60)) == 4

    steps: list[tuple[Callable[[], object], int]] = [  # and how many rows each may read
        (claim, 1_500),  # finding the lanes of 200 users is part of the first
        (lambda: lease.extend(conn, tasks, lease_s=60), 300),
        (lambda: lease.save_checkpoint(conn, tasks[0], {"n": 1}), 50),
        (check_held, 200),
        (lambda: complete(conn, succeeded(tasks[:12])), 200),
        (lambda: complete(conn, [back_to_queue(task) for task in tasks[12:16]]), 200),
        (rescue, 400),
        (lambda: enqueue(conn, [Request("crawl", subject_id=n) for n in range(50)]), 400),
        (lambda: enqueue(conn, [Request("crawl", dedupe_key=str(n)) for n in range(50)]), 400),
    ]
    for _ in range(8):  # a prepared statement has its final plan after the fifth
        for number, (step, allowed) in enumerate(steps):
            before = read_so_far(conn)
            step()
            after = read_so_far(conn)
            assert after.whole == before.whole, number
            assert after.rows - before.rows <= allowed, number


def back_to_queue(task: Task) -> Ending:
    return Ending(task, "failed", "queued", error_class="Boom")


def end_leases_of(conn: psycopg.Connection, tasks: list[Task]) -> None:
    conn.execute(
        "UPDATE queue.tasks SET lease_until = now() - interval '1 s' WHERE task_id = ANY (%s)",
        ([task.task_id for task in tasks],),
    )


def test_the_guard_sees_a_table_that_is_read_whole(beside_finished: psycopg.Connection) -> None:
    before = read_so_far(beside_finished)
    beside_finished.execute("SELECT count(*) FROM queue.attempts WHERE worker = 'x'").fetchall()
    after = read_so_far(beside_finished)
    assert after.whole > before.whole
    assert after.rows - before.rows >= 100_000


def test_a_claim_reads_no_more_of_a_long_lane_than_it_takes(conn: psycopg.Connection) -> None:
    add(conn, 20_000)
    add(conn, 5, user="bob")
    conn.execute("ANALYZE queue.tasks")
    before = read_so_far(conn)
    assert len(Claimer(["crawl"], worker="vm1/1", run_id=uuid.uuid4(), lease_s=60).claim(conn, 20)) == 4
    assert read_so_far(conn).rows - before.rows < 100


def test_a_claim_is_planned_once(conn: psycopg.Connection) -> None:
    add(conn, 100, user="")
    claims = claimer()
    for _ in range(8):
        assert len(claims.claim(conn, 10)) == 10
    planned = "SELECT custom_plans, generic_plans FROM pg_prepared_statements WHERE statement LIKE '%taken AS (%'"
    assert conn.execute(planned).fetchall() == [(0, 8)]


def entries_read(conn: psycopg.Connection) -> int:
    """Index entries, those of rows that are no more included."""
    conn.execute("SELECT pg_stat_force_next_flush()")
    row = conn.execute("SELECT sum(idx_tup_read)::int FROM pg_stat_user_indexes WHERE relname = 'tasks'").fetchone()
    return row[0] if row else 0


def test_under_an_old_snapshot_a_claim_reads_nothing_of_what_was_done_before(
    database: Database, conn: psycopg.Connection
) -> None:
    add(conn, 6_000, user="")
    with database.connect() as reader, reader.transaction():
        reader.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        reader.execute("SELECT count(*) FROM queue.limits")
        claims = claimer()
        for _ in range(10):
            assert complete(conn, succeeded(claims.claim(conn, 500))) == []
        claims._lasts_s = 3600  # no look for other lanes meanwhile
        before = entries_read(conn)
        assert len(claims.claim(conn, 20)) == 20
        assert entries_read(conn) - before < 1_500  # of the claim before it there are 500
        before = entries_read(conn)
        assert len(claims.claim(conn, 20)) == 20
        assert entries_read(conn) - before < 300


def nodes(plan: dict[str, Any]) -> Generator[dict[str, Any], None, None]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from nodes(child)


@pytest.mark.parametrize("statement", [CLAIM, FIND_LANES, SUCCEED, END], ids=["claim", "find", "succeed", "end"])
def test_the_plan_goes_by_index(beside_finished: psycopg.Connection, statement: bytes | str) -> None:
    conn = beside_finished
    asked = statement if isinstance(statement, bytes) else statement.encode()
    values: dict[str, object] = {
        "places": "{1,2}", "users": "{user-1,user-2}", "types": "{crawl,crawl}",
        "ranks": '{"2020-01-01 00:00:00","2020-01-01 00:00:00"}', "task_ids": "{1,2}", "late": "{f,f}", "wanted": 20,
        "turn": 2,
        "seen": 0, "known": "{}", "worker": "vm1/1", "run_id": uuid.uuid4(), "lease_s": 60.0, "fences": "{1,2}",
        "claimed_at": "{2020-01-01,2020-01-01}", "handler_versions": "{}", "memory_bytes": "{}", "results": "{}",
        "outcomes": "{failed,failed}", "states": "{queued,queued}", "scheduled_at": "{}", "error_classes": "{}",
        "error_messages": "{}", "are_recoverable": "{}",
    }  # fmt: skip
    with conn.transaction(force_rollback=True):
        if statement in (CLAIM, FIND_LANES):
            conn.execute(BY_INDEX)
        row = conn.execute(b"EXPLAIN (FORMAT JSON) " + asked, values).fetchone()
    assert row is not None
    ways = {
        node["Node Type"]
        for node in nodes(row[0][0]["Plan"])
        if node.get("Relation Name") in ("tasks", "attempts") and node["Node Type"] != "ModifyTable"
    }
    assert ways <= {"Index Scan", "Index Only Scan", "Tid Scan"}
    assert ways


def test_a_lease_that_is_over_is_found_among_what_runs(beside_finished: psycopg.Connection) -> None:
    claimer().claim(beside_finished, 20)
    end_leases(beside_finished)
    before = read_so_far(beside_finished)
    assert len(find_lost(beside_finished)) == 20
    after = read_so_far(beside_finished)
    assert after.whole == before.whole and after.rows - before.rows < 100
