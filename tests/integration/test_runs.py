"""What `jobctl runs` and `jobctl explain` find in a history whose answers are known."""

import uuid
from datetime import timedelta
from itertools import pairwise

import psycopg
import pytest

from bench_past_runs import HOST, NOON, add_run, age_heartbeat, running
from jobctl.cli.explain_command import tree_of
from jobctl.cli.runs_show import page as page_of_run
from jobctl.cli.tree import tree_lines
from jobctl.db.connection import Database
from jobctl.errors import UsageError
from jobctl.monitor.runs import finding, lineage, listing, showing
from jobctl.monitor.runs.listing import Asked, Listed
from jobctl.monitor.runs.log_lines import Excerpt
from jobctl.monitor.runs.steps import steps_of
from jobctl.queue.enqueue import Request, enqueue
from jobctl.runtime import cancellations, history
from jobctl.settings_reading.load import load


def all_pages(conn: psycopg.Connection, asked: Asked, limit: int) -> list[list[Listed]]:
    pages: list[list[Listed]] = []
    after = None
    while True:
        items, after = listing.page(conn, asked, after=after, limit=limit)
        pages.append(items)
        if after is None:
            return pages
        after = listing.of_cursor(listing.as_cursor(after))


# A list ----------------------------------------------------------------------------------------------------------


