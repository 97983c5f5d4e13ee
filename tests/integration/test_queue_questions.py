"""What `queue why` and `queue stats` ask of the database: the facts, the figures, and by which indexes."""

from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from bench_tasks import make_attempt, make_task
from jobctl.db.connection import NO_LIMITS, Database
from jobctl.monitor.queue import evidence, patterns, stats
from jobctl.monitor.queue.evidence import Here
from jobctl.monitor.queue.facts import Facts, Limit, Policy, Turn
from jobctl.monitor.queue.why import why
from jobctl.queue import listing
from jobctl.queue.claim import Claimer
from jobctl.schedule import pauses, registry
from jobctl.schedule.registry import Line

HERE = Here("vm1", frozenset({"crawl"}), Policy(5, 3), 0)
RUN = """
INSERT INTO ops.job_history (run_id, job, correlation_id, status, host, os_user, supervisor_pid, version, command,
    started_at, finished_at)
VALUES (gen_random_uuid(), %(job)s, 'c', %(status)s, %(host)s, 'ops', 1, '0', 'c', now() - %(ago)s::interval,
    CASE WHEN %(status)s <> 'running' THEN now() END)
"""


def facts_of(conn: psycopg.Connection, task_id: int) -> Facts:
    task = evidence.task_of(conn, task_id)
    assert task is not None
    return evidence.gather(conn, task, HERE)


def codes(conn: psycopg.Connection, task_id: int) -> list[str]:
    return [reason.code for reason in why(facts_of(conn, task_id)).reasons]


@pytest.fixture
def worked(conn: psycopg.Connection) -> None:
    """A worker runs, so that its absence is no reason."""
    conn.execute(RUN, {"job": "work", "status": "running", "host": "vm1", "ago": "1 minute"})


def now(conn: psycopg.Connection) -> datetime:
    row = conn.execute("SELECT clock_timestamp()").fetchone()
    assert row is not None
    return row[0]


# why -----------------------------------------------------------------------------------------------------------------


def test_a_task_that_is_not_there_has_no_facts(conn: psycopg.Connection) -> None:
    assert evidence.task_of(conn, 77) is None


def test_limits_are_those_that_a_claim_reads(conn: psycopg.Connection, worked: None) -> None:
    conn.execute(
        "INSERT INTO queue.limits (kind, name, running, rate_per_minute, next_start_at) VALUES"
        " ('user', 'u1', 1, NULL, NULL), ('type', 'crawl', 3, 60, now() + interval '1 hour')"
    )
    held = make_task(conn, user_id="u1", state="running")
    make_task(conn, "sync", user_id="u2", state="running", fence=8)
    mine, other = make_task(conn, user_id="u1"), make_task(conn, user_id="u3")
    facts = facts_of(conn, mine)
    assert (facts.in_all, facts.of_type, facts.of_user) == (Limit(500, 2), Limit(3, 1), Limit(1, 1))
    assert [each.task_id for each in facts.runs_of_user] == [held]
    assert facts.rate_per_minute == 60
    assert codes(conn, mine) == ["user_limit", "rate", "turn"]
    assert facts_of(conn, other).of_user == Limit(2, 0)
    conn.execute("UPDATE queue.limits SET running = 2 WHERE kind = 'all'")
    assert codes(conn, other)[0] == "total_limit"


def test_what_why_calls_ready_is_what_a_claim_takes_and_no_other(conn: psycopg.Connection, worked: None) -> None:
    """The judgement and the claim read the same limits: user u1 may run two, u2 none."""
    conn.execute("INSERT INTO queue.limits (kind, name, running) VALUES ('user', 'u2', 0)")
    mine = [make_task(conn, user_id="u1") for _ in range(3)]
    theirs = make_task(conn, user_id="u2")
    later = make_task(conn, user_id="u3", scheduled_at="now() + interval '1 hour'")
    claimer = Claimer(["crawl"], worker="vm1/1/1", run_id=uuid4(), lease_s=60)
    claimed = [task.task_id for task in claimer.claim(conn, 10)]
    assert claimed == mine[:2]
    assert {task_id: codes(conn, task_id)[0] for task_id in (mine[0], mine[2], theirs, later)} == {
        mine[0]: "running",
        mine[2]: "user_limit",
        theirs: "user_limit",
        later: "scheduled",
    }


