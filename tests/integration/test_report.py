"""What a week's report reads: rows as the other jobs leave them, and what it makes of them."""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from bench_guarded import guarded
from bench_metrics import Metrics, Repositories
from bench_report import DAY, NOW, WEEK, keep_hour, keep_run
from jobctl.db.connection import Database, Limits
from jobctl.db.sqlstate import translated
from jobctl.errors import DatabaseUnavailable, DataError
from jobctl.jobs.report import job
from jobctl.jobs.report.gathering import gather
from jobctl.jobs.report.gathering_engineering import Engineering
from jobctl.jobs.report.reading import Reading
from jobctl.redact import Redactor
from jobctl.reports.model import Report
from jobctl.reports.week import Week
from jobctl.runtime.outcome import Outcome
from jobctl.runtime.stop import Stop
from jobctl.settings import Settings

HOUR = timedelta(hours=1)
SETTINGS = Settings(data_dir=Path("/nonexistent"), timezone="Europe/Berlin")


@pytest.fixture
def made(conn: psycopg.Connection) -> Repositories:
    return Repositories(conn)


def of_week(conn: psycopg.Connection, week: Week = WEEK, **changes: Any) -> Report:
    reading = Reading(conn, Redactor(()), Stop())
    with conn.transaction():
        return gather(conn, SETTINGS.model_copy(update=changes), week, NOW, reading).report


def test_an_empty_database_is_told_as_not_known(conn: psycopg.Connection) -> None:
    found = of_week(conn)
    assert (found.figures, found.projects, found.branches, found.jobs, found.runs_kept_since) == (
        None,
        (),
        (),
        (),
        None,
    )
    assert found.success is None and found.bands_before is None
    assert {each.per_day for each in found.trend} == {None} and len(found.trend) == 84
    assert (found.queue.tries, found.queue.due, found.embeddings and found.embeddings.items) == (0, 0, 0)


def test_what_metrics_has_kept_is_told_against_the_week_before(
    database: Database, conn: psycopg.Connection, made: Repositories
) -> None:
    """By the job itself, at the end of both weeks."""
    cat, dog = made.project("octo/cat", team="pets", owner="ann", criticality="critical"), made.project("octo/dog")
    old = made.bug(cat, "p0", created_at=WEEK.start - 3 * DAY, assignees=["bob"])
    new = 0
    for moment in (WEEK.start - HOUR, WEEK.end - HOUR):
        if moment > WEEK.start:
            new = made.bug(dog, "p0", created_at=WEEK.start + DAY, title="Cart\r\nis \u202e<b>lost</b>")
            made.bug(dog, "p1", created_at=WEEK.end + HOUR)  # of the next week
        Metrics(database, conn, now=moment, timezone="Europe/Berlin")()
    found = of_week(conn)
    figures = found.figures
    assert figures is not None and figures.hour == WEEK.end - HOUR
    assert (figures.risk.per_day, figures.risk.before, figures.risk.share) == (5_000, 2_500, 1.0)
    assert dict(figures.by_severity)["critical"].bugs == 2
    assert [(each.project, each.number, each.owners) for each in found.bugs.shown] == [
        ("octo/cat", old, ("bob",)),
        ("octo/dog", new, ()),
    ]
    assert found.bugs.shown[1].title == "Cart is <b>lost</b>" and found.unassigned == 1
    assert all(bug.is_breached for bug in found.bugs.shown)
    assert [(each.name, each.team, each.owner, each.bugs) for each in found.projects] == [
        ("octo/cat", "pets", "ann", 1),
        ("octo/dog", None, None, 1),
    ]
    assert [each.per_day for each in found.trend if each.per_day is not None] == [2_500, 5_000]
    assert found.trend[-1].day == WEEK.sunday
    assert [each.resolved is not None for each in found.paces][-3:] == [False, True, True]


def test_bands_move_by_what_was_kept_of_both_days(conn: psycopg.Connection, made: Repositories) -> None:
    keep_hour(conn, WEEK.end - HOUR)
    kept = "INSERT INTO dev.project_days "
    kept += "(project_id, day, computed_at, rules_version, facts, health_version, health, band) "
    kept += "VALUES (%s, %s, now(), 'v', %s::jsonb, '1', %s, %s)"
    facts = '{"stale_pull_share": 0.9, "absence_factor": 1, "first_response_h": 24, "open_bugs": 3, "per_day": 40}'
    for name, before, now in (("up", 60, 90), ("down", 60, 20), ("same", 60, 61), ("new", None, 20)):
        project_id = made.project(f"octo/{name}")
        for day, health in ((WEEK.sunday - 7 * DAY, before), (WEEK.sunday - DAY, now)):  # Saturday's stand for Sunday's
            if health is not None:
                band = "healthy" if health >= 75 else "warning" if health >= 50 else "critical"
                conn.execute(kept.encode(), (project_id, day, facts, health, band))
    made.project("octo/asleep", active=False)
    found = of_week(conn)
    assert {each.name: each.moved for each in found.projects} == {
        "octo/up": 1,
        "octo/down": -1,
        "octo/same": 0,
        "octo/new": 0,
    }
    assert found.bands == {"critical": 2, "warning": 1, "healthy": 1, "unknown": 0}
    down = next(each for each in found.projects if each.name == "octo/down")
    assert (down.per_day, down.bugs) == (40, 3)
    assert down.reasons == (
        "fewest people with half of the commits: 1",
        "open pull requests not touched for 14 days: 90 %",
    )