def test_pages_hold_each_run_once_the_newest_first_also_when_many_began_at_once(conn: psycopg.Connection) -> None:
    made = {add_run(conn, scope=f"s{n}", started_at=NOON + timedelta(seconds=n // 10)) for n in range(47)}
    pages = all_pages(conn, Asked(), 10)
    assert [len(each) for each in pages] == [10, 10, 10, 10, 7]
    rows = [row for each in pages for row in each]
    assert {row.run_id for row in rows} == made and len(rows) == 47
    assert all(a.started_at >= b.started_at for a, b in pairwise(rows))


def test_a_page_that_is_full_to_the_last_run_has_none_after_it(conn: psycopg.Connection) -> None:
    for n in range(4):
        add_run(conn, started_at=NOON + timedelta(seconds=n))
    assert [len(each) for each in all_pages(conn, Asked(), 2)] == [2, 2]


def test_each_filter_leaves_what_it_names(conn: psycopg.Connection) -> None:
    failed = add_run(conn, status="failed", exit_code=1, error=("DataError", "no", ""))
    degraded = add_run(conn, scope="south", degraded=True, exit_code=3, started_at=NOON + timedelta(hours=1))
    named = add_run(conn, "sync", "", correlation_id="deploy-17", started_at=NOON + timedelta(hours=2))

    def found(asked: Asked) -> list[uuid.UUID]:
        return [row.run_id for row in listing.page(conn, asked, limit=10)[0]]

    assert found(Asked()) == [named, degraded, failed]
    assert found(Asked(job="ingest-branch")) == [degraded, failed]
    assert found(Asked(scope="south")) == [degraded]
    assert found(Asked(states=("failed",))) == [failed]
    assert found(Asked(states=("degraded",))) == [degraded]
    assert found(Asked(states=("completed",))) == [named]
    assert found(Asked(states=("completed", "degraded"))) == [named, degraded]
    assert found(Asked(since=NOON + timedelta(minutes=1))) == [named, degraded]
    assert found(Asked(until=NOON + timedelta(hours=2))) == [degraded, failed]
    assert found(Asked(correlation_id="deploy-17")) == [named]
    with pytest.raises(UsageError, match="'done' is no state"):
        listing.check_states(["done"])


def test_who_runs_is_told_from_who_is_frozen_or_dead(database: Database, conn: psycopg.Connection) -> None:
    with running(database, conn, "sync", "") as runs, running(database, conn, "metrics", "") as frozen:
        age_heartbeat(conn, frozen, 50)
        dead = add_run(conn, status="running", started_at=NOON)
        ended = add_run(conn, status="interrupted", exit_code=143, started_at=NOON)
        states = {row.run_id: row.state for row in listing.page(conn, Asked(), limit=10)[0]}
        assert states == {runs: "running", frozen: "frozen", dead: "dead", ended: "interrupted"}
        only = listing.page(conn, Asked(states=("frozen", "dead")), limit=10)[0]
        assert {row.run_id for row in only} == {frozen, dead}


# One of them -----------------------------------------------------------------------------------------------------


def test_a_run_is_meant_by_its_beginning_as_last_by_job_by_scope_or_by_wrapped_command(
    conn: psycopg.Connection,
) -> None:
    first = add_run(conn, run_id=uuid.UUID("abcd0000-0000-4000-8000-000000000001"))
    second = add_run(conn, scope="south", run_id=uuid.UUID("abcd1000-0000-4000-8000-000000000002"),
                     started_at=NOON + timedelta(hours=1))  # fmt: skip
    backup = add_run(conn, "run", "backup", run_id=uuid.UUID("ffff0000-0000-4000-8000-000000000003"),
                     started_at=NOON + timedelta(hours=2))  # fmt: skip
    # The same beginning in another row of the same run is no other run.
    add_run(conn, scope="west", run_id=first)
    for word, meant in (
        (str(first), first), ("ABCD0", first), ("abcd-1000", second), ("f", backup), ("last", backup),
        ("ingest-branch", second), ("ingest-branch/north", first), ("run/backup", backup), ("backup", backup),
    ):  # fmt: skip
        assert finding.find(conn, word) == meant, word
    with pytest.raises(UsageError, match="several runs: abcd0000-0000, abcd1000-0000"):
        finding.find(conn, "abcd")
    for word in ("restore", "0000", "ingest-branch/nowhere", str(uuid.uuid4())):
        with pytest.raises(UsageError, match="there is no run"):
            finding.find(conn, word)


def test_a_run_is_shown_with_its_slot_line_steps_and_events(conn: psycopg.Connection) -> None:
    for n in range(5):
        add_run(conn, started_at=NOON - timedelta(hours=5 - n), duration_ms=1_000 * (n + 1))
    run_id = add_run(
        conn, status="failed", exit_code=1, slot_at=NOON, started_at=NOON + timedelta(seconds=3), duration_ms=9_000,
        counts={"read": 1_500}, error=("DataError", "the page\x1b[2J is \n broken", "look at it"),
        evidence={"rules_version": "r7"},
    )  # fmt: skip
    add_run(conn, scope="south", run_id=run_id, slot_at=NOON, started_at=NOON + timedelta(seconds=13))
    line = ("vm1", "ops", "crontab", "ingest-branch", "", "0 * * * *", "UTC", "jobctl ingest-branch --scheduled")
    for installed in (NOON - timedelta(days=1), NOON + timedelta(days=1)):  # the second came after the run
        conn.execute(
            "INSERT INTO ops.schedules (host, os_user, source, job, scope, expression, zone, command, start_grace_s,"
            " catch_up, catch_up_cap, installed_at, evaluated_until, removed_at)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, 60, 'none', 1, %s, %s, %s)",
            (*line, installed, installed, installed + timedelta(days=1, hours=6)),
        )
    conn.execute(
        "INSERT INTO ops.slots (job, scope, slot_at, slot_local, verdict, host, run_id)"
        " VALUES ('ingest-branch', '', %s, '2026-06-01 12:00 UTC', 'late', 'vm1', %s)",
        (NOON, run_id),
    )
    conn.execute(
        "INSERT INTO ops.sync_events (run_id, scope, job, at, level, event, fields)"
        " SELECT %s, 'north', 'ingest-branch', %s + n * interval '1 s', 'warning', 'page_failed',"
        " jsonb_build_object('page', n) FROM generate_series(1, 7) AS n",
        (run_id, NOON),
    )
    shown = showing.show(conn, run_id, events=5)
    assert (shown.state, shown.exit_code) == ("degraded", 3)  # one scope failed, the other did not
    assert [scope.state for scope in shown.scopes] == ["failed", "completed"]
    assert shown.scopes[0].recent_ms == (1_000, 2_000, 3_000, 4_000, 5_000)
    assert [event.fields["page"] for event in shown.events] == [3, 4, 5, 6, 7] and shown.has_earlier_events
    assert [(slot.verdict, slot.slot_at) for slot in shown.slots] == [("late", NOON)]
    assert [each.expression for each in shown.lines] == ["0 * * * *"]
    steps = [(step.step, step.scope) for step in steps_of(shown)]
    assert steps == [("expected", ""), ("ended", "north"), ("ended", "south")]  # rows without a fence never began
    lines = list(page_of_run(shown, Excerpt(why_not="its log is on vm1"), load(environ={}).settings))
    assert "ingest-branch: degraded, exit code 3" in lines
    assert any("read" in each and "1,500" in each for each in lines)
    assert any("2026-06-01 12:00:00 UTC, late" in each for each in lines)
    assert lines[-1] == "log: its log is on vm1"


# To end one ------------------------------------------------------------------------------------------------------


def test_a_beat_brings_the_request_and_who_asked_first_stands(database: Database, conn: psycopg.Connection) -> None:
    with running(database, conn, "sync", "") as run_id:
        beat = history.beat(conn, run_id, "")
        assert beat is not None and beat.cancellation is None

        def ask(who: str, reason: str, *, is_now: bool) -> None:
            asked = cancellations.request(
                conn, run_id, requested_by=who, requested_from="vm2", reason=reason, is_now=is_now
            )
            assert asked is not None

        ask("ann", "", is_now=False)
        ask("bob", "it is wrong", is_now=True)
        ask("eve", "another", is_now=False)
        beat = history.beat(conn, run_id, "")
        assert beat is not None and beat.cancellation is not None
        found = beat.cancellation
        assert (found.requested_by, found.reason, found.is_now) == ("ann", "it is wrong", True)
        cancellations.mark_heard(conn, run_id)
        heard = cancellations.get(conn, run_id)
        assert heard is not None and heard.heard_at is not None


def test_a_run_that_has_ended_takes_no_request(conn: psycopg.Connection) -> None:
    run_id = add_run(conn)
    assert cancellations.request(conn, run_id, requested_by="a", requested_from="b", reason="", is_now=False) is None
    assert cancellations.get(conn, run_id) is None


# What came of one ------------------------------------------------------------------------------------------------


def test_all_that_came_of_a_run_is_told_and_nothing_of_another(conn: psycopg.Connection) -> None:
    other = add_run(conn)
    run_id = add_run(
        conn, status="failed", exit_code=1, started_at=NOON + timedelta(hours=1),
        counts={"read": 5, "inserted": 3, "rejected": 2}, error=("DataError", "no", ""),
    )  # fmt: skip
    branch = conn.execute(
        "INSERT INTO branch.branches (slug, title, field_map) VALUES ('north', 'North', '{}') RETURNING branch_id"
    ).fetchone()
    assert branch is not None
    for number, (owner, resolved) in enumerate(((run_id, None), (run_id, NOON), (other, None))):
        conn.execute(
            "INSERT INTO branch.rejects (branch_id, record_no, record_key, run_id, reason, field, payload,"
            " payload_hash, rules, resolved_at, resolution)"
            " VALUES (%s, %s, 'k', %s, 'missing', 'name', '{}', %s, '', %s, %s)",
            (*branch, number, owner, uuid.uuid4(), resolved, "accepted" if resolved else None),
        )
    enqueue(conn, [Request("embed", subject_id=n) for n in range(4)], run_id=run_id)
    enqueue(conn, [Request("embed", subject_id=n) for n in range(10, 12)], run_id=other)
    conn.execute("UPDATE queue.tasks SET state = 'cancelled' WHERE subject_id = 0")
    ends = NOON + timedelta(hours=1, seconds=1)
    for number, (condition, owner, since) in enumerate((("job_failed", run_id, ends), ("job_slow", other, NOON)), 1):
        conn.execute(
            "INSERT INTO ops.incidents (cause, severity, title, opened_at, last_seen_at, realert_every_s)"
            " VALUES (%s, 'critical', 'north fails', %s, %s, 60)",
            (condition, since, ends),
        )
        conn.execute(
            "INSERT INTO ops.alerts (incident_id, condition, subject, title, job, scope, run_id, occurrences,"
            " first_seen_at, last_seen_at) VALUES (%s, %s, 'north', 't', 'ingest-branch', 'north', %s, 1, %s, %s)",
            (number, condition, owner, since, ends),
        )
    for key, owner in (
        ("slack/incident/1/1", run_id),
        ("email/report/2026-W22", run_id),
        ("slack/incident/9/1", other),
    ):
        conn.execute(
            "INSERT INTO ops.outbox (channel, dedupe_key, payload, state, run_id) VALUES (%s, %s, %s, 'sent', %s)",
            (key.partition("/")[0], key, '{"title": "north fails"}', owner),
        )
    shown = showing.show(conn, run_id, events=0)
    found = lineage.trace(conn, shown, now=NOON)
    assert [(each.branch, each.reason, each.rejects, each.resolved) for each in found.rejects] == [
        ("north", "missing", 2, 1)
    ]
    assert [(each.type, each.state, each.tasks) for each in found.tasks] == [
        ("embed", "cancelled", 1), ("embed", "queued", 3)
    ]  # fmt: skip
    assert [(each.incident_id, each.condition, each.is_named) for each in found.incidents] == [
        (1, "job_failed", True), (2, "job_slow", False)
    ]  # fmt: skip
    assert [(each.channel, each.incident_id) for each in found.messages] == [("slack", 1), ("email", None)]
    text = "\n".join(tree_lines(tree_of(shown, found, "UTC"), width=120))
    for told in (
        "started by hand", "rows: 5 read = 3 inserted + 0 updated + 0 unchanged + 2 rejected + 0 skipped",
        "north: 2 missing (name), 1 of them resolved since", "embed: 1 cancelled, 3 queued",
        "1 (open, critical): north fails", "job_slow about north, which lasted when the run ended", "messages",
    ):  # fmt: skip
        assert told in text, text


def test_of_a_worker_the_tries_that_it_made_are_told(conn: psycopg.Connection) -> None:
    run_id = add_run(conn, "work", HOST, duration_ms=60_000, counts={"claimed": 2})
    for number, (owner, ended) in enumerate(
        ((run_id, NOON + timedelta(seconds=5)), (uuid.uuid4(), NOON + timedelta(seconds=6)))
    ):
        conn.execute(
            "INSERT INTO queue.attempts (task_id, fence, type, user_id, attempt, host, worker, run_id, due_at,"
            " claimed_at, finished_at, outcome)"
            " VALUES (%s, 1, 'crawl', '', 1, 'vm1', 'w', %s, %s, %s, %s, 'succeeded')",
            (number, owner, NOON, NOON, ended),
        )
    found = lineage.trace(conn, showing.show(conn, run_id, events=0), now=NOON)
    assert [(each.type, each.outcome, each.tries) for each in found.tries] == [("crawl", "succeeded", 1)]


def test_of_a_report_the_mails_that_it_made_are_told(conn: psycopg.Connection) -> None:
    run_id = add_run(conn, "report", "")
    assert not lineage.trace(conn, showing.show(conn, run_id, events=0), now=NOON).mails
    conn.execute("INSERT INTO ops.report_letters (week, sender, source) VALUES ('2026-W22', 'ops', '')")
    for name, owner in (("ann", run_id), ("bob", run_id), ("eve", uuid.uuid4())):
        conn.execute(
            "INSERT INTO ops.report_mails (week, recipient, address, message_id, letter_id, head, state, run_id)"
            " SELECT week, %(name)s, %(name)s, %(name)s, letter_id, '', 'sent', %(owner)s FROM ops.report_letters",
            {"name": name, "owner": owner},
        )
    found = lineage.trace(conn, showing.show(conn, run_id, events=0), now=NOON)
    assert [(each.week, each.state, each.mails) for each in found.mails] == [("2026-W22", "sent", 2)]