def test_its_turn_counts_earlier_tasks_of_its_user_and_all_users_who_wait(
    conn: psycopg.Connection, worked: None
) -> None:
    first = make_task(conn, user_id="u1", priority=1)
    make_task(conn, "sync", user_id="u1", scheduled_at="now() - interval '5 minutes'")
    mine = make_task(conn, user_id="u1")
    make_task(conn, user_id="u1", scheduled_at="now() + interval '1 hour'", priority=100)
    for user in ("", "u2", "u3", "u3"):
        make_task(conn, user_id=user)
    assert facts_of(conn, mine).turn == Turn(2, 4)
    assert facts_of(conn, first).turn == Turn(0, 4)


def test_twins_wait_for_the_same_subject_or_key(conn: psycopg.Connection) -> None:
    by_key = make_task(conn, state="failed", dedupe_key="k")
    by_subject = make_task(conn, state="blocked", subject_id=4, model_version="m")
    alone = make_task(conn, state="failed", subject_id=5, model_version="m")
    make_task(conn, "sync", dedupe_key="k")
    make_task(conn, subject_id=4, model_version="n")
    assert [facts_of(conn, task_id).twin for task_id in (by_key, by_subject, alone)] == [None, None, None]
    twins = [make_task(conn, dedupe_key="k"), make_task(conn, subject_id=4, model_version="m")]
    assert [facts_of(conn, task_id).twin for task_id in (by_key, by_subject, alone)] == [*twins, None]


def test_the_latest_try_tells_from_whom_a_task_was_taken(conn: psycopg.Connection, worked: None) -> None:
    task_id = make_task(conn, attempts=2, crashes=1, scheduled_at="now() + interval '1 minute'")
    make_attempt(conn, task_id, fence=3, error_class="Old")
    make_attempt(conn, task_id, "crashed", fence=4, attempt=2, error_class="WorkerLost", error_message="lease ended")
    facts = facts_of(conn, task_id)
    assert facts.last_try is not None
    assert (facts.last_try.outcome, facts.last_try.attempt) == ("crashed", 2)
    assert codes(conn, task_id) == ["backoff", "suspect", "taken"]


def test_workers_pauses_and_lines(conn: psycopg.Connection) -> None:
    task_id = make_task(conn)
    assert codes(conn, task_id) == ["no_schedule", "no_worker"]
    conn.execute(RUN, {"job": "work", "status": "completed", "host": "vm3", "ago": "1 hour"})
    conn.execute(RUN, {"job": "work", "status": "skipped", "host": "vm4", "ago": "1 minute"})
    conn.execute(RUN, {"job": "sync", "status": "running", "host": "vm4", "ago": "1 minute"})
    line = Line("crontab", "work", "", "*/5 * * * *", "UTC", "jobctl work", 120, "none", 24)
    registry.register(conn, "vm3", "ops", [line], now=now(conn))
    workers = facts_of(conn, task_id).workers
    assert (workers.running, workers.last_host, workers.last_status, workers.lines) == (0, "vm3", "completed", 1)
    assert codes(conn, task_id) == ["no_worker"]
    at = now(conn)
    pauses.begin(conn, "work", "", now=at, until_at=at + timedelta(hours=1), reason="moving", paused_by="ops")
    assert codes(conn, task_id) == ["paused", "no_worker"]
    assert "by ops: moving" in facts_of(conn, task_id).workers.pause
    conn.execute(RUN, {"job": "work", "status": "running", "host": "vm1", "ago": "1 minute"})
    assert codes(conn, task_id) == ["paused"]


# stats ---------------------------------------------------------------------------------------------------------------


@pytest.fixture
def window(conn: psycopg.Connection) -> stats.Window:
    at = now(conn)
    return stats.Window(at - timedelta(hours=1), at + timedelta(minutes=1))


def test_the_backlog_tells_what_is_due_since_when(conn: psycopg.Connection, window: stats.Window) -> None:
    old = make_task(conn, scheduled_at="now() - interval '2 days'", created_at="now() - interval '2 days'")
    make_task(conn, scheduled_at="now() + interval '1 day'")
    make_task(conn, state="blocked")
    make_task(conn, "sync", state="succeeded", finished_at="now()", created_at="now() - interval '2 hours'")
    make_task(conn, "sync", state="cancelled", finished_at="now() - interval '2 hours'")
    standing = stats.standing(conn, window)
    rows = {(each.type, each.state): (each.tasks, each.due) for each in standing.backlog}
    assert rows == {
        ("crawl", "queued"): (2, 1), ("crawl", "blocked"): (1, 0), ("sync", "succeeded"): (1, 0),
        ("sync", "cancelled"): (1, 0),
    }  # fmt: skip
    shown = listing.show(conn, old)
    queued = next(each for each in standing.backlog if each.state == "queued")
    assert shown is not None
    assert queued.oldest_due_at == shown.scheduled_at
    assert standing.flow == stats.Flow(arrived=3, left=1)
    assert stats.standing(conn, window._replace(type="sync")).flow == stats.Flow(arrived=1, left=1)


