"""How tries ended in the last hour and before, and which tasks fail."""

from datetime import timedelta

import psycopg
import pytest

from bench_retry import HOUR, Queue
from jobctl.queue import failures
from jobctl.queue.rates import Failing, TypeTries

MINUTE = timedelta(minutes=1)


@pytest.fixture
def queue(conn: psycopg.Connection) -> Queue:
    return Queue(conn)


def rates(queue: Queue, **options: list[str]) -> list[TypeTries]:
    return failures.tries_by_type(queue.conn, until=failures.now(queue.conn), **options)


def failing(queue: Queue, **options: list[str]) -> list[Failing]:
    return failures.failing_in_last_hour(queue.conn, until=failures.now(queue.conn), **options)


def test_tries_are_counted_by_type_in_the_last_hour_and_in_the_day_before_it(queue: Queue) -> None:
    queue.tries("crawl", failed=2, succeeded=3, ago=59 * MINUTE)
    queue.tries("crawl", failed=1, succeeded=4, ago=61 * MINUTE)
    queue.tries("crawl", failed=1, ago=24 * HOUR + 59 * MINUTE)
    queue.tries("crawl", failed=7, succeeded=7, ago=25 * HOUR + MINUTE)
    queue.tries("mail", succeeded=1)
    assert rates(queue) == [TypeTries("crawl", 5, 2, 6, 2), TypeTries("mail", 1, 0, 0, 0)]
    assert rates(queue, types=["mail"]) == [TypeTries("mail", 1, 0, 0, 0)]


def test_tries_that_timed_out_or_crashed_failed_and_those_given_back_are_none(queue: Queue) -> None:
    task_id = queue.task()
    for outcome in ("timeout", "crashed", "snoozed", "released"):
        queue.attempt(task_id, outcome)
    assert rates(queue) == [TypeTries("crawl", 2, 2, 0, 0)]


def test_a_task_fails_once_however_often_it_was_tried_and_not_when_it_has_succeeded_since(queue: Queue) -> None:
    queue.failed(tries=5)
    queue.task(state="queued", ago=MINUTE, outcomes=("failed", "failed"), error_class="Timeout")
    queue.task(state="succeeded", ago=MINUTE, outcomes=("failed", "succeeded"))
    queue.task(state="cancelled", ago=MINUTE, outcomes=("failed",))
    queue.failed(ago=2 * HOUR)
    assert failing(queue) == [Failing("crawl", "ConnectionError", 1), Failing("crawl", "Timeout", 1)]


def test_a_task_that_failed_without_a_try_is_told_too(queue: Queue) -> None:
    queue.failed(tries=0, type="mail", error_class="WorkerLost")
    queue.failed()
    queue.failed()
    assert failing(queue) == [Failing("crawl", "ConnectionError", 2), Failing("mail", "WorkerLost", 1)]
    assert failing(queue, types=["mail"]) == [Failing("mail", "WorkerLost", 1)]


def test_the_hour_is_read_by_indexes(queue: Queue) -> None:
    queue.conn.execute(
        "INSERT INTO queue.tasks (type, state, finished_at, attempts) SELECT 'crawl',"
        " CASE WHEN n % 50 = 0 THEN 'failed' ELSE 'succeeded' END, now() - interval '30 days' + n * interval '45 s', 1"
        " FROM generate_series(1, 57600) AS n"
    )
    queue.conn.execute(
        "INSERT INTO queue.attempts (task_id, fence, type, user_id, attempt, host, worker, due_at, claimed_at,"
        " finished_at, outcome) SELECT task_id, task_id, type, '', 1, 'h', 'w', now(), now(), finished_at, state"
        " FROM queue.tasks"
    )
    queue.conn.execute("VACUUM ANALYZE queue.tasks")
    queue.conn.execute("VACUUM ANALYZE queue.attempts")
    until = failures.now(queue.conn)
    parameters = {"until": until, "hour": until - failures.HOUR, "day": until - failures.HOUR - failures.DAY}
    for question, index in ((failures.TRIES, "attempts_by_end"), (failures.FAILING, "attempts_failed")):
        plan = queue.conn.execute(b"EXPLAIN " + question.encode(), {**parameters, "types": None}).fetchall()
        text = "\n".join(line for (line,) in plan)
        assert index in text and "Seq Scan on attempts" not in text, text
