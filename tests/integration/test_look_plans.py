"""Guards: what looks at the past reads no big table from end to end, however much is kept.

Every statement of the export, of `quality` and of `insights` is caught as it is sent and explained beside tables of a
size at which the planner has a choice. The few checks that must look at each row of a table say so, and are held to it.
"""

import json
from collections.abc import Generator, Iterator
from datetime import timedelta
from typing import Any, ClassVar

import psycopg
import pytest

from bench_past import NOW
from bench_postgres import Bench
from jobctl.db.connection import NO_LIMITS, Database
from jobctl.monitor.insights import gather
from jobctl.monitor.insights.runs import Usual
from jobctl.monitor.prometheus import export
from jobctl.monitor.quality import asking, events
from jobctl.monitor.quality.asking import CHECKS

BIG = {
    "job_history",
    "sync_events",
    "slots",
    "tasks",
    "attempts",
    "records",
    "items",
    "rejects",
    "embeddings",
    "outbox",
}
SINCE = NOW - timedelta(days=7)
GIVEN = {"since": SINCE, "now": NOW, "model_version": "m1"}

# A year of eight jobs' runs, with two events each; three weeks of tasks; three branches.
FILL = """
INSERT INTO ops.job_history (run_id, job, scope, correlation_id, status, exit_code, host, os_user,
    supervisor_pid, version, command, started_at, heartbeat_at, finished_at, duration_ms, counts) SELECT
    gen_random_uuid(), 'job' || n % 4, 's' || n % 2, 'c', CASE WHEN n % 50 = 0 THEN 'failed' ELSE 'completed'
    END, 0, 'h', 'u', 1, '1', 'x', at, at, at + interval '9 s', 9000, '{"read": 1}' FROM (SELECT n, now() - n *
    interval '5 minutes' AS at FROM generate_series(1, 100000) AS n) AS made;
INSERT INTO ops.sync_events (run_id, job, scope, at, level, event, fields) SELECT h.run_id, h.job, h.scope,
    h.started_at, 'info', 'step', '{"processed": 1}' FROM ops.job_history AS h CROSS JOIN generate_series(1, 2)
    AS n ORDER BY h.started_at;
INSERT INTO ops.slots (job, scope, slot_at, slot_local, verdict, host, run_id) SELECT h.job, h.scope,
    h.started_at, '', 'ran', 'h', h.run_id FROM ops.job_history AS h;
INSERT INTO ops.outbox (channel, dedupe_key, payload, state) SELECT 'slack', n::text, '{}', 'sent' FROM
    generate_series(1, 20000) AS n;
INSERT INTO queue.tasks (type, user_id, state, attempts, fence, finished_at, created_at, subject_id) SELECT
    'crawl', 'u' || n % 50, CASE WHEN n % 100 = 0 THEN 'failed' ELSE 'succeeded' END, 1, n, now() - (100001 - n)
    * interval '20 s', now() - (100001 - n) * interval '20 s', n FROM generate_series(1, 100000) AS n;
INSERT INTO queue.attempts (task_id, fence, type, user_id, attempt, host, worker, due_at, claimed_at,
    finished_at, outcome) SELECT t.task_id, t.fence, t.type, t.user_id, 1, 'h', 'w', t.created_at, t.created_at,
    t.finished_at, t.state FROM queue.tasks AS t ORDER BY t.task_id;
INSERT INTO queue.tasks (type, user_id) SELECT 'embed', 'u' FROM generate_series(1, 500);
INSERT INTO branch.branches (slug, title, field_map, active) SELECT 'b' || n, 'B', '{}', true FROM
    generate_series(1, 3) AS n;
INSERT INTO branch.records (branch_id, record_key, payload, payload_hash, source_version, load_id) SELECT
    b.branch_id, n::text, '{}', gen_random_uuid(), 1, 1 FROM branch.branches AS b, generate_series(1, 20000) AS
    n;
INSERT INTO core.items (item_id, branch_id, record_key, name, source_version, payload_hash, content_hash, rules,
    run_id) SELECT r.record_no, r.branch_id, r.record_key, 'n', 1, r.payload_hash, r.payload_hash, '',
    gen_random_uuid() FROM branch.records AS r;
INSERT INTO branch.rejects (branch_id, record_no, record_key, run_id, reason, payload, payload_hash, rules,
    resolved_at, resolution) SELECT r.branch_id, r.record_no, r.record_key, gen_random_uuid(), 'x', '{}',
    r.payload_hash, '', CASE WHEN r.record_no % 100 > 0 THEN now() END, CASE WHEN r.record_no % 100 > 0 THEN
    'accepted' END FROM branch.records AS r
"""


