"""Failed tasks that get another round, with the books in order."""

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from bench_retry import DAY, HOUR, Queue
from jobctl.db.connection import Database
from jobctl.queue import requeue
from jobctl.queue.requeue import Budget

LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
ALL = Budget(LONG_AGO, {}, 20)


@pytest.fixture
def queue(conn: psycopg.Connection) -> Queue:
    return Queue(conn)


def test_recoverable_failures_with_a_round_left_are_candidates_the_oldest_first(queue: Queue) -> None:
    young, old = queue.failed(ago=HOUR), queue.failed(ago=DAY)
    queue.failed(is_recoverable=False)
    queue.failed(is_recoverable=None)
    queue.failed(forgiven_attempts=15)  # the three rounds are spent
    queue.task(state="succeeded", outcomes=("succeeded",), is_recoverable=True)
    other = queue.failed(type="mail", forgiven_attempts=14)
    assert requeue.count_candidates(queue.conn, ALL) == {"crawl": 2, "mail": 1}
    found = requeue.candidates(queue.conn, ALL, {"crawl": 10, "mail": 10})
    assert [each.task_id for each in found] == [old, other, young], "the types by turns"
    assert [each.task_id for each in requeue.candidates(queue.conn, ALL, {"crawl": 1, "mail": 0})] == [old]


def test_only_some_types_and_only_since_a_moment(queue: Queue) -> None:
    queue.failed(ago=2 * DAY)
    queue.failed(type="mail", ago=2 * DAY)
    queue.failed(type="mail", ago=HOUR)
    recent = ALL._replace(since=datetime.now(UTC) - DAY)
    assert requeue.count_candidates(queue.conn, recent) == {"mail": 1}
    assert requeue.count_candidates(queue.conn, ALL, types=["crawl"]) == {"crawl": 1}


def test_each_type_has_a_budget_of_its_own(queue: Queue) -> None:
    queue.failed(tries=2)
    queue.failed(type="mail", tries=2)
    assert requeue.count_candidates(queue.conn, Budget(LONG_AGO, {"mail": 2}, 20)) == {"crawl": 1}


def test_crashes_are_no_tries_of_the_budget(queue: Queue) -> None:
    queue.task(state="failed", outcomes=("crashed", "crashed", "failed"), is_recoverable=True)
    assert requeue.count_candidates(queue.conn, Budget(LONG_AGO, {}, 1)) == {}
    assert requeue.count_candidates(queue.conn, Budget(LONG_AGO, {}, 2)) == {"crawl": 1}


def test_a_round_forgives_the_failed_tries_and_keeps_the_crashes(queue: Queue) -> None:
    task_id = queue.task(state="failed", outcomes=("failed", "crashed", "failed"), is_recoverable=True)
    before = queue.value("SELECT now()")
    (done,) = requeue.requeue(queue.conn, {task_id: 600.0})
    assert done.is_queued
    row = queue.row(task_id)
    assert (row["state"], row["finished_at"], row["lease_until"]) == ("queued", None, None)
    assert (row["attempts"], row["crashes"], row["forgiven_attempts"], row["forgiven_crashes"]) == (1, 1, 2, 0)
    assert row["scheduled_at"] >= before + timedelta(seconds=600)
    queue.assert_books_are_in_order()


def test_an_operators_word_forgives_all(queue: Queue) -> None:
    task_id = queue.task(state="failed", outcomes=("failed", "crashed"), is_recoverable=False)
    assert requeue.requeue(queue.conn, {task_id: 0.0}, all_forgiven=True) == []
    (done,) = requeue.requeue(queue.conn, {task_id: 0.0}, all_forgiven=True, by_hand=True)
    assert done.is_queued
    row = queue.row(task_id)
    assert (row["attempts"], row["crashes"], row["forgiven_attempts"], row["forgiven_crashes"]) == (0, 0, 2, 1)
    queue.assert_books_are_in_order()


