"""`jobctl export prometheus`: a database with known contents, read by Prometheus's own parser."""

from collections.abc import Generator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from prometheus_client.parser import text_string_to_metric_families
from psycopg import sql
from psycopg.conninfo import make_conninfo

from bench_past import NOW, incident, insert, ran, slot
from bench_tasks import make_attempt, make_task
from jobctl.db.connection import Database
from jobctl.monitor.prometheus import export
from jobctl.monitor.prometheus.catalogue import METRICS, SECTIONS
from jobctl.monitor.prometheus.export import Export
from jobctl.runtime.guard import lock_key

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
LIMIT_MS = 10_000
Values = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def gather(database: Database) -> Export:
    with database.connect() as conn:
        return export.gather(database, conn, limit_ms=LIMIT_MS)


def values(found: Export) -> Values:
    """By name and labels, after the text form and Prometheus's parser."""
    families = list(text_string_to_metric_families(export.render(found).decode()))
    for family in families:
        name = family.name + ("_total" if family.type == "counter" else "")
        assert (METRICS[name].kind, METRICS[name].help) == (family.type, family.documentation)
        assert {sample.name for sample in family.samples} == {name}  # no _created
    assert len({family.name for family in families}) == len(families)
    return {(s.name, tuple(sorted(s.labels.items()))): s.value for family in families for s in family.samples}


def of(told: Values, name: str, **labels: str) -> float | None:
    return told.get((name, tuple(sorted(labels.items()))))


def test_an_empty_database_is_exported_too(database: Database) -> None:
    found = gather(database)
    told = values(found)
    assert not found.unseen
    assert {of(told, "jobctl_export_section_seen", section=section) for section in SECTIONS} == {1.0}
    assert of(told, "jobctl_incidents_open", severity="critical") == 0
    assert of(told, "jobctl_queue_claims_total") == 0
    assert of(told, "jobctl_queue_running_limit", type="") == 500


def test_runs_are_told_as_the_history_and_the_locks_have_them(database: Database, conn: psycopg.Connection) -> None:
    for nth in range(5):
        ran(conn, "sync", ago=(nth + 3) * HOUR, took_s=10 + nth)
    ran(conn, "sync", status="failed", ago=2 * HOUR, took_s=3, peak_memory_bytes=77)
    ran(conn, "sync", status="timeout", ago=HOUR, took_s=4, exit_code=124, degraded=False)
    ran(conn, "sync", status="skipped", ago=timedelta(minutes=5))
    ran(conn, "ingest-branch", 'pla"ces\n', ago=HOUR, took_s=2, degraded=True, exit_code=3)
    ran(conn, "gone", ago=200 * DAY)
    key = lock_key(database.dsn, "metrics", "")
    conn.execute("INSERT INTO ops.locks (lock_key, job, scope, fence) VALUES (1, 'sync', '', 41)")
    ran(conn, "report", status="running", ago=HOUR, lock_key=5, guard_backend_pid=999_999, fence=1)
    with database.connect() as holder, holder.transaction():
        holder.execute("SELECT pg_advisory_xact_lock(%s)", (key,))
        pid = holder.info.backend_pid
        ran(conn, "metrics", status="running", ago=HOUR, lock_key=key, guard_backend_pid=pid, fence=1)
        told = values(gather(database))
    sync: dict[str, str] = {"job_name": "sync", "scope": ""}
    assert of(told, "jobctl_job_last_start_timestamp_seconds", **sync) == pytest.approx((NOW - HOUR).timestamp())
    assert of(told, "jobctl_job_last_success_timestamp_seconds", **sync) == pytest.approx(
        (NOW - 3 * HOUR + timedelta(seconds=10)).timestamp()
    )
    assert [of(told, f"jobctl_job_{name}", **sync) for name in (
        "last_success", "last_exit_code", "last_duration_seconds", "failures_in_a_row", "duration_median_seconds",
        "duration_p95_seconds", "starts_total",
    )] == [0, 124, 4, 2, 12, 14, 41]  # fmt: skip
    assert of(told, "jobctl_job_runs_last_day", status="completed", **sync) == 5
    assert of(told, "jobctl_job_runs_last_day", status="skipped", **sync) == 1
    branch = {"job_name": "ingest-branch", "scope": 'pla"ces\n'}
    assert (of(told, "jobctl_job_last_success", **branch), of(told, "jobctl_job_last_degraded", **branch)) == (1, 1)
    alive, dead = ({"job_name": job, "scope": ""} for job in ("metrics", "report"))
    assert (of(told, "jobctl_job_running", **alive), of(told, "jobctl_job_dead", **alive)) == (1, 0)
    assert (of(told, "jobctl_job_running", **dead), of(told, "jobctl_job_dead", **dead)) == (0, 1)
    running_s = of(told, "jobctl_job_running_seconds", **alive)
    assert running_s is not None and running_s > 3_500
    assert of(told, "jobctl_job_running_seconds", **dead) is None
    assert of(told, "jobctl_job_last_start_timestamp_seconds", job_name="gone", scope="") is None


