"""`jobctl quality`: of each check data that breaks it, and it alone; and what is in order breaks none."""

import uuid
from datetime import timedelta

import psycopg
import pytest

from bench_ingest import Ingest, Source
from bench_past import NOW, incident, insert, ran, slot
from bench_tasks import make_attempt, make_task
from jobctl.db.connection import Database
from jobctl.monitor.quality import asking, events
from jobctl.monitor.quality.asking import CHECKS
from jobctl.monitor.quality.check import Finding

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
BY_NAME = {each.name: each for each in CHECKS}
GIVEN = {"since": NOW - 7 * DAY, "now": NOW + HOUR, "model_version": "m1"}


def ask(database: Database, conn: psycopg.Connection, name: str, *, limit_ms: int = 20_000) -> Finding:
    return asking.ask(database, conn, BY_NAME[name], GIVEN, limit_ms=limit_ms)


@pytest.fixture
def in_order(conn: psycopg.Connection, source: Source, ingest: Ingest) -> Source:
    """What jobs leave: records, items, rejects, tasks by a real ingest; runs, slots, incidents, tries."""
    conn.execute("UPDATE branch.branches SET expected_freshness = '1 day'")
    for nth in range(5):
        source.place(f"p{nth}")
    source.put("bad", {"id": "bad"})
    outcome = ingest()
    assert outcome.counts["rejected"] == 1
    conn.execute("UPDATE branch.records SET changed_at = now() - interval '3 hours'")
    ran(conn, "ingest-branch", "places", ago=HOUR, counts=dict(outcome.counts))
    ran(conn, "work", "vm1", ago=HOUR, counts={"claimed": 3, "succeeded": 1, "failed": 2})
    ran(conn, "sync", status="failed", ago=3 * HOUR)
    ran(conn, "sync", status="skipped", ago=2 * HOUR)
    last = ran(conn, "sync", ago=HOUR, degraded=True, exit_code=3)
    slot(conn, ago=2 * HOUR, run_id=last)
    insert(conn, "ops.sync_events", run_id=last, job="sync", level="info", event="project_synced")
    incident(conn)
    incident(conn, state="resolved")
    insert(
        conn, "dev.projects", node_id="w", github_id=9, full_name="o/weekly", is_private=False, is_fork=False,
        is_archived=False, stars=0, created_on_github_at=NOW, synced_at=NOW - 5 * DAY, schedule="@weekly",
    )  # fmt: skip
    insert(conn, "ops.outbox", channel="slack", dedupe_key="a", payload={}, state="sent")
    done = make_task(conn, state="succeeded", attempts=2)
    make_attempt(conn, done, fence=1, claimed_at="now() - interval '40 s'", finished_at="now() - interval '30 s'")
    make_attempt(conn, done, "succeeded", fence=2, attempt=2)
    return source


def test_what_jobs_leave_breaks_no_check(in_order: Source, database: Database) -> None:
    with database.connect() as asked:
        found = [ask(database, asked, name) for name in BY_NAME]
    assert {each.name: (each.status, each.rows, each.mend) for each in found} == dict.fromkeys(BY_NAME, ("ok", 0, ""))


