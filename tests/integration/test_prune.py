"""What is past its time goes with its tries, and nothing else."""

from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from bench_retry import DAY, Queue
from jobctl.db.connection import Database
from jobctl.queue import prune
from jobctl.queue.prune import Cutoffs


@pytest.fixture
def queue(conn: psycopg.Connection) -> Queue:
    return Queue(conn)


def cutoffs(*, finished: timedelta = 14 * DAY, failed: timedelta = 90 * DAY) -> Cutoffs:
    now = datetime.now(UTC)
    return Cutoffs(now - finished, now - failed)


def everything(queue: Queue, *, size: int = 1_000, types: list[str] | None = None) -> tuple[int, int]:
    """Tasks and tries that went."""
    after = tasks = tries = 0
    while True:
        window = prune.prune(queue.conn, cutoffs(), after=after, size=size, types=types)
        tasks, tries = tasks + window.tasks, tries + window.tries
        if window.last is None or window.is_last(cutoffs(), size):
            return tasks, tries
        after = window.last


@pytest.mark.parametrize("size", [1, 3, 1_000])
def test_finished_tasks_go_after_two_weeks_and_failed_ones_after_three_months(queue: Queue, size: int) -> None:
    gone = [
        queue.task(state="succeeded", ago=15 * DAY, outcomes=("failed", "succeeded")),
        queue.task(state="cancelled", ago=15 * DAY),
        queue.failed(ago=91 * DAY),
    ]
    kept = [
        queue.task(state="succeeded", ago=13 * DAY, outcomes=("succeeded",)),
        queue.task(state="cancelled", ago=13 * DAY),
        queue.failed(ago=89 * DAY),
        queue.task(state="queued", ago=400 * DAY, outcomes=("failed",)),
        queue.task(state="blocked", ago=400 * DAY),
        queue.stuck(),
    ]
    assert everything(queue, size=size) == (3, 7)
    assert queue.states(*gone) == [None] * 3
    assert None not in queue.states(*kept)
    assert queue.value("SELECT count(*) FROM queue.attempts") == 7
    assert everything(queue, size=size) == (0, 0)
    queue.assert_books_are_in_order()


def test_tries_that_are_the_archives_stay(queue: Queue) -> None:
    queue.task(state="succeeded", ago=15 * DAY, outcomes=("failed", "succeeded"))
    window = prune.prune(queue.conn, cutoffs(), after=0, size=10, tries_stay=True)
    assert (window.tasks, window.tries) == (1, 0)
    assert queue.value("SELECT count(*) FROM queue.attempts") == 2
    queue.assert_books_are_in_order()


def test_only_some_types(queue: Queue) -> None:
    mail = queue.task(type="mail", state="succeeded", ago=15 * DAY)
    crawl = queue.task(state="succeeded", ago=15 * DAY)
    assert everything(queue, types=["mail"]) == (1, 0)
    assert queue.states(mail, crawl) == [None, "succeeded"]


def test_a_task_that_was_cancelled_without_a_word_on_when_goes_by_its_last_change(queue: Queue) -> None:
    task_id = queue.task(state="cancelled", ago=15 * DAY)
    queue.conn.execute("UPDATE queue.tasks SET finished_at = NULL")
    assert everything(queue) == (1, 0)
    assert queue.states(task_id) == [None]


def test_a_task_in_other_hands_is_left_for_the_next_time(queue: Queue, database: Database) -> None:
    queue.task(state="succeeded", ago=15 * DAY, outcomes=("succeeded",))
    with database.connect() as other, other.transaction():
        other.execute("SELECT FROM queue.tasks FOR UPDATE")
        assert everything(queue) == (0, 0)
    assert everything(queue) == (1, 1)


def test_it_ends_where_the_tasks_are_younger_than_every_cutoff(queue: Queue) -> None:
    for _ in range(3):
        queue.task(state="succeeded", ago=15 * DAY)
    for _ in range(20):
        queue.task(state="succeeded", ago=DAY)
    first = prune.prune(queue.conn, cutoffs(), after=0, size=5)
    assert (first.tasks, first.seen, first.is_last(cutoffs(), 5)) == (3, 5, False)
    second = prune.prune(queue.conn, cutoffs(), after=first.last or 0, size=5)
    assert (second.tasks, second.seen, second.is_last(cutoffs(), 5)) == (0, 5, True)


def test_a_window_is_read_by_the_keys_of_both_tables_at_any_size(queue: Queue) -> None:
    queue.conn.execute(
        "INSERT INTO queue.tasks (type, state, created_at, finished_at, attempts)"
        " SELECT 'crawl', 'succeeded', now() - interval '20 days', now() - interval '20 days', 1"
        " FROM generate_series(1, 60000)"
    )
    queue.conn.execute(
        "INSERT INTO queue.attempts (task_id, fence, type, user_id, attempt, host, worker, due_at, claimed_at,"
        " finished_at, outcome) SELECT task_id, task_id, type, '', 1, 'h', 'w', now(), now(), finished_at, 'succeeded'"
        " FROM queue.tasks"
    )
    queue.conn.execute("ANALYZE queue.tasks, queue.attempts")
    parameters = {
        **cutoffs()._asdict(),
        "after": 30_000,
        "last": 32_000,
        "size": 2_000,
        "types": None,
        "tries_stay": False,
    }
    for question in (prune.WINDOW, prune.PRUNE):
        plan = queue.conn.execute(b"EXPLAIN " + question.encode(), parameters).fetchall()
        text = "\n".join(line for (line,) in plan)
        assert "Seq Scan" not in text and "tasks_pkey" in text, text
    assert "attempts_pkey" in text, text