def test_what_waited_is_known_at_each_moment_of_the_window(conn: psycopg.Connection) -> None:
    at = now(conn)
    window = stats.Window(at - timedelta(minutes=120), at)  # moments each ten minutes, the last is now

    def ago(minutes: int) -> str:
        return f"now() - interval '{minutes} minutes'"

    make_attempt(conn, 1, due_at=ago(115), claimed_at=ago(75), finished_at=ago(1))  # at -110, -100, -90, -80
    make_attempt(conn, 2, due_at=ago(200), claimed_at=ago(95), finished_at=ago(95))  # at -110, -100
    make_attempt(conn, 3, due_at=ago(59), claimed_at=ago(58), finished_at=ago(5))  # between two moments
    make_attempt(conn, 4, due_at="-infinity", claimed_at=ago(5), finished_at=ago(5))  # nobody knows since when
    make_attempt(conn, 5, due_at=ago(300), claimed_at=ago(200), finished_at=ago(150))  # before the window
    make_task(conn, scheduled_at=ago(15), created_at=ago(15))  # at -10 and now
    make_task(conn, scheduled_at=ago(500), created_at=ago(5))  # now: there was no such task before
    make_task(conn, scheduled_at="now() + interval '1 day'")
    since = {"scheduled_at": ago(45), "created_at": ago(45)}
    make_task(conn, "sync", state="running", claimed_at=ago(25), **since)  # at -40, -30
    make_task(conn, state="blocked", **since)
    found = stats.waiting(conn, window)
    assert [each.due for each in found] == [2, 2, 1, 1, 0, 0, 0, 1, 1, 0, 1, 2]
    assert (found[0].at, found[-1].at) == (at - timedelta(minutes=110), at)
    due = sum(each.due for each in stats.standing(conn, window).backlog)
    assert found[-1].due == due
    assert [each.due for each in stats.waiting(conn, window._replace(type="sync"))] == [0] * 7 + [1, 1, 0, 0, 0]


def times(conn: psycopg.Connection, number: int, outcome: str, *, wait_s: float, run_s: float, **more: Any) -> None:
    make_attempt(
        conn,
        number,
        outcome,
        due_at=f"now() - interval '{60 + wait_s + run_s} s'",
        claimed_at=f"now() - interval '{60 + run_s} s'",
        finished_at="now() - interval '60 s'",
        **more,
    )


def test_tries_are_counted_by_outcome_with_their_times(conn: psycopg.Connection, window: stats.Window) -> None:
    for number in range(100):
        times(conn, number, "succeeded", wait_s=number + 1, run_s=0.2)
    times(conn, 200, "failed", wait_s=1, run_s=7, type="sync")
    for number in range(5):
        times(conn, 210 + number, "snoozed", wait_s=5_000, run_s=5_000)
    times(conn, 202, "crashed", wait_s=0, run_s=0, type="sync")
    make_attempt(conn, 300, finished_at="now() - interval '2 hours'")
    total, crawl, sync = stats.ended(conn, window).tries
    assert total.wait is not None
    assert total.wait.p99_s < 200  # what was put off says nothing about the wait
    assert (total.type, total.number, total.outcomes["succeeded"], total.outcomes["snoozed"]) == (None, 107, 100, 5)
    assert crawl.wait == pytest.approx((50, 95, 99), rel=0.02)
    assert crawl.run == pytest.approx((0.2, 0.2, 0.2), rel=0.02)
    assert sync.run == pytest.approx((0.001, 7, 7), rel=0.02)
    assert [each.type for each in stats.ended(conn, window._replace(type="sync")).tries] == [None, "sync"]


def test_a_share_of_very_many_tries_gives_their_times_and_every_count(
    conn: psycopg.Connection, window: stats.Window
) -> None:
    conn.execute(
        "INSERT INTO queue.attempts (task_id, fence, type, user_id, attempt, host, worker, due_at, claimed_at,"
        " finished_at, outcome) SELECT g, g, 'crawl', '', 1, 'h', 'w', now() - interval '10 s', now() - interval '5 s',"
        " now(), 'succeeded' FROM generate_series(1, 4000) AS g"
    )
    found = stats.ended(conn, window, enough=500)
    assert found.sampled_share == 1 / 8
    assert found.tries[0].number == 4_000
    assert found.tries[0].wait == pytest.approx((5, 5, 5), rel=0.02)
    assert stats.ended(conn, window).sampled_share == 1


def test_no_tries_no_times(conn: psycopg.Connection, window: stats.Window) -> None:
    (total,) = stats.ended(conn, window).tries
    assert (total.number, total.wait, total.run) == (0, None, None)