def test_pull_requests_that_nobody_touches_are_stuck(conn: psycopg.Connection, made: Repositories) -> None:
    cat = made.project()
    vital = made.project("octo/vital", criticality="critical")
    touched = WEEK.end - 20 * DAY
    oldest = made.pull(cat, opened_at=touched - 9 * DAY)
    reviewed = made.pull(vital, opened_at=touched, first_review_at=touched + HOUR)
    made.conn.execute("UPDATE dev.pulls SET first_review_at = now() WHERE node_id = %s", (f"I_{reviewed}",))
    made.pull(cat, opened_at=touched, merged_at=touched + HOUR)
    made.pull(cat, opened_at=touched, author_is_bot=True)
    made.pull(cat, opened_at=WEEK.end - 13 * DAY)
    draft = made.pull(cat, opened_at=touched)
    made.conn.execute("UPDATE dev.pulls SET is_draft = true WHERE node_id = %s", (f"I_{draft}",))
    found = of_week(conn).pulls
    assert [(each.number, each.waits_for) for each in found.shown] == [
        (reviewed, "merge or changes"),
        (oldest, "a first review"),
    ]
    assert found.total == 2


def test_runs_slots_and_incidents_are_those_of_the_week(conn: psycopg.Connection) -> None:
    for back, status, code in (
        (1, "completed", 0),
        (2, "failed", 1),
        (3, "timeout", 124),
        (4, "interrupted", 143),
        (5, "interrupted", 137),
        (6, "skipped", 0),
    ):
        keep_run(conn, "work", WEEK.end - back * HOUR, status=status, exit_code=code, took=1_000 * back)
    keep_run(conn, "work", WEEK.end)
    keep_run(conn, "work", WEEK.start - HOUR)
    keep_run(conn, "run", WEEK.start, scope="backup")
    conn.execute(
        "INSERT INTO ops.slots (job, slot_at, slot_local, verdict, host) "
        "SELECT 'sync', %s + n * interval '1 day', '', CASE WHEN n %% 2 = 0 THEN 'missed' ELSE 'ran' END, 'h' "
        "FROM generate_series(0, 7) AS n", (WEEK.start,),
    )  # fmt: skip
    conn.execute(
        "INSERT INTO ops.incidents (cause, state, severity, title, opened_at, last_seen_at, realert_every_s, "
        "resolved_at) SELECT 'c' || n, CASE WHEN n < 3 THEN 'resolved' ELSE 'open' END, 'warning', 'T' || n, "
        "%(start)s + (n - 2) * interval '1 day', now(), 60, "
        "CASE WHEN n < 3 THEN %(start)s + (n - 2) * interval '1 day' + interval '30 hours' END "
        "FROM generate_series(0, 3) AS n",
        {"start": WEEK.start},
    )
    found = of_week(conn)
    work = next(each for each in found.jobs if each.name == "work")
    assert (work.good, work.bad, work.skipped, work.median_ms, work.slowest_ms) == (1, 3, 1, 1_000, 5_000)
    assert [(each.good, each.bad) for each in work.days] == [(0, 0)] * 6 + [(1, 3)]
    assert [(each.name, each.missed) for each in found.jobs] == [("run backup", 0), ("sync", 4), ("work", 0)]
    assert found.runs_kept_since == WEEK.start - HOUR
    assert [(each.title, each.lasted_s / 3_600) for each in found.incidents.shown] == [
        ("T1", 6),
        ("T2", 30),
        ("T3", 6 * 24),
    ]