def test_queue_slots_branches_projects_alerts_and_database_are_told(
    database: Database, conn: psycopg.Connection
) -> None:
    make_task(conn, scheduled_at="now() - interval '10 minutes'")
    make_task(conn, scheduled_at="now() + interval '10 minutes'")
    make_task(conn, state="running", lease_until="now() - interval '1 s'")
    failed = make_task(conn, state="failed")
    make_attempt(conn, failed)
    conn.execute("SELECT nextval('queue.fences'), nextval('queue.fences')")
    slot(conn, verdict="missed", ago=HOUR)
    slot(conn, verdict="missed", ago=30 * HOUR)
    insert(conn, "ops.pauses", job="sync", until_at=NOW + DAY, from_at=NOW - DAY, reason="r", paused_by="p")
    insert(
        conn, "branch.branches", slug="places", title="P", field_map={}, active=True, loaded_at=NOW - HOUR,
        expected_freshness=DAY,
    )  # fmt: skip
    conn.execute(
        "INSERT INTO branch.rejects (branch_id, record_no, record_key, run_id, reason, payload, payload_hash, rules)"
        " SELECT branch_id, n, n::text, gen_random_uuid(), 'missing', '{}', gen_random_uuid(), '' "
        " FROM branch.branches, generate_series(1, 3) AS n"
    )
    insert(conn, "dev.metric_rules", version="v", rules={})
    figures: dict[str, Any] = {
        "revenue_at_risk": {"by_severity": {"critical": {"bugs": 2, "per_day": "150.50"}}},
        "service_levels": {"resolution": {"critical": {"breached": 1, "met": 2}, "low": {"breached": 3}}},
        "health": {"healthy": 4},
    }
    hour = NOW.replace(minute=0, second=0, microsecond=0)
    insert(
        conn, "dev.metric_hours", hour=hour, computed_at=NOW, run_id="00000000-0000-0000-0000-000000000000",
        rules_version="v", figures=figures,
    )  # fmt: skip
    for number, days, schedule in ((1, 1, None), (2, 6, "@weekly")):
        insert(
            conn, "dev.projects", node_id=f"n{number}", github_id=number, full_name=f"o/{number}", is_private=False,
            is_fork=False, is_archived=False, stars=0, created_on_github_at=NOW, synced_at=NOW - days * DAY,
            schedule=schedule, sync_outcome="ok",
        )  # fmt: skip
    incident(conn)
    for state in ("new", "failed", "sent"):
        insert(conn, "ops.outbox", channel="slack", dedupe_key=state, payload={}, state=state)
    told = values(gather(database))
    expected = {
        ("jobctl_queue_waiting_tasks", "crawl"): 2,
        ("jobctl_queue_due_tasks", "crawl"): 1,
        ("jobctl_queue_running_tasks", "crawl"): 1,
        ("jobctl_queue_overdue_tasks", "crawl"): 1,
        ("jobctl_queue_failed_tasks", "crawl"): 1,
        ("jobctl_queue_attempts_last_hour", "failed", "crawl"): 1,
        ("jobctl_queue_claims_total",): 2,
        ("jobctl_slots_last_day", "sync", "", "missed"): 1,
        ("jobctl_job_paused", "sync", ""): 1,
        ("jobctl_branch_active", "places"): 1,
        ("jobctl_branch_expected_freshness_seconds", "places"): 86_400,
        ("jobctl_branch_open_rejects", "places"): 3,
        ("jobctl_projects", "ok"): 2,
        ("jobctl_open_bugs", "critical"): 2,
        ("jobctl_revenue_at_risk_per_day", "critical"): 150.5,
        ("jobctl_service_level_cycles", "resolution", "breached"): 4,
        ("jobctl_projects_by_health", "healthy"): 4,
        ("jobctl_incidents_open", "critical"): 1,
        ("jobctl_alerts_firing", "run-failed"): 1,
        ("jobctl_outbox_unsent_messages", "slack"): 1,
        ("jobctl_outbox_undelivered_last_day", "slack", "failed"): 1,
    }
    flat = {(name, *(value for _, value in labels)): value for (name, labels), value in told.items()}
    assert {key: flat.get(key) for key in expected} == expected
    assert 590 < flat["jobctl_queue_oldest_due_seconds", "crawl"] < 700
    assert flat[("jobctl_project_oldest_sync_timestamp_seconds",)] == pytest.approx((NOW - DAY).timestamp())
    assert flat[("jobctl_database_size_bytes",)] > 1_000_000
    assert ("jobctl_table_size_bytes", "ops.job_history") in flat


