"""How tries end: completion, lease, rescue, twins, and endings that come too late."""

import threading
from datetime import UTC, datetime, timedelta
from typing import Literal

import psycopg
import pytest
from psycopg.errors import LockNotAvailable

from bench_queue_store import (
    add,
    back,
    broken_promises,
    claim_one,
    claimer,
    end_leases,
    states,
    succeeded,
)
from jobctl.db.connection import Database
from jobctl.queue.changes import cancel
from jobctl.queue.complete import complete
from jobctl.queue.lease import TaskLost, check_held, extend, save_checkpoint
from jobctl.queue.rescue import find_lost, put_back, rescue
from jobctl.queue.task import Ending, Task

LATER = datetime(2040, 1, 1, tzinfo=UTC)


def test_success_is_written_with_its_row(conn: psycopg.Connection) -> None:
    add(conn)
    task = claim_one(conn)
    ending = Ending(
        task, "succeeded", "succeeded", result={"bytes": 3, "of": 'a "b" \\ c'}, handler_version="7", memory_bytes=9
    )
    assert complete(conn, [ending]) == []
    row = conn.execute(
        "SELECT type, user_id, attempt, host, worker, outcome, handler_version, memory_bytes, result,"
        " claimed_at <= finished_at, due_at <= claimed_at, fence FROM queue.attempts"
    ).fetchone()
    assert row == (
        (
            "crawl",
            "ann",
            1,
            "vm1",
            "vm1/1",
            "succeeded",
            "7",
            9,
            {"bytes": 3, "of": 'a "b" \\ c'},
            True,
            True,
            task.fence,
        )
    )
    task_row = conn.execute(
        "SELECT state, lease_until, finished_at IS NULL, handler_version FROM queue.tasks"
    ).fetchone()
    assert task_row == ("succeeded", None, False, "7")
    assert broken_promises(conn) == {}


def test_every_kind_of_ending_goes_in_one_call(conn: psycopg.Connection) -> None:
    ids = [task_id for user in "abcdef" for task_id in add(conn, user=user)]
    tasks = sorted(claimer().claim(conn, 20))
    endings = [
        Ending(tasks[0], "succeeded", "succeeded"),
        Ending(
            tasks[1], "failed", "failed", error_class="Boom", error_message='it "broke", {so}', is_recoverable=False
        ),
        Ending(tasks[2], "failed", "queued", scheduled_at=LATER, error_class="Boom", is_recoverable=True),
        Ending(tasks[3], "timeout", "queued", scheduled_at=LATER),
        Ending(tasks[4], "snoozed", "queued", scheduled_at=LATER),
        Ending(tasks[5], "released", "queued"),
    ]
    assert complete(conn, endings) == []
    rows = conn.execute(
        "SELECT task_id, state, attempts, scheduled_at = %s, error_class, error_message, is_recoverable"
        " FROM queue.tasks ORDER BY task_id",
        (LATER,),
    ).fetchall()
    assert rows == [
        (ids[0], "succeeded", 1, False, None, None, None),
        (ids[1], "failed", 1, False, "Boom", 'it "broke", {so}', False),
        (ids[2], "queued", 1, True, "Boom", None, True),
        (ids[3], "queued", 1, True, None, None, None),
        (ids[4], "queued", 0, True, None, None, None),
        (ids[5], "queued", 0, False, None, None, None),
    ]
    outcomes = conn.execute("SELECT outcome, attempt FROM queue.attempts ORDER BY task_id").fetchall()
    assert outcomes == [(ending.outcome, 1) for ending in endings]
    assert broken_promises(conn) == {}


@pytest.mark.parametrize("how", ["succeeded", "failed"])
def test_an_ending_is_refused_once_the_task_is_no_longer_held(
    conn: psycopg.Connection, how: Literal["succeeded", "failed"]
) -> None:
    def ending(task: Task) -> Ending:
        return Ending(task, how, how)

    add(conn, 2, user="")
    late, good = claimer().claim(conn, 2)
    conn.execute("UPDATE queue.tasks SET lease_until = now() - interval '1 ms' WHERE task_id = %s", (late.task_id,))
    assert complete(conn, [ending(late), ending(good)]) == [late.task_id]
    assert complete(conn, [ending(good)]) == [good.task_id]
    rescue(conn, {}, 3, pause_s=0)
    again = claim_one(conn)
    assert again.task_id == late.task_id and again.fence > late.fence
    assert complete(conn, [ending(late)]) == [late.task_id]
    assert complete(conn, [ending(again._replace(claimed_at=late.claimed_at))]) == [late.task_id]
    assert complete(conn, [ending(again)]) == []
    assert broken_promises(conn) == {}