# Each takes something away, or adds what must not be: the check that finds it, a word of its example.
BREAKS: dict[str, tuple[str, str]] = {
    "records-judged": (
        """
        DELETE FROM core.items WHERE record_key = 'p1'
        """,
        "places p1",
    ),
    "items-have-records": (
        """
        DELETE FROM branch.records WHERE record_key = 'p2'
        """,
        "p2",
    ),
    "items-embedded": (
        """
        DELETE FROM queue.tasks WHERE type = 'embed'
        """,
        "p0",
    ),
    "vectors-have-items": (
        """
        ALTER TABLE core.embeddings ALTER COLUMN vector DROP NOT NULL;
        INSERT INTO core.embeddings (item_id, model_version, text_hash, vector) SELECT 99, 'm1', gen_random_uuid(), NULL
        """,
        "item 99",
    ),
    "rejects-have-records": (
        """
        DELETE FROM branch.records WHERE record_key = 'bad'
        """,
        "bad",
    ),
    "rows-have-branches": (
        """
        INSERT INTO branch.records (branch_id, record_key, payload, payload_hash, source_version, load_id) VALUES (777,
            'x', '{}', gen_random_uuid(), 1, 1)
        """,
        "records of branch number 777",
    ),
    "loads-add-up": (
        """
        INSERT INTO branch.loads (branch_id, source, format, full_load, bytes, rows, inserted, updated, unchanged,
            duplicates, stale, withdrawn, duration_ms) SELECT branch_id, 's', 'csv', true, 1, 5, 1, 1, 1, 1, 0, 0, 1
            FROM branch.branches
        """,
        "places load",
    ),
    "branches-fresh": (
        """
        UPDATE branch.branches SET loaded_at = now() - interval '2 days'
        """,
        "places, loaded 2",
    ),
    "projects-fresh": (
        """
        INSERT INTO dev.projects (node_id, github_id, full_name, is_private, is_fork, is_archived, stars,
            created_on_github_at, synced_at) VALUES ('n', 1, 'o/r', false, false, false, 0, now(), now() - interval '3
            days')
        """,
        "o/r",
    ),
    "counts-add-up": (
        """
        UPDATE ops.job_history SET counts = counts || '{"read": 99}' WHERE job = 'ingest-branch'
        """,
        "ingest-branch places run",
    ),
    "exit-codes-true": (
        """
        UPDATE ops.job_history SET exit_code = 0 WHERE status = 'failed'
        """,
        "sync  failed, exit code 0",
    ),
    "events-have-runs": (
        """
        UPDATE ops.sync_events SET run_id = gen_random_uuid()
        """,
        "project_synced",
    ),
    "slots-have-runs": (
        """
        UPDATE ops.slots SET run_id = gen_random_uuid()
        """,
        "sync",
    ),
    "schedules-judged": (
        """
        INSERT INTO ops.schedules (host, os_user, source, job, expression, zone, command, start_grace_s, catch_up,
            catch_up_cap, installed_at, evaluated_until) VALUES ('vm9', 'u', 'crontab', 'sync', '0 2 * * *', 'UTC', 'c',
            1, 'none', 1, now() - interval '9 days', now() - interval '2 days')
        """,
        "vm9 sync",
    ),
    "no-task-twice": (
        """
        UPDATE queue.attempts SET outcome = 'succeeded'
        """,
        "succeeded more than once",
    ),
    "limits-held": (
        """
        UPDATE queue.limits SET running = 0 WHERE kind = 'all';
        INSERT INTO queue.tasks (type, state, attempts, fence, claimed_at, lease_until, worker) VALUES ('crawl',
            'running', 1, 7, now(), now(), 'w')
        """,
        "all : 1 of 0",
    ),
    "no-stuck-past-lease": (
        """
        INSERT INTO queue.tasks (type, state, attempts, fence, claimed_at, lease_until, worker) VALUES ('crawl',
            'running', 1, 7, now(), now() - interval '3 hours', 'vm7/1')
        """,
        "vm7/1",
    ),
    "attempts-add-up": (
        """
        UPDATE queue.tasks SET attempts = 9 WHERE state = 'succeeded'
        """,
        ": 9 and 2",
    ),
    "incidents-close": (
        """
        UPDATE ops.alerts SET cleared_at = NULL
        """,
        "resolved, 1 firing",
    ),
    "incidents-have-events": (
        """
        DELETE FROM ops.incident_events WHERE event = 'resolved'
        """,
        "resolved",
    ),
    "messages-delivered": (
        """
        UPDATE ops.outbox SET state = 'unknown'
        """,
        "to slack unknown",
    ),
}


def broken_now(conn: psycopg.Connection) -> dict[str, tuple[int, str]]:
    """What the checks find inside the transaction that broke something."""
    answers = {each.name: conn.execute(asking.statement(each), {**GIVEN, "most": 100}).fetchone() for each in CHECKS}
    return {name: answer for name, answer in answers.items() if answer is not None and answer[0]}


def test_data_that_is_broken_is_found_by_its_check_and_by_no_other(in_order: Source, conn: psycopg.Connection) -> None:
    for name, (statements, word) in BREAKS.items():
        with conn.transaction(force_rollback=True):
            conn.execute(statements.encode())
            found = broken_now(conn)
        assert set(found) == {name}, (name, found)
        rows, example = found[name]
        assert rows >= 1 and word in example, (name, example)
    assert broken_now(conn) == {}