@pytest.mark.parametrize("state", ["queued", "running", "succeeded", "blocked", "cancelled"])
def test_what_is_not_failed_is_left_alone(queue: Queue, state: str) -> None:
    task_id = queue.task(state=state, is_recoverable=True)
    assert requeue.requeue(queue.conn, {task_id: 0.0}, by_hand=True) == []
    assert queue.states(task_id) == [state]


@pytest.mark.parametrize("key", [{"subject_id": 7, "model_version": "m1"}, {"dedupe_key": "k"}])
def test_a_task_whose_twin_waits_is_superseded_by_it(queue: Queue, key: dict[str, Any]) -> None:
    failed = queue.failed(**key)
    twin = queue.task(**key)
    (done,) = requeue.requeue(queue.conn, {failed: 60.0})
    assert not done.is_queued
    row = queue.row(failed)
    assert (row["state"], row["error_class"]) == ("cancelled", "Superseded")
    assert row["error_message"] == f"superseded by a newer request that waits as task {twin}"
    assert row["finished_at"] is not None and row["attempts"] == 5
    queue.assert_books_are_in_order()


def test_of_several_failed_tasks_of_one_subject_the_newest_is_requeued(queue: Queue) -> None:
    failed = [queue.failed(subject_id=7, model_version="m1") for _ in range(3)]
    other = queue.failed(subject_id=7, model_version="m2")
    done = requeue.requeue(queue.conn, dict.fromkeys([*failed, other], 0.0))
    assert len(done) == 4
    assert queue.states(*failed, other) == ["cancelled", "cancelled", "queued", "queued"]


def test_a_task_is_superseded_by_a_waiting_one_alone(queue: Queue) -> None:
    """b's twin by key is c; so a, which would have had b for a twin, is requeued itself."""
    a = queue.failed(subject_id=1)
    b = queue.failed(subject_id=1, dedupe_key="k")
    c = queue.failed(subject_id=2, dedupe_key="k")
    requeue.requeue(queue.conn, {a: 0.0, b: 0.0, c: 0.0})
    assert queue.states(a, b, c) == ["queued", "cancelled", "queued"]


def test_a_task_in_other_hands_is_left_for_the_next_time(queue: Queue, database: Database) -> None:
    task_id = queue.failed()
    with database.connect() as other, other.transaction():
        other.execute("SELECT FROM queue.tasks WHERE task_id = %s FOR UPDATE", (task_id,))
        assert requeue.requeue(queue.conn, {task_id: 0.0}) == []
    assert len(requeue.requeue(queue.conn, {task_id: 0.0})) == 1


def test_two_that_requeue_at_once_do_it_once(queue: Queue, database: Database) -> None:
    task_ids = [queue.failed() for _ in range(200)]
    start = threading.Barrier(4)
    done: list[int] = []

    def work() -> None:
        with database.connect() as conn:
            start.wait()
            done.extend(each.task_id for each in requeue.requeue(conn, dict.fromkeys(task_ids, 0.0)))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(done) == task_ids
    queue.assert_books_are_in_order()


def test_states_of_what_is_there(queue: Queue) -> None:
    task_id = queue.task()
    assert requeue.states(queue.conn, [task_id, task_id + 1]) == {task_id: "queued"}


def test_candidates_are_found_by_the_index_of_failed_tasks(queue: Queue) -> None:
    queue.conn.execute(
        "INSERT INTO queue.tasks (type, state, is_recoverable, finished_at) SELECT 'crawl',"
        " CASE WHEN n % 100 = 0 THEN 'failed' ELSE 'succeeded' END, true, now() FROM generate_series(1, 20000) AS n"
    )
    queue.conn.execute("ANALYZE queue.tasks")
    parameters = ALL.parameters() | {"quota_types": ["crawl"], "quotas": [10], "only": None}
    for question in (requeue.COUNT, requeue.CANDIDATES):
        plan = queue.conn.execute(b"EXPLAIN " + question.encode(), parameters).fetchall()
        text = "\n".join(line for (line,) in plan)
        assert "tasks_failed" in text and "Seq Scan on tasks" not in text, text