def test_a_task_whose_twin_waits_is_superseded_when_it_comes_back(conn: psycopg.Connection) -> None:
    add(conn, user="a", subject_id=5)
    add(conn, user="b", dedupe_key="k")
    add(conn, user="c")
    tasks = sorted(claimer().claim(conn, 3))
    twins = add(conn, user="a", subject_id=5, due_in_s=60) + add(conn, user="b", dedupe_key="k", due_in_s=60)
    assert complete(conn, [back(task, at=LATER) for task in tasks]) == []
    assert states(conn) == {
        tasks[0].task_id: "cancelled",
        tasks[1].task_id: "cancelled",
        tasks[2].task_id: "queued",
        **dict.fromkeys(twins, "queued"),
    }
    reasons = conn.execute("SELECT DISTINCT error_class FROM queue.tasks WHERE state = 'cancelled'").fetchall()
    assert reasons == [("Superseded",)]
    assert broken_promises(conn) == {}


def test_of_twins_that_come_back_together_the_newer_stays(conn: psycopg.Connection) -> None:
    add(conn, subject_id=5)
    older = claim_one(conn)
    add(conn, subject_id=5)
    newer = claim_one(conn)
    assert complete(conn, [back(newer), back(older)]) == []
    assert states(conn) == {older.task_id: "cancelled", newer.task_id: "queued"}


@pytest.mark.parametrize("lost", [False, True], ids=["failed", "lost"])
@pytest.mark.parametrize("waits", [False, True], ids=["all-come-back", "one-waits"])
def test_none_of_a_chain_is_superseded_by_what_does_not_wait(
    conn: psycopg.Connection, *, lost: bool, waits: bool
) -> None:
    """The first has the subject of the second, and that the key of the third, by whoever writes tasks by SQL."""
    tasks: list[Task] = []
    for subject_id, key in ((5, None), (5, "k"), (None, "k")):
        conn.execute(
            "INSERT INTO queue.tasks (type, subject_id, dedupe_key) VALUES ('crawl', %s, %s)", (subject_id, key)
        )
        if not (waits and subject_id is None):
            tasks.append(claim_one(conn))
    if lost:
        end_leases(conn)
        assert len(rescue(conn, {}, 3, pause_s=0)) == len(tasks)
    else:
        assert complete(conn, [back(task) for task in tasks]) == []
    waiting = conn.execute("SELECT subject_id, dedupe_key FROM queue.tasks WHERE state = 'queued'").fetchall()
    assert sorted(waiting, key=str) == [(5, None), (None, "k")]
    assert broken_promises(conn) == {}


def test_a_twin_that_comes_in_at_the_same_moment_supersedes_too(database: Database, conn: psycopg.Connection) -> None:
    add(conn, subject_id=5)
    task = claim_one(conn)
    add(conn, user="bob")
    other = claim_one(conn)
    with database.connect() as rival:
        with rival.transaction():
            add(rival, subject_id=5)  # not committed when the completion looks for twins
            refused: list[int] = []
            thread = threading.Thread(target=lambda: refused.extend(complete(conn, [back(task), back(other)])))
            thread.start()
            wait_until_blocked(rival)
        thread.join()
        assert refused == []
        assert states(rival)[task.task_id] == "cancelled"
        assert states(rival)[other.task_id] == "queued"
        assert broken_promises(rival) == {}


def wait_until_blocked(watch: psycopg.Connection) -> None:
    while not watch.execute("SELECT FROM pg_locks WHERE NOT granted").fetchall():
        pass


def test_an_error_inside_leaves_the_callers_transaction_usable(database: Database, conn: psycopg.Connection) -> None:
    add(conn, subject_id=5)
    task = claim_one(conn)
    with database.connect() as rival, conn.transaction():
        with rival.transaction():
            add(rival, subject_id=5)
            thread = threading.Thread(target=lambda: complete(conn, [back(task)]))
            thread.start()
            wait_until_blocked(rival)
        thread.join()
        conn.execute("SELECT 1")
    assert states(conn)[task.task_id] == "cancelled"


def test_a_lease_is_extended_only_by_who_holds_the_task(conn: psycopg.Connection) -> None:
    add(conn, 2, user="")
    mine, other = claimer(lease_s=1).claim(conn, 2)
    assert extend(conn, [mine, other._replace(fence=other.fence - 1)], lease_s=900) == [other.task_id]
    rows = conn.execute(
        "SELECT task_id FROM queue.tasks WHERE lease_until > now() + interval '800 s' ORDER BY task_id"
    ).fetchall()
    assert rows == [(mine.task_id,)]
    end_leases(conn)
    assert extend(conn, [mine], lease_s=60) == []  # nobody has given it away
    assert complete(conn, succeeded([mine])) == []
    assert extend(conn, [mine], lease_s=60) == [mine.task_id]


