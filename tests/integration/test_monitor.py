"""What status, stats, slo and events ask of the database, beside a history whose answers were worked out by hand."""

import re
import uuid
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import psycopg
import pytest
from psycopg import sql

from bench_history import make_event, make_run
from bench_page import DOCS
from bench_tasks import make_task
from jobctl.cli import slo_command, stats_figures, status_object
from jobctl.cli.stats_figures import Found
from jobctl.db.connection import Database
from jobctl.monitor.runs import events, faults, glance, missed, running, slo_facts, statistics, tries
from jobctl.monitor.runs.facts import Unfinished
from jobctl.monitor.runs.glance import Glance
from jobctl.monitor.runs.slo import Level, Tally
from jobctl.runtime import history
from jobctl.runtime.guard import Grant, Guard
from jobctl.runtime.identity import Identity
from jobctl.schedule import pauses, registry
from jobctl.schedule.plan import PLAN
from jobctl.schedule.registry import Line
from jobctl.settings_alerts import AlertSettings
from jobctl.settings_monitor import SloSettings

DAY = datetime(2026, 6, 1, tzinfo=UTC)
CONDITIONS = AlertSettings().conditions
JSON_PAGE = (DOCS / "json.md").read_text(encoding="utf-8")


def hours(number: float) -> timedelta:
    return timedelta(hours=number)


def now_of(conn: psycopg.Connection) -> datetime:
    row = conn.execute("SELECT clock_timestamp()").fetchone()
    assert row is not None
    return row[0]


def glance_of(conn: psycopg.Connection, *, host: str = "vm1") -> Glance:
    return glance.gather(conn, CONDITIONS, host=host, now=now_of(conn))


# What runs now -------------------------------------------------------------------------------------------------------


@contextmanager
def a_run(
    database: Database, conn: psycopg.Connection, job: str, scope: str = ""
) -> Generator[tuple[uuid.UUID, Guard]]:
    """As the envelope has it: lock, fence and row."""
    run_id = uuid.uuid4()
    guard = Guard(database, job, scope, lease_s=60)
    grant = guard.acquire(conn, run_id=run_id, host="vm1", worker_pid=7)
    assert isinstance(grant, Grant)
    identity = Identity(run_id, job, "c", "vm1", "ops", 6, "0.1", f"jobctl {job}")
    history.start(conn, identity, scope, worker_pid=7, lease_s=60, **grant._asdict())
    try:
        yield run_id, guard
    finally:
        guard.release()


def states_of(conn: psycopg.Connection) -> dict[str, str]:
    return {each.job: each.state for each in running.unfinished(conn)}


def test_a_run_is_dead_in_the_moment_in_which_its_lock_is_free(database: Database, conn: psycopg.Connection) -> None:
    with a_run(database, conn, "sync") as (run_id, guard), a_run(database, conn, "metrics"):
        assert states_of(conn) == {"sync": "running", "metrics": "running"}
        conn.execute("UPDATE ops.job_history SET heartbeat_at = now() - interval '31 s' WHERE job = 'metrics'")
        assert states_of(conn) == {"sync": "running", "metrics": "frozen"}
        guard.release()
        assert states_of(conn) == {"sync": "dead", "metrics": "frozen"}
        found = glance_of(conn)
        assert found.health.status == "warning"
        assert {each.code: each.subject for each in found.health.reasons} == {"dead": "sync", "frozen": "metrics"}
        (dead,) = (each.text for each in found.health.reasons if each.code == "dead")
        assert dead.startswith("sync is dead on vm1: its lock is free") and str(run_id) in dead
        assert {each.job: each.state for each in found.jobs} == {"sync": "dead", "metrics": "frozen"}


def test_a_lock_of_its_successor_does_not_bring_a_dead_run_back(database: Database, conn: psycopg.Connection) -> None:
    """Even if the server, started anew, has given the successor's session the number of the dead one's."""
    with a_run(database, conn, "sync") as (first, guard):
        guard.release()
        with a_run(database, conn, "sync") as (second, _):
            conn.execute(
                "UPDATE ops.job_history AS h SET guard_backend_pid = k.guard_backend_pid FROM ops.locks AS k"
                " WHERE h.run_id = %s AND k.job = h.job",
                (first,),
            )
            assert {each.run_id: each.state for each in running.unfinished(conn)} == {first: "dead", second: "running"}


