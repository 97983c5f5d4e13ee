"""The job in this process: each step, what a dry run tells, and what becomes of a run when a step fails.

No type has a handler here; that what is due is worked off is for the tests of the command."""

import random
import secrets
import threading
import uuid
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest

from bench_retry import DAY, HOUR, Queue, RetryFailed, content_hash
from jobctl.db.connection import Database
from jobctl.errors import Interrupted, LockLost
from jobctl.jobs.retry_failed import draining
from jobctl.jobs.retry_failed.job import COUNTS
from jobctl.jobs.work.handlers import Handlers
from jobctl.queue import rounds, store
from jobctl.runtime.outcome import Outcome

MINUTE = timedelta(minutes=1)


@pytest.fixture
def queue(conn: psycopg.Connection) -> Queue:
    return Queue(conn)


@pytest.fixture
def retry(database: Database, conn: psycopg.Connection, monkeypatch: pytest.MonkeyPatch) -> RetryFailed:
    monkeypatch.setattr(draining, "installed", lambda: Handlers(()))
    return RetryFailed(database, conn)


def brief(outcome: Outcome) -> Mapping[str, int]:
    assert outcome.counts.keys() == set(COUNTS)
    return {name: number for name, number in outcome.counts.items() if number}


def due_in_s(queue: Queue, task_id: int) -> float:
    due: datetime = queue.row(task_id)["scheduled_at"]
    now: datetime = queue.value("SELECT clock_timestamp()")
    return (due - now).total_seconds()


def test_nothing_to_put_right(retry: RetryFailed) -> None:
    outcome = retry()
    assert (brief(outcome), outcome.degraded, outcome.notes, outcome.evidence, outcome.error) == (
        {},
        False,
        [],
        None,
        None,
    )


# Stuck tasks --------------------------------------------------------------------------------------------------------


def test_a_stuck_task_waits_again_and_the_event_says_why(retry: RetryFailed, queue: Queue) -> None:
    stuck = queue.stuck(lease_ended=2 * MINUTE, outcomes=("failed",))
    alive = queue.stuck(lease_ended=-MINUTE)
    lease = queue.row(stuck)["lease_until"]
    outcome = retry()
    assert brief(outcome) == {"stuck_recovered": 1, "failures_last_hour": 1}
    assert queue.states(stuck, alive) == ["queued", "running"]
    (told,) = retry.fields_of("stuck_recovered")
    assert told == {
        "task_id": stuck,
        "type": "crawl",
        "state": "queued",
        "lease_ended_at": lease.isoformat(),
        "worker": "vm9/4711",
        "attempt": 2,
        "crashes": 1,
        "why": f"lease ended at {lease:%Y-%m-%d %H:%M:%S} UTC, worker vm9/4711, attempt 2",
    }
    assert outcome.evidence == {"stuck": [told]}
    queue.assert_books_are_in_order()


def test_a_stuck_task_at_its_crash_limit_failed_for_good_and_gets_no_round(retry: RetryFailed, queue: Queue) -> None:
    retry.queue = {"types": {"mail": {"crash_limit": 1}}}
    mail = queue.stuck(type="mail")
    crawl = queue.stuck(outcomes=("crashed", "crashed"))
    assert brief(retry()) == {"stuck_recovered": 2, "stuck_failed": 2, "failures_last_hour": 2}
    assert queue.states(mail, crawl) == ["failed", "failed"]
    assert "stuck_recovered" not in brief(retry())
    assert queue.states(mail, crawl) == ["failed", "failed"]
    queue.assert_books_are_in_order()


def test_the_report_lists_twenty_stuck_tasks_and_the_events_all(retry: RetryFailed, queue: Queue) -> None:
    for _ in range(25):
        queue.stuck()
    outcome = retry()
    assert outcome.evidence is not None
    stuck = outcome.evidence["stuck"]
    assert isinstance(stuck, list) and len(stuck) == 20  # pyright: ignore[reportUnknownArgumentType]
    assert len(retry.fields_of("stuck_recovered")) == 25


# Another round ------------------------------------------------------------------------------------------------------


def test_a_failed_task_gets_three_rounds_and_no_more(retry: RetryFailed, queue: Queue) -> None:
    retry.queue = {"defaults": {"max_attempts": 2}}
    task_id = queue.failed(tries=2)
    rounds_given = 0
    while brief(retry()).get("requeued"):
        rounds_given += 1
        assert queue.row(task_id)["attempts"] == 0
        for _ in range(2):
            queue.attempt(task_id, "failed")
        queue.conn.execute("UPDATE queue.tasks SET state = 'failed', attempts = 2, finished_at = now()")
        queue.assert_books_are_in_order()
    assert rounds_given == 3
    assert queue.row(task_id)["forgiven_attempts"] == 6