@pytest.fixture(scope="module")
def much(server: Bench) -> Generator[Database, None, None]:
    """Filled once for all tests of this file, which write nothing."""
    name = "monitor_plans"
    with psycopg.connect(server.dsn("postgres"), autocommit=True) as admin:
        admin.execute("CREATE DATABASE monitor_plans TEMPLATE jobctl_template")
    try:
        database = Database(server.dsn(name), "jobctl-test")
        with database.connect(limits=NO_LIMITS) as conn:
            conn.execute(FILL.encode())
            conn.execute("VACUUM ANALYZE")
        yield database
    finally:
        with psycopg.connect(server.dsn("postgres"), autocommit=True) as admin:
            admin.execute("DROP DATABASE IF EXISTS monitor_plans WITH (FORCE)")


class Catching(psycopg.Cursor[Any]):
    """Notes what is sent, and its plan."""

    plans: ClassVar[list[tuple[str, dict[str, Any]]]] = []

    def execute(self, query: Any, params: Any = None, **options: Any) -> Any:
        text = query.as_string(self) if hasattr(query, "as_string") else str(query)
        if text.lstrip().upper().startswith(("SELECT", "WITH")):
            with psycopg.Cursor(self.connection) as explaining:
                explaining.execute(f"EXPLAIN (FORMAT JSON) {text}".encode(), params)
                row = explaining.fetchone()
            assert row is not None
            self.plans.append((text, row[0][0]["Plan"]))
        return super().execute(query, params, **options)


@pytest.fixture
def catching(much: Database) -> Generator[psycopg.Connection, None, None]:
    Catching.plans = []
    with much.connect() as conn:
        conn.cursor_factory = Catching
        yield conn


# An index over a state that few rows have may be read whole.
FEW = {"tasks_by_lane", "tasks_running", "tasks_failed", "rejects_open", "job_history_unfinished", "outbox_unsent"}


def read_whole(plan: dict[str, Any], *, is_limited: bool = False) -> Iterator[str]:
    """Big tables that are read from end to end, by themselves or by an index."""
    relation, kind = plan.get("Relation Name"), plan["Node Type"]
    by_index = kind in ("Index Scan", "Index Only Scan") and ("Index Cond" in plan or is_limited)
    if relation in BIG and not (by_index or plan.get("Index Name") in FEW or kind == "Bitmap Heap Scan"):
        yield str(relation)
    for child in plan.get("Plans", ()):
        yield from read_whole(child, is_limited=kind == "Limit")


def whole(plans: list[tuple[str, dict[str, Any]]]) -> dict[str, str]:
    return {relation: text for text, plan in plans for relation in read_whole(plan)}


@pytest.mark.slow
def test_the_export_reads_by_indexes(much: Database, catching: psycopg.Connection) -> None:
    found = export.gather(much, catching, limit_ms=60_000)
    assert not found.unseen
    assert whole(Catching.plans) == {}
    assert len(Catching.plans) > 20


@pytest.mark.slow
def test_insights_read_by_indexes(much: Database, catching: psycopg.Connection) -> None:
    found = gather.gather(much, catching, SINCE, NOW, Usual(5_000, 1 << 27), limit_ms=60_000)
    assert not found.unseen
    assert whole(Catching.plans) == {}
    assert len(Catching.plans) > 10


@pytest.mark.slow
def test_events_are_found_by_their_runs(much: Database, catching: psycopg.Connection) -> None:
    told = events.read(catching, SINCE, NOW)
    assert told.runs > 1_500
    assert whole(Catching.plans) == {}


@pytest.mark.slow
@pytest.mark.parametrize("name", [check.name for check in CHECKS])
def test_a_check_reads_whole_only_what_it_says(name: str, much: Database, catching: psycopg.Connection) -> None:
    (check,) = (each for each in CHECKS if each.name == name)
    found = asking.ask(much, catching, check, GIVEN, limit_ms=60_000)
    assert found.status != "unknown", found.why
    assert set(whole(Catching.plans)) <= set(check.reads), json.dumps(Catching.plans, default=str)[:3_000]


@pytest.mark.slow
def test_the_guard_sees_a_table_that_is_read_whole(catching: psycopg.Connection) -> None:
    catching.execute("SELECT count(*) FROM ops.sync_events AS e WHERE e.event = 'x'")
    catching.execute("SELECT count(*) FROM ops.job_history AS h WHERE h.host = 'x'")
    assert set(whole(Catching.plans)) == {"sync_events", "job_history"}