def test_an_effect_is_written_only_while_the_task_is_held(database: Database, conn: psycopg.Connection) -> None:
    add(conn)
    task = claim_one(conn)
    with database.connect() as other:
        with conn.transaction():
            check_held(conn, [task])
            assert extend(other, [task], lease_s=-1) == []  # the heartbeat passes the lock
            assert rescue(other, {}, 3, pause_s=0) == []  # the rescuer does not
        with pytest.raises(TaskLost, match=str(task.task_id)), conn.transaction():
            check_held(conn, [task])
        (rescued,) = rescue(other, {}, 3, pause_s=0)
    assert rescued.task_id == task.task_id
    with pytest.raises(TaskLost):
        save_checkpoint(conn, task, {"page": 2})


@pytest.mark.parametrize("by_view", [False, True])
def test_who_cancels_a_running_task_waits_for_its_open_effect_and_a_beat_does_not(
    database: Database, conn: psycopg.Connection, by_view: bool
) -> None:
    add(conn)
    task = claim_one(conn)

    def cancel_it() -> None:
        if by_view:
            conn.execute("UPDATE public.ingestion_jobs SET status = 'cancelled' WHERE id = %s", (task.task_id,))
        else:
            cancel(conn, [task.task_id], message="by hand")

    conn.execute("SET lock_timeout = '200ms'")
    with database.connect() as handler:
        with handler.transaction():
            check_held(handler, [task])
            with pytest.raises(LockNotAvailable):
                cancel_it()
            assert extend(conn, [task], lease_s=900) == []
            row = conn.execute("SELECT lease_until > now() + interval '800 s' FROM queue.tasks").fetchone()
            assert row == (True,)
        cancel_it()
        with pytest.raises(TaskLost), handler.transaction():
            check_held(handler, [task])
    assert complete(conn, succeeded([task])) == [task.task_id]


def test_the_next_try_finds_the_checkpoint_and_success_forgets_it(conn: psycopg.Connection) -> None:
    add(conn)
    task = claim_one(conn)
    save_checkpoint(conn, task, {"page": 2})
    complete(conn, [back(task, at=datetime.now(UTC) - timedelta(seconds=1))])
    task = claim_one(conn)
    assert (task.checkpoint, task.attempt) == ({"page": 2}, 2)
    complete(conn, succeeded([task]))
    assert conn.execute("SELECT checkpoint FROM queue.tasks").fetchall() == [(None,)]


def test_lost_tasks_come_back_with_the_reason_and_die_at_the_crash_limit(conn: psycopg.Connection) -> None:
    add(conn)
    for crashes in (1, 2, 3):
        task = claim_one(conn)
        assert (task.crashes, task.attempt) == (crashes - 1, crashes)
        assert rescue(conn, {"crawl": 3}, 1, pause_s=0) == []  # its lease is not over
        end_leases(conn)
        (rescued,) = rescue(conn, {"crawl": 3}, 1, pause_s=0)
        assert (rescued.crashes, rescued.state) == (crashes, "failed" if crashes == 3 else "queued")
        assert f"UTC, worker vm1/1, attempt {crashes}" in rescued.why
        assert broken_promises(conn) == {}
    row = conn.execute("SELECT state, error_class, error_message, is_recoverable FROM queue.tasks").fetchone()
    assert row == ("failed", "WorkerLost", rescued.why, False)
    outcomes = conn.execute("SELECT outcome, error_message = %s FROM queue.attempts", (rescued.why,)).fetchall()
    assert [outcome for outcome, _ in outcomes] == ["crashed"] * 3


def test_a_lost_task_waits_for_the_pause_and_other_types_are_left(conn: psycopg.Connection) -> None:
    add(conn)
    add(conn, type_="mail")
    claimer("crawl", "mail").claim(conn, 2)
    end_leases(conn)
    (rescued,) = rescue(conn, {}, 3, pause_s=30, types=["mail"])
    assert rescued.type == "mail"
    assert claimer("mail").claim(conn, 1) == []
    assert sorted(states(conn).values()) == ["queued", "running"]


def test_a_lost_task_whose_twin_waits_is_superseded(conn: psycopg.Connection) -> None:
    add(conn, dedupe_key="k")
    task = claim_one(conn)
    (twin,) = add(conn, dedupe_key="k", due_in_s=60)
    end_leases(conn)
    (rescued,) = rescue(conn, {}, 3, pause_s=0)
    assert rescued.state == "cancelled"
    assert states(conn) == {task.task_id: "cancelled", twin: "queued"}
    assert broken_promises(conn) == {}


def test_a_task_that_finishes_between_the_rescuers_reading_and_writing_stays_done(conn: psycopg.Connection) -> None:
    add(conn, 500, user="")
    tasks = claimer(lease_s=0.001).claim(conn, 500)
    assert len(tasks) == 500
    end_leases(conn)
    lost = find_lost(conn)
    assert len(lost) == 500
    # Its worker was only slow: it takes the lease up again and ends its tries.
    assert extend(conn, tasks, lease_s=60) == []
    assert complete(conn, succeeded(tasks)) == []
    assert put_back(conn, lost, {}, 3, pause_s=0) == []
    assert list(states(conn).values()) == ["succeeded"] * 500
    assert broken_promises(conn) == {}