@pytest.fixture
def reader(database: Database, conn: psycopg.Connection) -> Generator[Database, None, None]:
    """The database as a role sees it that may read all but the queue."""
    conn.execute("CREATE ROLE half_reader LOGIN PASSWORD 'r'")
    try:
        for schema in ("branch", "core", "dev", "jobctl_meta", "ops", "queue"):
            name = sql.Identifier(schema)
            conn.execute(sql.SQL("GRANT USAGE ON SCHEMA {} TO half_reader").format(name))
            if schema != "queue":
                conn.execute(sql.SQL("GRANT SELECT ON ALL TABLES IN SCHEMA {} TO half_reader").format(name))
        yield replace(database, dsn=make_conninfo(database.dsn, user="half_reader", password="r"))
    finally:
        conn.execute("DROP OWNED BY half_reader")
        conn.execute("DROP ROLE half_reader")


def test_what_the_role_may_not_read_is_left_out_and_said(reader: Database, conn: psycopg.Connection) -> None:
    ran(conn, "sync")
    found = gather(reader)
    told = values(found)
    assert of(told, "jobctl_job_last_success", job_name="sync", scope="") == 1
    assert of(told, "jobctl_export_section_seen", section="queue") == 0
    assert of(told, "jobctl_export_section_seen", section="alerts") == 1  # read after the one that was refused
    assert of(told, "jobctl_queue_claims_total") is None
    assert of(told, "jobctl_database_oldest_snapshot_seconds") is None  # of others' sessions it is shown nothing
    assert [each.what for each in found.unseen] == ["queue", "sessions of other roles"]
    assert "permission denied" in found.unseen[0].why


def test_a_table_that_is_locked_costs_its_section_and_no_other(database: Database, conn: psycopg.Connection) -> None:
    with conn.transaction():
        conn.execute("LOCK TABLE ops.slots IN ACCESS EXCLUSIVE MODE")
        found = gather(database)
    told = values(found)
    assert of(told, "jobctl_export_section_seen", section="schedule") == 0
    assert of(told, "jobctl_export_section_seen", section="database") == 1
    assert [each.what for each in found.unseen] == ["schedule", "tables"]


def test_of_very_many_scopes_a_bounded_number_is_told(
    database: Database, conn: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobctl.monitor.prometheus.runs.MOST_SCOPES", 3)
    for nth in range(8):
        ran(conn, "run", f"c{nth}")
    told = values(gather(database))
    assert sum(name == "jobctl_job_last_success" for name, _ in told) == 3
    assert of(told, "jobctl_job_scopes_left_out") == 5