def test_a_run_that_ends_while_it_is_looked_at_is_not_dead(
    database: Database, conn: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask = running._ask

    def then_it_ends(asked: psycopg.Connection) -> list[Unfinished]:
        found = ask(asked)
        asked.execute("UPDATE ops.job_history SET status = 'completed', finished_at = now() WHERE job = 'sync'")
        return found

    make_run(conn, now_of(conn), status="running")
    assert states_of(conn) == {"sync": "dead"}
    monkeypatch.setattr(running, "_ask", then_it_ends)
    assert running.unfinished(conn) == []


def test_progress_is_of_the_runs_own_checkpoint(database: Database, conn: psycopg.Connection) -> None:
    with a_run(database, conn, "ingest-branch", "places") as (run_id, _):
        for scope, whose in (("places", run_id), ("other", run_id), ("", uuid.uuid4())):
            conn.execute(
                "INSERT INTO ops.checkpoints (job, scope, format, position, run_id, fence, batch_no, counts)"
                " VALUES ('ingest-branch', %s, 1, '{}', %s, 1, 1, '{\"read\": 70}')",
                (scope, whose),
            )
        for took_s in (60, 120, 600):
            make_run(conn, now_of(conn) - hours(took_s), job="ingest-branch", scope="places", took_s=took_s)
        (found,) = glance_of(conn).running
    assert found.run.progress == {"read": 70}
    assert found.expected_end_at == found.run.started_at + timedelta(minutes=2)
    assert found.latest_end_at == found.run.started_at + timedelta(minutes=10)


def test_who_only_reads_sees_the_same(database: Database, conn: psycopg.Connection) -> None:
    with a_run(database, conn, "sync"):
        make_run(conn, now_of(conn) - hours(1), job="metrics", status="failed")
        expected = glance_of(conn)
        role = sql.Identifier("monitor-reader")
        conn.execute(sql.SQL("CREATE ROLE {}").format(role))
        try:
            for statement in ("GRANT USAGE ON SCHEMA {1} TO {0}", "GRANT SELECT ON ALL TABLES IN SCHEMA {1} TO {0}"):
                schemas = sql.SQL(", ").join(map(sql.Identifier, ("ops", "queue", "branch", "dev")))
                conn.execute(sql.SQL(statement).format(role, schemas))
            with database.connect() as reader:
                reader.execute(sql.SQL("SET ROLE {}").format(role))
                reader.read_only = True
                with database.transaction(reader):
                    seen = glance_of(reader)
                    found = statistics.statistics(reader, since=DAY, until=now_of(reader), zone="UTC")
                    levels_of(reader, now_of(reader))
                    events.page(reader, since=DAY)
        finally:
            conn.execute(sql.SQL("DROP OWNED BY {}").format(role))
            conn.execute(sql.SQL("DROP ROLE {}").format(role))
    assert [(each.job, each.state) for each in seen.jobs] == [("metrics", "failed"), ("sync", "running")]
    assert seen.jobs == expected.jobs
    assert found.total.total == 2


# Jobs, slots and the rest --------------------------------------------------------------------------------------------


def test_jobs_and_scopes_with_their_last_runs_and_next_slots(conn: psycopg.Connection) -> None:
    now = now_of(conn)
    for nth, (status, took_s) in enumerate([("completed", 2), ("failed", 1), ("completed", 4), ("completed", 6)]):
        make_run(conn, now - hours(9 - nth), job="ingest-branch", scope="a", status=status, took_s=took_s)
    last = make_run(conn, now - hours(5), job="ingest-branch", scope="a", status="skipped", took_s=0)
    make_run(conn, now - hours(2), job="ingest-branch", scope="b", degraded=True)
    make_run(conn, now - hours(1), job="run", scope="backup", status="timeout", exit_code=124)
    lines = [
        Line("crontab", "ingest-branch", "", "0 * * * *", "UTC", "jobctl ingest-branch", 120, "latest", 24),
        Line("crontab", "report", "", "0 9 * * 1", "UTC", "jobctl report", 120, "none", 24),
    ]
    registry.register(conn, "vm1", "ops", lines, now=now)
    pauses.begin(conn, "report", "", now=now, until_at=now + hours(1), reason="holidays", paused_by="ann")
    found = {(each.job, each.scope): each for each in glance_of(conn).jobs}
    assert {key: each.state for key, each in found.items()} == {
        ("ingest-branch", "a"): "skipped",
        ("ingest-branch", "b"): "degraded",
        ("report", ""): None,
        ("run", "backup"): "timeout",
    }
    first = found["ingest-branch", "a"]
    assert first.last is not None and first.last.run_id == last
    assert first.streak == ("good", 2, False)
    assert (first.durations.runs, first.durations.p50_ms, first.durations.p95_ms) == (3, 4_000, 6_000)
    assert first.durations.last_ms == (2_000, None, 4_000, 6_000)
    assert first.last_success_at == now - hours(6)
    on_the_hour = (now + hours(1)).replace(minute=0, second=0, microsecond=0)
    assert [found[key].next_at for key in (("ingest-branch", "a"), ("run", "backup"))] == [on_the_hour, None]
    assert "by ann: holidays" in found["report", ""].pause


def test_a_slot_is_missed_though_nothing_has_started_that_could_judge_it(conn: psycopg.Connection) -> None:
    now = now_of(conn).replace(minute=30, second=0, microsecond=0)
    line = Line("crontab", "sync", "", "0 * * * *", "UTC", "jobctl sync", 120, "latest", 24)
    registry.register(conn, "vm1", "ops", [line], now=now - hours(3))

    def missed_slots() -> list[tuple[str, int, bool]]:
        places, schedules = glance.recent.places(conn), registry.installed(conn)
        quiet = pauses.since(conn, now - missed.LOOKED_BACK)
        found = missed.standing(conn, schedules, quiet, places, host="vm1", now=now)
        assert all(each.slot_at == now.replace(minute=0) for each in found)
        return [(each.job, each.slots, each.is_judged) for each in found]

    assert missed_slots() == [("sync", 3, False)]
    conn.execute(
        "INSERT INTO ops.slots (job, slot_at, slot_local, verdict, host) VALUES ('sync', %s, '', 'missed', 'vm1')",
        (now.replace(minute=0) - hours(1),),
    )
    assert missed_slots() == [("sync", 3, False)]
    conn.execute("UPDATE ops.schedules SET evaluated_until = %s", (now,))
    conn.execute("UPDATE ops.slots SET slot_at = slot_at + interval '1 hour'")
    assert missed_slots() == [("sync", 1, True)]
    make_run(conn, now - timedelta(minutes=5), status="failed")
    assert missed_slots() == [("sync", 1, True)]
    make_run(conn, now - timedelta(minutes=4))
    assert missed_slots() == []


def test_what_waits_and_how_fresh_it_is(conn: psycopg.Connection) -> None:
    make_task(conn, "crawl", scheduled_at="now() - interval '10 minutes'")
    make_task(conn, "crawl", scheduled_at="now() + interval '10 minutes'")
    make_task(conn, "crawl", state="running")
    for slug, age, expected in (("a", "3 hours", "2 hours"), ("b", "1 hour", None)):
        conn.execute(
            "INSERT INTO branch.branches (slug, title, field_map, active, loaded_at, expected_freshness)"
            " VALUES (%s, %s, '{}', true, now() - %s::interval, %s::interval)",
            (slug, slug, age, expected),
        )
    found = glance_of(conn)
    assert [(each.type, each.due) for each in found.queue.due] == [("crawl", 1)]
    assert (found.queue.running, found.queue.failed) == (1, 0)
    assert {each.branch: each.is_stale for each in found.branches} == {"a": True, "b": False}
    assert (found.projects.projects, found.projects.oldest_s, found.projects.outcomes) == (0, None, {})


# stats ---------------------------------------------------------------------------------------------------------------


@pytest.fixture
def seeded(conn: psycopg.Connection) -> None:
    """Two days: of sync 7 runs of each kind of end, of a branch 2; and two runs just outside."""
    make_run(conn, DAY + hours(1), took_s=10, counts={"projects": 5})
    make_run(conn, DAY + hours(2), took_s=20, counts={"projects": 5, "issues_inserted": 9}, degraded=True)
    make_run(conn, DAY + hours(3), took_s=1, status="failed")
    make_run(conn, DAY + hours(26), took_s=40)
    make_run(conn, DAY + hours(27), took_s=0, status="skipped")
    make_run(conn, DAY + hours(28), took_s=3, status="interrupted", exit_code=143)
    make_run(conn, DAY + hours(29), took_s=3, status="interrupted", exit_code=137)
    make_run(conn, DAY + hours(30), took_s=4, job="ingest-branch", scope="a", counts={"read": 100, "rejected": 1})
    make_run(conn, DAY + hours(47), job="ingest-branch", scope="a", status="running")
    make_run(conn, DAY - timedelta(seconds=1), took_s=999)
    make_run(conn, DAY + hours(48), took_s=999)


def figures(conn: psycopg.Connection, zone: str = "UTC") -> statistics.Statistics:
    return statistics.statistics(conn, since=DAY, until=DAY + hours(48), zone=zone)


def test_statistics_of_a_history_worked_out_by_hand(conn: psycopg.Connection, seeded: None) -> None:
    found = figures(conn)
    ingest, sync = found.jobs
    assert sync._replace(trend_ms=()) == statistics.Figures(
        "sync", total=7, completed=3, degraded=1, failed=2, interrupted=1, skipped=1, unfinished=0, records=10,
        avg_ms=sync.avg_ms, p50_ms=20_000, p95_ms=40_000, p99_ms=40_000,
    )  # fmt: skip
    assert (sync.success_rate, sync.avg_ms) == (3 / 5, pytest.approx(70_000 / 3))
    assert sync.trend_ms == (10_000, *[None] * 5, 40_000, *[None] * 5)  # by four hours; of 10 and 20 s the nearest rank
    assert (ingest.total, ingest.completed, ingest.unfinished, ingest.records) == (2, 1, 1, 100)
    assert (ingest.success_rate, ingest.avg_ms) == (1.0, 4_000)
    assert (found.total.total, found.total.completed, found.total.failed, found.total.p50_ms) == (9, 4, 2, 10_000)
    assert {day.name: day.total for day in found.days} == {"2026-06-01": 3, "2026-06-02": 6}
    new_york = figures(conn, "America/New_York").days
    assert {day.name: day.total for day in new_york} == {"2026-05-31": 3, "2026-06-01": 2, "2026-06-02": 4}


def test_nothing_in_the_window_is_no_fault(conn: psycopg.Connection) -> None:
    found = figures(conn)
    assert (found.jobs, found.days, found.total.total, found.total.success_rate) == ((), (), 0, None)


def test_slow_runs_are_judged_by_the_limit_of_their_job_and_scope(conn: psycopg.Connection, seeded: None) -> None:
    def slow(default_s: float, limits_s: dict[str, float]) -> list[tuple[object, ...]]:
        until = DAY + hours(48)
        return [tuple(e) for e in faults.slow(conn, since=DAY, until=until, default_s=default_s, limits_s=limits_s)]

    assert slow(15, {}) == [("sync", "", 2, 40_000, 15_000)]
    assert slow(15, {"sync": 30, "ingest-branch/a": 3}) == [
        ("ingest-branch", "a", 1, 4_000, 3_000),
        ("sync", "", 1, 40_000, 30_000),
    ]
    assert slow(0, {"sync": 0}) == []


def test_the_queues_tries_by_type(conn: psycopg.Connection) -> None:
    conn.execute(
        "INSERT INTO queue.attempts (task_id, fence, type, user_id, attempt, host, worker, due_at, claimed_at,"
        " finished_at, outcome) SELECT n, n, 'crawl', '', 1, 'vm1', 'vm1/1', %(at)s, %(at)s,"
        " %(at)s::timestamptz + n * interval '1 s', CASE n WHEN 3 THEN 'failed' WHEN 4 THEN 'snoozed'"
        " ELSE 'succeeded' END FROM generate_series(1, 4) AS n",
        {"at": DAY},
    )
    (found,) = tries.by_type(conn, since=DAY, until=DAY + hours(1))
    assert (found.name, found.total, found.completed, found.failed, found.interrupted) == ("crawl", 4, 2, 1, 1)
    assert (found.success_rate, found.avg_ms) == (2 / 3, 2_000)
    assert found.p50_ms == pytest.approx(2_000, rel=0.02)


# slo -----------------------------------------------------------------------------------------------------------------


def levels_of(conn: psycopg.Connection, now: datetime, **promised: Any) -> dict[tuple[str, str], Level]:
    schedules = registry.installed(conn)
    found = slo_facts.levels(conn, SloSettings.model_validate(promised), schedules, PLAN, "UTC", now)
    return {(each.promise.name, each.promise.subject): each for each in found}


def test_promises_against_a_history_worked_out_by_hand(conn: psycopg.Connection) -> None:
    now = DAY + timedelta(days=40)
    for days_ago in range(1, 21):  # twenty nights: the second last took too long, and the last but five failed
        took_s = 130 if days_ago == 2 else 100
        status = "failed" if days_ago == 6 else "completed"
        counts = {"projects": 10, "failed": int(days_ago == 2)}
        metrics = {"completion_rate": 0.9 if days_ago == 2 else 1.0}
        make_run(conn, now - timedelta(days=days_ago), took_s=took_s, status=status, counts=counts, metrics=metrics)
    make_run(conn, now - timedelta(days=31), status="failed")
    make_run(conn, now - hours(1), status="skipped")
    found = levels_of(conn, now)
    every, sync = found["success", ""], found["success", "sync"]
    assert every.tallies == sync.tallies == (Tally(20, 1), Tally(3, 0), Tally(0, 0))
    assert (sync.actual, sync.state, sync.burn_long, sync.burn_short) == (0.95, "missed", 0, None)
    assert sync.budget_left == pytest.approx(1 - 0.05 / 0.005)
    nights = found["duration", "sync"]
    assert (nights.promise.limit_s, nights.tallies.whole, nights.p95_ms) == (120, Tally(19, 1), 130_000)
    assert nights.budget_left == pytest.approx(1 - 1 / 19 / 0.05, abs=1e-5)
    assert nights.tallies.long == Tally(3, 1)
    complete = found["sync completion", "sync"]
    assert complete.tallies.whole == (200, pytest.approx(1))
    assert complete.state == "met"
    assert found["errors", "sync"].tallies.whole == (200, 1)
    for silent in (("errors", "work"), ("freshness", ""), ("duration", "report")):
        assert found[silent].state == "no data"
    assert ("duration", "work") not in found
    assert levels_of(conn, now, jobs={"sync": 0, "work": 60}).keys() >= {("duration", "work")}
    assert ("duration", "sync") not in levels_of(conn, now, jobs={"sync": 0})
    assert levels_of(conn, now, jobs={"sync": 131})["duration", "sync"].tallies.whole == (19, 0)


def test_freshness_is_the_share_of_the_time_in_which_no_branch_was_older(conn: psycopg.Connection) -> None:
    now = DAY + timedelta(days=40)
    for slug, active in (("a", True), ("gone", False)):
        conn.execute(
            "INSERT INTO branch.branches (slug, title, field_map, active) VALUES (%s, %s, '{}', %s)",
            (slug, slug, active),
        )
    for hours_ago in (100, 10, 9, 5):  # stale for 89 hours, then for 3, then for 4
        for scope in ("a", "gone"):
            make_run(conn, now - hours(hours_ago), took_s=0, job="ingest-branch", scope=scope)
    make_run(conn, now - hours(3), took_s=0, job="ingest-branch", scope="a", status="failed")
    found = levels_of(conn, now)["freshness", ""].tallies
    assert found == (Tally(100 * 3_600, 96 * 3_600), Tally(72 * 3_600, 69 * 3_600), Tally(6 * 3_600, 5 * 3_600))


# events --------------------------------------------------------------------------------------------------------------


def test_events_are_found_by_job_level_run_and_time_a_page_at_a_time(conn: psycopg.Connection) -> None:
    run_id = uuid.uuid4()
    levels = ("info", "debug", "warning", "error")
    made = [
        make_event(conn, DAY + timedelta(minutes=n), job="sync" if n % 3 else "work", level=levels[n % 4])
        for n in range(200)
    ]
    old = make_event(conn, DAY - timedelta(days=90), run_id=run_id)
    conn.execute("DELETE FROM ops.sync_events WHERE event_id %% 7 = 0 AND event_id <> %s", (old,))
    left = [number for number in made if number % 7]

    def numbers(*, since: datetime = DAY, **asked: Any) -> list[int]:
        return [each.event_id for each in events.page(conn, since=since, **asked)]

    assert numbers(limit=1_000) == left[::-1]
    for minutes in (-60, 0, 1, 77, 199, 200, 500):
        since = DAY + timedelta(minutes=minutes)
        assert numbers(since=since, limit=1_000) == [n for n in left if made.index(n) >= minutes][::-1], minutes
    assert numbers(level="warning", limit=1_000) == [n for n in left if made.index(n) % 4 >= 2][::-1]
    assert (
        numbers(job="work", level="error", limit=1_000)
        == [n for n in left if made.index(n) % 4 == 3 and made.index(n) % 3 == 0][::-1]
    )
    paged, before = list[int](), None
    while page := numbers(limit=30, before=before):
        paged += page
        before = page[-1]
    assert paged == left[::-1]
    assert numbers(run_id=run_id, since=events.EVER) == [old]


def test_without_any_event_there_is_none(conn: psycopg.Connection) -> None:
    assert events.page(conn, since=DAY) == []


# The objects ---------------------------------------------------------------------------------------------------------


NAMED = ("statistics", "progress", "outcomes", "fields")


def keys_of(value: Any) -> set[str]:
    """Of an object and of all below it, but not the names of jobs and the like."""
    if isinstance(value, dict):
        own = cast(dict[str, Any], value)
        below = [list(each.values()) if name in NAMED and each else each for name, each in own.items()]
        return set(own) | {key for each in below for key in keys_of(each)}
    if isinstance(value, list | tuple):
        return {key for each in cast(list[Any], value) for key in keys_of(each)}
    return set()


def told_on(heading: str) -> set[str]:
    section = JSON_PAGE.partition(f"\n## `{heading}`\n")[2].partition("\n## ")[0]
    return set(re.findall(r"`([A-Za-z0-9_]+)`", section))


# What stands on the page as code and is no key.
VALUES = {
    "status": {*("healthy", "warning", "critical", "unknown", "incident", "database", "good", "bad", "dead", "frozen")},
    "stats": {"day", "type", "health"},
    "slo": {*("success", "duration", "errors", "freshness", "met", "burning", "missed")},
    "events": {"debug", "info", "warning", "next"},
}
STATUS = {
    *("as_of", "health", "jobs", "running", "missed", "incidents", "queue", "branches", "projects", "kept_here"),
    "error",
}
STATS = {"since", "until", "by", "summary", "statistics", "total", "items", "slow", "next"}


def test_each_key_of_the_objects_is_on_the_page_and_none_goes(database: Database, conn: psycopg.Connection) -> None:
    now = now_of(conn)
    make_run(conn, now - hours(2), took_s=400)
    make_task(conn, "crawl")
    conn.execute("INSERT INTO branch.branches (slug, title, field_map, active) VALUES ('a', 'A', '{}', true)")
    conn.execute(
        "INSERT INTO ops.incidents (cause, severity, title, opened_at, last_seen_at, realert_every_s)"
        " VALUES ('c', 'critical', 't', now(), now(), 60)"
    )
    line = Line("crontab", "report", "", "* * * * *", "UTC", "jobctl report", 120, "none", 24)
    registry.register(conn, "vm1", "ops", [line], now=now - hours(1))
    with a_run(database, conn, "metrics"):
        found = glance_of(conn)
    status = status_object.as_json(found)
    assert status["health"]["status"] == "critical"
    assert all(status[name] for name in STATUS - {"kept_here", "error"}), status
    kept = {"runs": 0, "oldest_at": None, "has_alerts": False, "next": [{"job": "", "scope": "", "next_at": now}]}
    away = status_object.away_json(ValueError(), "", now, "gone", kept)
    assert set(status) == set(away) == STATUS
    assert keys_of(status) | keys_of(away) == told_on("jobctl status --json") - VALUES["status"]

    counted = statistics.statistics(conn, since=now - hours(9), until=now, zone="UTC")
    slow = faults.slow(conn, since=now - hours(9), until=now, default_s=300, limits_s={})
    stats = stats_figures.as_json(Found("job", counted, counted.jobs, slow, 0, 0, found.health))
    assert set(stats) == STATS
    assert stats["summary"] == {"runningJobs": 0, "recentFailures": 0, "slowJobs": 1, "healthStatus": "critical"}
    assert stats["statistics"]["sync"] == {
        "total": 1, "completed": 1, "failed": 0, "successRate": 1.0, "avgExecutionTimeMs": 400_000,
    }  # fmt: skip
    assert keys_of(stats) == told_on("jobctl stats --json") - VALUES["stats"]

    levels = [slo_command.as_json(level) for level in levels_of(conn, now).values()]
    around = {"as_of", "window_s", "burn_short_s", "burn_long_s", "items", "next"}
    assert keys_of(levels) | around == told_on("jobctl slo --json") - VALUES["slo"]
    make_event(conn, now)
    assert (
        keys_of([each._asdict() for each in events.page(conn, since=DAY)])
        == told_on("jobctl events --json") - VALUES["events"]
    )