def test_no_round_for_a_type_that_has_none(retry: RetryFailed, queue: Queue) -> None:
    retry.queue = {"types": {"mail": {"retry_rounds": 0}}}
    mail, crawl = queue.failed(type="mail"), queue.failed()
    assert brief(retry())["requeued"] == 1
    assert queue.states(mail, crawl) == ["failed", "queued"]


def test_a_round_comes_back_spread_over_the_hour(retry: RetryFailed, queue: Queue) -> None:
    task_ids = [queue.failed(tries=0) for _ in range(60)]
    assert brief(retry())["requeued"] == 60
    waits = sorted(due_in_s(queue, task_id) for task_id in task_ids)
    assert all(60 * place - 30 <= wait <= 60 * (place + 1) for place, wait in enumerate(waits)), waits


def test_where_the_other_side_is_down_a_few_are_sent_to_see(retry: RetryFailed, queue: Queue) -> None:
    queue.tries("crawl", failed=6, succeeded=5)
    crawl = [queue.failed(ago=2 * HOUR) for _ in range(30)]
    mail = queue.failed(type="mail", ago=2 * HOUR)
    outcome = retry()
    assert brief(outcome) == {"requeued": 6, "withheld": 25, "failures_last_hour": 6}
    states = queue.states(*crawl)
    assert states == ["queued"] * rounds.PROBE + ["failed"] * 25, "the oldest are sent"
    assert max(due_in_s(queue, task_id) for task_id in crawl[:5]) <= rounds.PROBE_SPREAD_S
    assert queue.states(mail) == ["queued"]
    assert outcome.notes == ["most tries of crawl fail: 5 sent to see, 25 wait until it is better"]
    assert not outcome.degraded


def test_without_knowing_the_rates_each_type_is_only_asked(retry: RetryFailed, queue: Queue) -> None:
    for _ in range(9):
        queue.failed(ago=2 * HOUR)
    queue.conn.execute("ALTER TABLE queue.attempts RENAME outcome TO hidden")
    outcome = retry()
    assert brief(outcome) == {"requeued": 5, "withheld": 4}
    assert outcome.degraded and outcome.notes[0].startswith("look failed: ")


def test_only_what_failed_since_and_of_the_types_asked_for(retry: RetryFailed, queue: Queue) -> None:
    old, mail, crawl = queue.failed(ago=3 * HOUR), queue.failed(type="mail", ago=HOUR), queue.failed(ago=HOUR)
    since = queue.value("SELECT now() - interval '2 hours'")
    assert brief(retry(since=since, types=["crawl"]))["requeued"] == 1
    assert queue.states(old, mail, crawl) == ["failed", "failed", "queued"]


def test_what_is_about_to_be_pruned_gets_no_round(retry: RetryFailed, queue: Queue) -> None:
    queue.failed(ago=91 * DAY)
    assert brief(retry()) == {"pruned": 1, "pruned_attempts": 5}


def test_reset_attempts_is_the_operators_word_for_all_that_is_recoverable(retry: RetryFailed, queue: Queue) -> None:
    queue.tries("crawl", failed=20)
    spent = [queue.failed(ago=2 * HOUR, forgiven_attempts=0, attempts=5) for _ in range(8)]
    queue.conn.execute("UPDATE queue.tasks SET is_recoverable = true")
    other = queue.failed(is_recoverable=False)
    outcome = retry(reset_attempts=True)
    assert outcome.counts["requeued"] == 28 and outcome.counts["withheld"] == 0
    assert max(due_in_s(queue, task_id) for task_id in spent) <= 0
    assert {queue.row(task_id)["forgiven_attempts"] for task_id in spent} == {5}
    assert queue.states(other) == ["failed"]
    queue.assert_books_are_in_order()


def test_tasks_that_an_operator_names_are_requeued_now_and_nothing_else_is_done(
    retry: RetryFailed, queue: Queue
) -> None:
    named = queue.task(state="failed", ago=DAY, outcomes=("failed", "crashed"), is_recoverable=False)
    twin = queue.task(dedupe_key="k")
    superseded = queue.failed(dedupe_key="k")
    other, stuck = queue.failed(), queue.stuck()
    blocked = queue.task(state="blocked")
    outcome = retry(task_ids=[named, superseded, blocked, 999_999])
    assert brief(outcome) == {"requeued": 1, "superseded": 1}
    assert queue.states(named, superseded, twin, other, stuck) == ["queued", "cancelled", "queued", "failed", "running"]
    assert due_in_s(queue, named) <= 0 and queue.row(named)["crashes"] == 0
    assert outcome.notes == [
        f"task {superseded} is cancelled: a newer request for the same waits already",
        f"task {blocked} was not requeued: it is blocked",
        "task 999999 was not requeued: there is none",
    ]
    assert outcome.degraded
    queue.assert_books_are_in_order()