def test_loads_name_who_has_most_to_do(conn: psycopg.Connection, window: stats.Window) -> None:
    make_attempt(conn, 1, user_id="u1")
    make_attempt(conn, 2, user_id="u1")
    make_task(conn, user_id="u2")
    make_task(conn, user_id="u2", scheduled_at="now() + interval '1 day'")
    make_task(conn, user_id="u1", state="running")
    loads = stats.loads(conn, window, limit=9)
    assert [(each.user_id, each.due, each.running, each.tries, round(each.run_s)) for each in loads] == [
        ("u1", 0, 1, 2, 20),
        ("u2", 1, 0, 0, 0),
    ]
    assert len(stats.loads(conn, window, limit=1)) == 1


def test_failures_are_fed_and_counted_by_their_words(conn: psycopg.Connection, window: stats.Window) -> None:
    for number in range(4):
        make_attempt(
            conn, number, finished_at=f"now() - interval '{9 - number} s'", error_class="E", error_message="same"
        )
    make_attempt(conn, 9, "succeeded")
    make_attempt(conn, 10, "released", error_class="Cancelled")
    assert [each.task_id for each in stats.feed(conn, window, limit=3)] == [3, 2, 1]
    (failure,) = stats.failures(conn, window)
    assert (failure.failures, failure.task_id, failure.error_message) == (4, 3, "same")
    assert patterns.group([failure])[0].failures == 4


# Which way it is read ------------------------------------------------------------------------------------------------

MANY = """
INSERT INTO queue.attempts (task_id, fence, type, user_id, attempt, host, worker, due_at, claimed_at, finished_at,
    outcome)
SELECT g, g, 'crawl', 'u' || g %% 100, 1, 'h', 'w', f, f, f, CASE WHEN g %% 10 = 0 THEN 'failed' ELSE 'succeeded' END
FROM (SELECT g, now() - (%(many)s - g) * interval '10 s' AS f FROM generate_series(1, %(many)s) AS g) AS made
"""


@pytest.fixture
def many(database: Database) -> psycopg.Connection:
    """Tries of two weeks, as they came in."""
    conn = database.connect(limits=NO_LIMITS)
    conn.execute(MANY, {"many": 150_000})
    conn.execute("VACUUM ANALYZE queue.attempts")
    return conn


@pytest.mark.slow
def test_a_narrow_window_is_read_by_the_index_on_the_end_of_tries(many: psycopg.Connection) -> None:
    at = now(many)
    window = stats.Window(at - timedelta(hours=1), at)
    parameters = window._asdict() | {"limit": 10, "mask": 0, "shortest_s": 0.001, "per_e": 50.0, "most": 100}
    parameters |= {"moments": [at], "parts": 1}
    with many:
        for question, index in (
            (stats.WAITED, "attempts_by_end"),
            (stats.COUNTS, "attempts_by_end"),
            (stats.TIMES, "attempts_by_end"),
            (stats.LOADS, "attempts_by_end"),
            (stats.FEED, "attempts_failed"),
            (stats.FAILURES, "attempts_failed"),
        ):
            lines = many.execute(b"EXPLAIN " + question.encode(), parameters).fetchall()
            plan = "\n".join(line for (line,) in lines)
            assert "Seq Scan on attempts" not in plan, plan
            assert index in plan, plan


@pytest.mark.slow
def test_the_facts_of_one_task_are_found_without_reading_a_table(database: Database) -> None:
    with database.connect(limits=NO_LIMITS) as conn:
        conn.execute(
            "INSERT INTO queue.tasks (type, user_id, state, dedupe_key) SELECT 'crawl', 'u' || g % 100,"
            " CASE WHEN g % 2 = 0 THEN 'queued' ELSE 'succeeded' END, 'k' || g FROM generate_series(1, 50000) AS g"
        )
        conn.execute("VACUUM ANALYZE queue.tasks")
        task_id = make_task(conn, user_id="u7", state="failed", dedupe_key="k2")
        assert facts_of(conn, task_id).twin is not None
        parameters = {"task_id": task_id, "user_id": "u7", "type": "crawl", "most": 10_000, "limit": 9}
        for question in (
            evidence.TASK, evidence.LAST_TRY, evidence.LIMITS, evidence.RUNS_OF_USER, evidence.TURN, evidence.TWIN,
        ):  # fmt: skip
            lines = conn.execute(b"EXPLAIN " + question.encode(), parameters).fetchall()
            plan = "\n".join(line for (line,) in lines)
            assert "Seq Scan on tasks" not in plan, plan
