"""`jobctl insights` over a database with known contents: the facts that the judges are given are those of the rows."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from bench_past import NOW, insert, ran, slot
from bench_tasks import make_attempt, make_task
from jobctl.db.connection import Database
from jobctl.monitor.insights import gather
from jobctl.monitor.insights.finding import Finding
from jobctl.monitor.insights.gather import Insights
from jobctl.monitor.insights.runs import Usual

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
Look = Callable[[], dict[tuple[str, str], Finding]]


def ask(database: Database) -> Insights:
    with database.connect() as conn:
        return gather.gather(database, conn, NOW - 14 * DAY, NOW + HOUR, Usual(5_000, 120 << 20), limit_ms=20_000)


@pytest.fixture
def look(database: Database) -> Look:
    def ask_all() -> dict[tuple[str, str], Finding]:
        found = ask(database)
        assert not found.unseen
        return {(each.code, each.subject): each for each in found.findings}

    return ask_all


def test_an_empty_database_has_nothing_to_say(look: Look) -> None:
    assert look() == {}


def test_runs_are_compared_in_their_order_and_by_their_versions(conn: psycopg.Connection, look: Look) -> None:
    for nth in range(40):
        is_new = nth >= 30
        ran(conn, "sync", ago=(40 - nth) * HOUR, took_s=30 if is_new else 10 + nth % 3, version="2" if is_new else "1",
            counts={"requests": 100})  # fmt: skip
        ran(conn, "metrics", ago=(40 - nth) * HOUR, took_s=5)
        ran(conn, "sync", status="failed", ago=(40 - nth) * HOUR + timedelta(minutes=5), took_s=500)
    found = look()["slower", "sync"]
    assert found.evidence["runs_before"] == 30 and found.evidence["runs_since"] == 10
    assert (found.evidence["version_before"], found.evidence["version"]) == ("1", "2")
    assert found.evidence["since"] == pytest.approx(NOW - 10 * HOUR, abs=timedelta(seconds=1))
    assert found.evidence["work_factor"] == 1.0


def test_skips_behind_a_run_count_as_overlap_and_those_of_the_worker_do_not(
    conn: psycopg.Connection, look: Look
) -> None:
    for nth in range(30):
        slot(conn, ago=nth * HOUR)
        ran(conn, "sync", ago=nth * HOUR, took_s=100)
        for job in ("sync", "work"):
            if nth < 10:
                ran(conn, job, status="skipped", ago=nth * HOUR + timedelta(minutes=9), evidence={"holder_run_id": "x"})
        ran(conn, "sync", status="skipped", ago=nth * HOUR + timedelta(minutes=8), evidence={"answered_by": "x"})
    found = look()
    assert set(found) == {("overlapping", "sync")}
    assert found["overlapping", "sync"].evidence == {
        "starts": 40, "skipped": 10, "skipped_share": 0.25, "p95_s": 100.0, "interval_s": 3_600.0,
    }  # fmt: skip


def test_rejects_and_failed_runs_are_grouped_by_what_they_have_in_common(conn: psycopg.Connection, look: Look) -> None:
    insert(conn, "branch.branches", slug="places", title="P", field_map={}, active=True)
    conn.execute(
        "INSERT INTO branch.rejects (branch_id, record_no, record_key, run_id, reason, field, detail, payload,"
        " payload_hash, rules, resolved_at, resolution) SELECT branch_id, n, n::text, gen_random_uuid(),"
        " CASE WHEN n <= 40 THEN 'missing' ELSE 'range' END, 'name', 'row ' || n, '{}', gen_random_uuid(), '',"
        " CASE WHEN n > 50 THEN now() END, CASE WHEN n > 50 THEN 'accepted' END"
        " FROM branch.branches, generate_series(1, 90) AS n"
    )
    for nth in range(12):
        ran(conn, "sync", status="failed", ago=nth * HOUR, error_class="NoAnswer", error_message=f"after {nth} s")
    found = look()
    assert set(found) == {("rejects", "branch places"), ("error-pattern", "runs sync")}
    rejects = found["rejects", "branch places"].evidence
    assert (rejects["open"], rejects["all_open"], rejects["reason"]) == (40, 50, "missing")
    assert found["error-pattern", "runs sync"].evidence["pattern"] == "after N s"


def test_tries_of_the_queue_become_waits_retries_and_backlogs(conn: psycopg.Connection, look: Look) -> None:
    conn.execute("INSERT INTO queue.limits (kind, name, running) VALUES ('type', 'crawl', 10)")
    # Two full hours, in each of which ten ran at once for 10 s and waited five minutes.
    conn.execute(
        "INSERT INTO queue.attempts (task_id, fence, type, user_id, attempt, host, worker, due_at, claimed_at,"
        " finished_at, outcome, error_class)"
        " SELECT 1000 + n, 1, 'crawl', 'u' || n % 50, 1, 'h', 'w', f - interval '310 s', f - interval '10 s', f,"
        " CASE WHEN n % 100 = 0 THEN 'failed' ELSE 'succeeded' END, CASE WHEN n % 100 = 0 THEN 'NotFound' END"
        " FROM (SELECT n, date_trunc('hour', now()) - n * interval '1 s' - interval '1 s' AS f"
        " FROM generate_series(0, 7199) AS n) AS made"
    )
    for task in range(1000, 8200, 100):
        make_attempt(conn, task, fence=2, attempt=2, error_class="NotFound")
    conn.execute(
        "INSERT INTO queue.tasks (type, user_id, scheduled_at)"
        " SELECT 'embed', 'u', now() - interval '2 hours' FROM generate_series(1, 60)"
    )
    make_task(conn, scheduled_at="now() - interval '1 minute'")
    found = look()
    assert set(found) == {
        ("throttled", "queue crawl"), ("retries-in-vain", "queue crawl"), ("backlog", "queue embed"),
        ("error-pattern", "tasks crawl"),
    }  # fmt: skip
    slow = found["throttled", "queue crawl"]
    assert (slow.evidence["wait_p50_s"], slow.evidence["run_p50_s"], slow.evidence["hours"]) == (300.0, 10.0, 2)
    assert slow.evidence["at_once"] == pytest.approx(10.0, rel=0.05)
    retries: dict[str, Any] = dict(found["retries-in-vain", "queue crawl"].evidence)
    assert (retries["failures"], retries["retried"], retries["helped"]) == (144, 72, 0)
    assert found["backlog", "queue embed"].severity == "high"


def test_a_snapshot_that_is_held_is_seen(
    database: Database, conn: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobctl.monitor.insights.storage.OLD_SNAPSHOT_S", 0.001)
    with database.connect(purpose="held") as holder, holder.transaction():
        holder.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        holder.execute("SELECT count(*) FROM ops.locks")
        (found,) = ask(database).findings
        assert (found.code, found.evidence["pid"]) == ("old-snapshot", holder.info.backend_pid)
        assert found.subject == "jobctl-test/held"
