"""Claims against a real database: limits, turns, priority, rates, and what somebody else holds."""

import uuid

import psycopg
import pytest

from bench_queue_store import add, broken_promises, claimer, drain, limit, states, succeeded
from jobctl.db.connection import Database
from jobctl.queue.complete import complete


def test_a_claim_holds_the_task_for_its_worker_and_counts_the_try(conn: psycopg.Connection) -> None:
    (task_id,) = add(conn)
    (task,) = claimer(worker="vm1/77").claim(conn, 20)
    assert (task.task_id, task.type, task.user_id, task.attempt, task.crashes) == (task_id, "crawl", "ann", 1, 0)
    row = conn.execute(
        "SELECT state, attempts, worker, fence, lease_until - claimed_at = interval '60 s' FROM queue.tasks"
    ).fetchone()
    assert row == ("running", 1, "vm1/77", task.fence, True)
    assert broken_promises(conn) == {}


def test_the_limits_of_user_type_and_all_hold_at_the_same_time(conn: psycopg.Connection) -> None:
    limit(conn, "all", 7)
    limit(conn, "type", 3, "mail")
    limit(conn, "user", 4, "bob")
    for user in ("ann", "bob", "eve"):
        add(conn, 10, user=user)
        add(conn, 10, user=user, type_="mail")
    mine = claimer("crawl", "mail")
    tasks = mine.claim(conn, 100)
    assert len(tasks) == 7
    assert mine.claim(conn, 100) == []
    assert broken_promises(conn) == {}
    limit(conn, "all", 100)
    tasks += mine.claim(conn, 100)
    by_user = {user: sum(task.user_id == user for task in tasks) for user in ("ann", "bob", "eve")}
    assert by_user == {"ann": 2, "bob": 4, "eve": 2}
    assert sum(task.type == "mail" for task in tasks) <= 3
    assert broken_promises(conn) == {}


def test_tasks_of_nobody_have_no_user_limit_and_fill_up(conn: psycopg.Connection) -> None:
    add(conn, 30, user="")
    add(conn, 30, user="ann")
    tasks = claimer().claim(conn, 20)
    assert sorted(task.user_id for task in tasks) == [""] * 18 + ["ann"] * 2


def test_a_queue_is_drained_to_the_last_task(conn: psycopg.Connection) -> None:
    for number in range(30):
        add(conn, 7, user=f"user-{number}")
    tasks = drain(conn, claimer())
    assert len({task.task_id for task in tasks}) == 210
    assert set(states(conn).values()) == {"succeeded"}
    assert broken_promises(conn) == {}


def test_claims_work_through_a_pooled_database(database: Database) -> None:
    pooled = Database(database.dsn, "jobctl-test", pooled=True)
    with pooled.connect() as conn:
        add(conn, 5)
        mine = claimer()
        mine._database = pooled
        assert len(drain(conn, mine)) == 5


@pytest.mark.parametrize("wanted", [1, 3, 50])
def test_users_take_turns(conn: psycopg.Connection, wanted: int) -> None:
    limit(conn, "each_user", 100)
    limit(conn, "user", 100, "ann")
    for user in ("ann", "bob", "eve"):
        add(conn, 5, user=user)
    users = [task.user_id for task in drain(conn, claimer(), wanted)]
    for turn in range(5):
        assert sorted(users[3 * turn : 3 * turn + 3]) == ["ann", "bob", "eve"], (users, uuid.uuid4())
    assert complete(conn, succeeded([])) == []