def test_a_run_that_says_running_and_holds_no_lock_is_found_and_one_that_holds_it_is_not(
    database: Database, conn: psycopg.Connection
) -> None:
    with database.connect() as holder, holder.transaction():
        holder.execute("SELECT pg_advisory_xact_lock(42)")
        pid = holder.info.backend_pid
        ran(conn, "sync", status="running", lock_key=42, guard_backend_pid=pid)
        assert ask(database, conn, "running-runs-live").status == "ok"
    assert ask(database, conn, "running-runs-live").rows == 1


def test_two_runs_at_the_same_time_are_found(database: Database, conn: psycopg.Connection) -> None:
    ran(conn, "sync", ago=3 * HOUR, took_s=60)
    ran(conn, "sync", "b", ago=3 * HOUR, took_s=60)
    assert ask(database, conn, "one-run-at-a-time").status == "ok"
    late = ran(conn, "sync", ago=3 * HOUR - timedelta(seconds=59), took_s=60)
    found = ask(database, conn, "one-run-at-a-time")
    assert (found.rows, found.example) == (1, f"sync  run {late}")


def test_each_check_has_a_test_that_breaks_it() -> None:
    assert {*BREAKS, "running-runs-live", "one-run-at-a-time"} == set(BY_NAME)
    assert len(BY_NAME) == len(CHECKS)


def test_a_check_that_cannot_be_asked_is_unknown_and_not_ok(database: Database, conn: psycopg.Connection) -> None:
    with database.connect() as other, conn.transaction():
        conn.execute("LOCK TABLE ops.outbox IN ACCESS EXCLUSIVE MODE")
        found = ask(database, other, "messages-delivered")
        assert (found.status, found.rows) == ("unknown", None)
        assert "took too long" in found.why
        assert ask(database, other, "limits-held").status == "ok"  # the connection is as good as before


def test_nothing_can_be_written_while_a_check_is_asked(database: Database, conn: psycopg.Connection) -> None:
    check = BY_NAME["limits-held"]._replace(
        broken="SELECT nextval('queue.fences')::text AS example"  # what a careless check might do
    )
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        asking.ask(database, conn, check, GIVEN, limit_ms=1_000)


# Events --------------------------------------------------------------------------------------------------------------


def test_events_are_counted_by_job_and_type_and_failures_by_what_they_have_in_common(conn: psycopg.Connection) -> None:
    run = ran(conn, "sync", "a", ago=HOUR)
    ran(conn, "sync", "b", ago=HOUR, run_id=run)  # another scope of the same run has no events of its own
    old = ran(conn, "sync", "a", ago=30 * DAY)

    def event(run_id: uuid.UUID, name: str, level: str = "info", **fields: object) -> None:
        insert(conn, "ops.sync_events", run_id=run_id, job="sync", level=level, event=name, fields=fields)

    event(run, "project_step", step="issues", processed=90, failed=10)
    event(run, "project_step", step="issues", processed=100, failed=0)
    event(run, "project_step", step="labels", processed=5, failed=0)
    for number in (17, 18):
        event(run, "project_synced", "error", error_class="NoAnswer", reason=f"no answer after {number} s")
    event(run, "project_synced")
    event(run, "attempt_failed", "warning", reason="exit code 1")
    event(old, "project_step", step="issues", processed=1_000, failed=1_000)
    for _ in range(3):
        ran(conn, "sync", status="failed", error_class="DatabaseUnavailable", error_message="away")
    told = events.read(conn, NOW - 7 * DAY, NOW)
    assert told.runs == 4 and told.is_whole
    assert [tuple(each) for each in told.tallies] == [
        ("sync", "attempt_failed", 1, 0, 1),
        ("sync", "issues", 2, 190, 10),
        ("sync", "labels", 1, 5, 0),
        ("sync", "project_synced", 3, 1, 2),
    ]
    assert told.tallies[1].success_rate == 0.95
    assert [(each.error_class, each.pattern, each.failures) for each in told.patterns] == [
        ("DatabaseUnavailable", "away", 3),
        ("NoAnswer", "no answer after N s", 2),
        ("attempt_failed", "exit code 1", 1),
    ]