def test_records_are_counted_from_the_runs_and_freshness_from_the_loads(conn: psycopg.Connection) -> None:
    conn.execute(
        "INSERT INTO branch.branches (slug, title, field_map, active, expected_freshness) VALUES "
        "('airports', 'A', '{}', true, '1 day'), ('towns', 'T', '{}', true, NULL), ('asleep', 'S', '{}', false, NULL)"
    )
    conn.execute(
        "INSERT INTO branch.loads (branch_id, source, format, full_load, bytes, rows, inserted, updated, unchanged, "
        "duplicates, stale, withdrawn, loaded_at, duration_ms) "
        "SELECT branch_id, 's', 'f', false, 1, 1, 1, 0, 0, 0, 0, 0, at, 1 "
        "FROM branch.branches, unnest(%s::timestamptz[]) AS at WHERE slug = 'airports'",
        ([WEEK.end - 2 * DAY, WEEK.end + HOUR],),
    )
    for back in (1, 2, 300):
        keep_run(
            conn,
            "ingest-branch",
            WEEK.end - back * HOUR,
            scope="airports",
            counts={"read": 100, "inserted": 3, "updated": 4, "rejected": 5},
        )
    keep_run(conn, "ingest-branch", WEEK.end - HOUR, scope="airports", status="skipped")
    airports, towns = of_week(conn).branches
    assert (airports.runs, airports.read, airports.changed, airports.rejected) == (2, 200, 14, 10)
    assert airports.age_s == 2 * 86_400 and airports.is_stale
    assert (towns.runs, towns.read, towns.age_s, towns.is_stale) == (0, None, None, False)


def test_of_a_past_week_it_does_not_tell_what_is_true_only_now(conn: psycopg.Connection) -> None:
    found = of_week(conn, WEEK.before(3))
    assert (found.embeddings, found.queue.due, found.queue.failed_tasks) == (None, None, None)
    assert found.as_of == WEEK.before(3).end and found.is_over
    running = of_week(conn, WEEK.before(-1))
    assert running.as_of == NOW and not running.is_over and running.queue.due == 0


# The job -------------------------------------------------------------------------------------------------------------


def run_job(database: Database, conn: psycopg.Connection, *, dry_run: bool = True, **options: Any) -> Outcome:
    settings = SETTINGS.model_copy(update={"email_from": "reports@example.org", "data_dir": Path("/tmp")})
    with guarded(database, conn, "report", dry_run=dry_run, now=NOW) as run:
        return job.report(run, job.Options(settings, Redactor(()), WEEK, **options))


def test_a_look_reads_and_shows_and_draws_only_what_is_asked_for(database: Database, conn: psycopg.Connection) -> None:
    keep_hour(conn, WEEK.end - HOUR)
    shown: list[str] = []

    def show(made: job.Made) -> None:
        shown.append(made.text())

    outcome = run_job(database, conn, is_look=True, show=show)
    assert "12,750 USD" in shown[0]
    assert outcome.evidence is not None and set(outcome.evidence) == {"report"}


def test_behind_a_pooler_it_reads_one_snapshot_too(database: Database, conn: psycopg.Connection) -> None:
    """There the limits are set by the first statement of a transaction."""
    outcome = run_job(replace(database, pooled=True), conn, is_look=True)
    assert outcome.evidence is not None and set(outcome.evidence) == {"report"}


def test_a_dry_run_makes_the_whole_letter_and_tells_its_sizes(database: Database, conn: psycopg.Connection) -> None:
    keep_hour(conn, WEEK.end - HOUR)
    outcome = run_job(database, conn, recipients=("ann@example.org",))
    assert outcome.evidence is not None
    letter: Any = outcome.evidence["letter"]
    assert letter["subject"].startswith("Week 47: ") and letter["html"] > 5_000 and letter["text"] > 500
    assert outcome.counts["recipients"] == 1 and not outcome.notes
    assert "REPORT_EMAILS" in run_job(database, conn).notes[0]
    assert replace(of_week(conn), made_at=NOW).as_json() == outcome.evidence["report"]


# What cannot be read --------------------------------------------------------------------------------------------------

BRIEF = Limits(lock_ms=50)


@contextmanager
def held(database: Database, table: str) -> Generator[None, None, None]:
    """By another session, as a migration does it: whoever asks for it waits until its limit."""
    with database.connect() as other, other.transaction():
        other.execute(sql.SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(sql.Identifier(*table.split("."))))
        yield


@pytest.mark.parametrize(
    ("table", "parts"),
    [
        ("dev.metric_hours", {"figures", "trend", "paces", "bugs"}),
        ("dev.project_days", {"projects"}),
        ("dev.pulls", {"pulls"}),
        ("ops.job_history", {"branches", "jobs"}),
        ("branch.loads", {"branches"}),
        ("queue.attempts", {"queue"}),
        ("core.embeddings", {"embeddings"}),
        ("ops.slots", {"jobs"}),
        ("ops.incidents", {"incidents"}),
    ],
)
def test_a_part_that_cannot_be_read_keeps_no_other_from_being_told(
    database: Database, conn: psycopg.Connection, table: str, parts: set[str]
) -> None:
    conn.execute("SET lock_timeout TO '50ms'")
    with held(database, table):
        found = of_week(conn)
    assert set(found.unread) == parts
    assert all("canceling statement due to lock timeout" in why for why in found.unread.values())
    assert not of_week(conn).unread