def test_a_twin_that_comes_in_at_that_very_moment_supersedes(
    retry: RetryFailed, queue: Queue, database: Database
) -> None:
    """The statement has seen no twin, and meets one that commits before its own row is written."""
    failed = queue.failed(type="embed", subject_id=1, model_version="m2")
    item_hash = uuid.uuid4()
    queue.item(1, item_hash)
    queue.conn.execute("UPDATE queue.tasks SET content_hash = %s", (item_hash,))
    outcomes: list[Outcome] = []
    with database.connect() as other:
        with other.transaction():
            store.enqueue_embeddings(other, [(1, item_hash)], model_version="m2", run_id=uuid.uuid4())
            thread = threading.Thread(target=lambda: outcomes.append(retry()))
            thread.start()
            with database.connect() as watch:
                while not watch.execute("SELECT FROM pg_catalog.pg_locks WHERE NOT granted").fetchall():
                    assert thread.is_alive()
        thread.join()
    assert brief(outcomes[0]) == {"superseded": 1, "failures_last_hour": 1}
    assert queue.states(failed) == ["cancelled"]


# Stale embeddings ---------------------------------------------------------------------------------------------------


def test_stale_embeddings_are_cancelled_and_get_no_round(retry: RetryFailed, queue: Queue) -> None:
    gone = queue.task(type="embed", subject_id=1, model_version="m2")
    gone_and_failed = queue.failed(type="embed", subject_id=2, model_version="m2")
    outcome = retry()
    assert outcome.counts["stale_cancelled"] == 2 and outcome.counts["requeued"] == 0
    assert queue.states(gone, gone_and_failed) == ["cancelled", "cancelled"]
    assert outcome.notes == ["2 embeddings are needed no more (2: the item is gone)"]


def test_other_types_alone_leave_embeddings_alone(retry: RetryFailed, queue: Queue) -> None:
    gone = queue.task(type="embed", subject_id=1, model_version="m2")
    retry(types=["crawl"])
    assert queue.states(gone) == ["queued"]


# Telling ------------------------------------------------------------------------------------------------------------


def test_more_failures_than_the_limit_alert_and_degrade(retry: RetryFailed, queue: Queue) -> None:
    queue.tries("crawl", failed=10)
    assert brief(retry()) == {"failures_last_hour": 10}
    queue.tries("mail", failed=1)
    outcome = retry()
    assert brief(outcome) == {"failures_last_hour": 11, "alerts": 1}
    assert outcome.degraded and outcome.is_told
    assert "11 tasks failed in the last hour" in outcome.notes[0]
    (verdict,) = retry.firing("queue-failures", "queue-failure-rate")
    assert verdict.subject == "queue" and verdict.title == "retry-failed degraded: TaskFailures"


def test_a_type_whose_rate_rises_alerts_by_itself(retry: RetryFailed, queue: Queue) -> None:
    queue.tries("crawl", failed=2, succeeded=40, ago=5 * HOUR)
    queue.tries("crawl", failed=10, succeeded=15)
    outcome = retry()
    found = retry.firing("queue-failures", "queue-failure-rate")
    assert [(each.subject, each.condition) for each in found] == [("queue crawl", "queue-failure-rate")]
    assert outcome.notes == ["40% of the last hour's tries of crawl failed (10 of 25), and 5% in the 24 hours before"]


# Steps and runs -----------------------------------------------------------------------------------------------------


def test_a_step_that_fails_keeps_no_other_from_being_done(retry: RetryFailed, queue: Queue) -> None:
    stuck, failed, old = queue.stuck(), queue.failed(), queue.task(state="succeeded", ago=15 * DAY)
    queue.conn.execute("ALTER TABLE core.items RENAME TO hidden")
    outcome = retry()
    assert queue.states(stuck, failed, old) == ["queued", "queued", None]
    assert outcome.degraded and not outcome.is_told and outcome.error is None
    assert outcome.notes[0].startswith("cancel stale failed: PostgreSQL refused (42P01)")
    (event,) = retry.fields_of("step_failed")
    assert event["step"] == "cancel stale"


def test_a_run_of_which_every_step_failed_has_failed(retry: RetryFailed, queue: Queue) -> None:
    queue.conn.execute("ALTER TABLE queue.tasks RENAME TO hidden")
    outcome = retry()
    assert outcome.error is not None and "42P01" in str(outcome.error)


def test_a_failing_step_of_a_dry_run_keeps_no_other_from_being_told(retry: RetryFailed, queue: Queue) -> None:
    queue.stuck()
    queue.failed()
    queue.conn.execute("ALTER TABLE core.items RENAME TO hidden")
    counts = retry(dry_run=True).counts
    assert counts == retry().counts
    assert counts["stuck_recovered"] == counts["requeued"] == 1