def test_the_others_are_read_in_the_snapshot_of_the_first(
    database: Database, conn: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    stuck_pulls = Engineering.stuck_pulls

    def beside(self: Engineering, stuck_days: int, *, limit: int) -> Any:
        keep_run(conn, "work", WEEK.end - HOUR)
        return stuck_pulls(self, stuck_days, limit=limit)

    monkeypatch.setattr(Engineering, "stuck_pulls", beside)
    with held(database, "dev.metric_hours"):
        outcome = run_job(replace(database, limits=BRIEF), conn, is_look=True)
    assert outcome.evidence is not None
    report: Any = outcome.evidence["report"]
    assert "bugs" in report["unread"] and report["jobs"] == []
    assert [each.name for each in of_week(conn).jobs] == ["work"]


def test_the_mail_says_what_could_not_be_read_and_the_run_is_degraded(
    database: Database, conn: psycopg.Connection
) -> None:
    keep_hour(conn, WEEK.end - HOUR)
    texts: list[str] = []

    def show(made: job.Made) -> None:
        texts.append(" ".join(made.letter().text.split()))

    with held(database, "queue.attempts"):
        outcome = run_job(
            replace(database, limits=BRIEF), conn, dry_run=False, show=show, recipients=("ann@example.org",)
        )
    reason = "The queue could not be read: PostgreSQL error 55P03: canceling statement due to lock timeout"
    assert (
        reason in texts[0] and "12,750 USD" in texts[0] and "Not all could be read: the queue. Look again" in texts[0]
    )
    assert outcome.degraded and outcome.notes[0].startswith("The queue could not be read")
    assert conn.execute("SELECT count(*) FROM ops.report_mails").fetchone() == (1,)
    assert outcome.evidence is not None
    report: Any = outcome.evidence["report"]
    assert report["queue"] is None and set(report["unread"]) == {"queue"}
    with held(database, "ops.incidents"):
        look = run_job(replace(database, limits=BRIEF), conn, is_look=True)
    assert look.degraded and "incidents" not in look.counts and look.counts["decisions"] == 2


def test_a_lost_connection_and_a_report_without_any_part_fail_the_run(
    database: Database, conn: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut(self: Engineering, stuck_days: int, *, limit: int) -> Any:
        conn.execute("SELECT pg_terminate_backend(%s)", (self._conn.info.backend_pid,))
        return self._conn.execute("SELECT 1")

    monkeypatch.setattr(Engineering, "stuck_pulls", cut)
    with pytest.raises(DatabaseUnavailable):
        run_job(database, conn)

    with database.connect() as mine:
        reading = Reading(mine, Redactor(()), Stop())
        with pytest.raises(psycopg.OperationalError):
            reading.part("queue", lambda: mine.execute("SELECT pg_terminate_backend(pg_backend_pid())"), None)
    assert not reading.unread, "it is no part that was lost"

    secret = "correct-horse-battery"
    reading = Reading(conn, Redactor((secret,)), Stop())
    with conn.transaction():
        assert reading.part("queue", lambda: conn.execute("SELECT %s::text::integer", (secret,)), None) is None
        assert "invalid input syntax" in reading.unread["queue"] and secret not in reading.unread["queue"]
        with pytest.raises(DataError), translated():
            reading.require_any()
        assert reading.part("sync", lambda: 1, 0) == 1
        reading.require_any()


def test_runs_that_went_to_the_archive_are_told_as_missing(conn: psycopg.Connection) -> None:
    """A job that runs once a year hides nothing of one that runs every minute."""
    keep_run(conn, "yearly", WEEK.start - 300 * DAY)
    keep_run(conn, "work", WEEK.end - HOUR)
    assert of_week(conn).runs_kept_since == WEEK.start - 300 * DAY
    conn.execute(
        "INSERT INTO ops.archives (table_name, state, host, directory, file, sha256, first_key, last_key, first_at,"
        " last_at, run_id, lock_key, fence)"
        " VALUES ('ops.job_history', 'complete', 'h', '/', 'f', repeat('0', 64), '{}', '{}',"
        " %(start)s::timestamptz - interval '9 days', %(start)s::timestamptz + interval '2 days',"
        " gen_random_uuid(), 1, 1)",
        {"start": WEEK.start},
    )
    assert of_week(conn).runs_kept_since == WEEK.start + 2 * DAY