def test_a_run_that_lost_its_lock_writes_nothing_more(retry: RetryFailed, queue: Queue) -> None:
    queue.conn.execute(
        "CREATE FUNCTION public.take_lock() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " UPDATE ops.locks SET fence = fence + 1; RETURN NULL; END $$;"
        "CREATE TRIGGER take_lock AFTER UPDATE ON queue.tasks FOR EACH STATEMENT EXECUTE FUNCTION public.take_lock()"
    )
    stuck, failed = queue.stuck(), queue.failed()
    queue.conn.execute("UPDATE ops.locks SET fence = fence - 1")
    with pytest.raises(LockLost):
        retry()
    assert queue.states(stuck, failed) == ["queued", "failed"]


def test_a_run_that_is_stopped_tells_what_it_has_done(retry: RetryFailed, queue: Queue) -> None:
    queue.stuck()
    failed = queue.failed()
    retry.on_event["stuck_recovered"] = lambda: retry.stop.request(
        Interrupted("SIGTERM ended the run", signal_number=15)
    )
    outcome = retry()
    assert isinstance(outcome.error, Interrupted)
    assert brief(outcome) == {"stuck_recovered": 1}
    assert queue.states(failed) == ["failed"]


def test_the_counts_are_kept_with_the_work(retry: RetryFailed, queue: Queue) -> None:
    queue.stuck()
    queue.failed()
    outcome = retry()
    kept = queue.value("SELECT counts FROM ops.checkpoints WHERE job = 'retry-failed'")
    assert {name: number for name, number in kept.items() if number} == brief(outcome)


# Dry runs -----------------------------------------------------------------------------------------------------------


def some_mess(queue: Queue, rng: random.Random) -> None:
    """Tasks of few subjects and keys in all states, so that they are in each other's way."""
    for subject in range(1, 9):
        if rng.random() < 0.7:
            queue.item(subject, uuid.UUID(int=rng.randrange(2)), withdrawn=rng.random() < 0.2)
    for _ in range(60):
        kind = rng.choice(["embed", "crawl", "mail"])
        of_what: dict[str, Any] = (
            {
                "type": "embed",
                "subject_id": rng.randint(1, 10),
                "model_version": rng.choice(["m1", "m2", "m2", "m2"]),
                "content_hash": uuid.UUID(int=rng.randrange(2)),
            }
            if kind == "embed"
            else {"type": kind, "dedupe_key": rng.choice([None, "a", "b", "c"])}
        )
        ago = rng.choice([MINUTE, HOUR, DAY, 15 * DAY, 100 * DAY])
        try:
            with queue.conn.transaction():
                match rng.choice(["queued", "stuck", "stuck", "failed", "failed", "failed", "ended"]):
                    case "queued":
                        queue.task(ago=ago, **of_what)
                    case "stuck":
                        queue.stuck(outcomes=("crashed",) * rng.randrange(4), **of_what)
                    case "failed":
                        tries = rng.choice([1, 5, 19, 20])
                        queue.failed(tries=tries, ago=ago, is_recoverable=rng.random() < 0.8, **of_what)
                    case _:
                        state = rng.choice(["succeeded", "cancelled"])
                        queue.task(state=state, ago=ago, outcomes=("succeeded",) * (state == "succeeded"), **of_what)
        except psycopg.errors.UniqueViolation:
            continue


@pytest.mark.parametrize("nth", range(3))
def test_a_dry_run_writes_nothing_and_tells_the_counts_of_the_run_that_follows(
    nth: int, retry: RetryFailed, queue: Queue
) -> None:
    seed = secrets.randbelow(1 << 32)
    print(f"seed {seed}")
    some_mess(queue, random.Random(seed))
    before = content_hash(queue.conn)
    dry = retry(dry_run=True)
    assert content_hash(queue.conn) == before
    real = retry()
    assert dry.counts == real.counts and dry.notes == real.notes
    assert content_hash(queue.conn) != before
    queue.assert_books_are_in_order()
    # Of a type that is down a few more are asked for with each run; and a request that has used up its rounds is one
    # that nobody needs only from when a newer one for the same item has got another.
    assert brief(retry(dry_run=True)).keys() <= {
        *("failures_last_hour", "alerts", "withheld", "requeued", "superseded", "stale_cancelled")
    }


@pytest.mark.parametrize("options", [{"reset_attempts": True}, {"types": ["embed"]}, {"task_ids": list(range(1, 61))}])
def test_so_does_one_with_options(options: dict[str, Any], retry: RetryFailed, queue: Queue) -> None:
    seed = secrets.randbelow(1 << 32)
    print(f"seed {seed}")
    some_mess(queue, random.Random(seed))
    before = content_hash(queue.conn)
    dry = retry(dry_run=True, **options)
    assert content_hash(queue.conn) == before
    real = retry(**options)
    assert dry.counts == real.counts and dry.notes == real.notes
    queue.assert_books_are_in_order()
