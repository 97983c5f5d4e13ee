"""Claims against a real database: limits, turns, priority, rates, and what somebody else holds."""

import random
import threading
import uuid
from collections import Counter

import psycopg
import pytest

from bench_pooler import pgbouncer, pooled
from bench_queue_store import add, back, broken_promises, claim_one, claimer, drain, limit, states, succeeded
from jobctl.db.connection import Database, locate
from jobctl.queue import left
from jobctl.queue.claim import find_lanes
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


def test_only_a_claim_whose_answer_was_lost_is_taken_up_by_its_run(conn: psycopg.Connection) -> None:
    # An answered one may have been carried out, its end refused: taken up again it would have two effects in one try.
    run_id = uuid.uuid4()
    limit(conn, "each_user", 10)
    add(conn, 3)
    ours = claimer(run_id=run_id)
    (answered,) = ours.claim(conn, 1)
    claimer().claim(conn, 1)  # of another run
    (lost,) = ours.claim(conn, 1)
    assert left.claimed_unawares(conn, run_id, after=answered.claimed_at) == [lost]
    assert left.claimed_unawares(conn, run_id, after=lost.claimed_at) == []


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


@pytest.mark.parametrize("wanted", [1, 3, 50])
def test_users_take_turns(conn: psycopg.Connection, wanted: int) -> None:
    limit(conn, "each_user", 100)
    limit(conn, "user", 100, "ann")
    for user in ("ann", "bob", "eve"):
        add(conn, 5, user=user)
    users = [task.user_id for task in drain(conn, claimer(), wanted)]
    for turn in range(5):
        assert sorted(users[3 * turn : 3 * turn + 3]) == ["ann", "bob", "eve"], users


@pytest.mark.skipif(pgbouncer() is None, reason="no pgbouncer on this machine")
def test_claims_and_endings_work_through_a_pooler_in_transaction_mode(database: Database) -> None:
    with pooled(database.dsn, "transaction") as url:
        through = locate(url, "jobctl-test")
        assert through.pooled
        with through.connect() as conn:
            for number in range(10):
                add(conn, 3, user=f"user-{number}")
            tasks = drain(conn, claimer(database=through), wanted=4)
            assert len(tasks) == 30
            assert broken_promises(conn) == {}
            # What a claim sets is gone with its transaction.
            assert conn.execute("SHOW synchronous_commit").fetchone() == ("on",)
            assert conn.execute("SHOW enable_seqscan").fetchone() == ("on",)


def test_limits_hold_exactly_under_eight_claimers(database: Database, conn: psycopg.Connection) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    limit(conn, "all", 17)
    limit(conn, "type", 5, "mail")
    limit(conn, "user", 3, "user-1")
    for number in range(8):
        add(conn, 40, user=f"user-{number}")
        add(conn, 20, user=f"user-{number}", type_="mail")
    broken: list[object] = []
    done: list[int] = []
    stop = threading.Event()

    def work(number: int) -> None:
        dice = random.Random(seed + number)
        with database.connect() as mine:
            claims = claimer("crawl", "mail", worker=f"vm1/{number}")
            while not stop.is_set():
                tasks = claims.claim(mine, dice.randint(1, 9))
                if not tasks and mine.execute("SELECT FROM queue.tasks WHERE state = 'queued'").fetchone() is None:
                    return
                dice.shuffle(tasks)
                for first in range(0, len(tasks), 3):
                    broken.extend(mine.execute("SELECT * FROM queue.limits_held").fetchall())
                    part = tasks[first : first + 3]
                    assert complete(mine, succeeded(part)) == []
                    done.extend(task.task_id for task in part)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    stop.set()
    assert broken == []
    assert len(done) == len(set(done)) == 480
    assert broken_promises(conn) == {}


def test_one_user_with_ten_thousand_does_not_starve_fifty_with_ten(conn: psycopg.Connection) -> None:
    add(conn, 10_000, user="many")
    for number in range(50):
        add(conn, 10, user=f"user-{number}")
    claims = claimer()
    order: list[str] = []
    while len(order) < 800:
        tasks = claims.claim(conn, 20)
        assert complete(conn, succeeded(tasks)) == []
        order += [task.user_id for task in tasks]
    # Ten rounds of 51 users, and no more than a claim's worth beside that.
    last_of_the_fifty = max(place for place, user in enumerate(order) if user != "many")
    assert Counter(order)["many"] >= 10
    assert sum(user != "many" for user in order) == 500
    assert last_of_the_fifty < 2 * 510


def test_higher_priority_goes_first_and_each_step_is_worth_ten_minutes_of_waiting(conn: psycopg.Connection) -> None:
    (now,) = add(conn)
    (high,) = add(conn, priority=3)
    (old,) = add(conn, due_in_s=-20 * 60)
    (older,) = add(conn, due_in_s=-40 * 60)
    (low,) = add(conn, priority=-1)
    (to_come,) = add(conn, priority=100, due_in_s=60)
    assert [task.task_id for task in drain(conn, claimer(), wanted=1)] == [older, high, old, now, low]
    assert states(conn)[to_come] == "queued"


def test_tasks_of_low_priority_run_while_many_others_are_still_to_come(conn: psycopg.Connection) -> None:
    add(conn, 100, due_in_s=60)
    (low,) = add(conn, priority=-5)
    add(conn, 50, due_in_s=60)
    assert [task.task_id for task in claimer().claim(conn, 5)] == [low]


def test_due_tasks_are_found_behind_many_that_are_scheduled_ahead_with_priority(conn: psycopg.Connection) -> None:
    add(conn, 600, priority=100, due_in_s=60)
    due = add(conn, 2)
    add(conn, 600, priority=-1, due_in_s=60)
    assert sorted(task.task_id for task in claimer().claim(conn, 5)) == due


def test_a_full_type_does_not_keep_others_from_running(conn: psycopg.Connection) -> None:
    limit(conn, "type", 3, "mail")
    for number in range(300):
        add(conn, 2, user=f"a-{number}", type_="mail")
    add(conn, 2, user="z")
    claims = claimer("crawl", "mail")
    first = claims.claim(conn, 10)
    assert Counter(task.type for task in first)["mail"] == 3
    rest = first + claims.claim(conn, 10)
    assert Counter(task.type for task in rest) == {"mail": 3, "crawl": 2}
    assert claims.claim(conn, 10) == []
    assert broken_promises(conn) == {}


def test_every_user_has_a_turn_at_the_few_places_of_a_type(conn: psycopg.Connection) -> None:
    limit(conn, "type", 3, "mail")
    for number in range(40):
        add(conn, 3, user=f"a-{number:02}", type_="mail")
        add(conn, 3, user=f"a-{number:02}", type_="crawl")
    claims = claimer("crawl", "mail")
    mails: list[str] = []
    for _ in range(14):
        tasks = claims.claim(conn, 20)
        assert complete(conn, succeeded(tasks)) == []
        mails += [task.user_id for task in tasks if task.type == "mail"]
    assert len(mails) > 30
    assert max(Counter(mails).values()) <= 2, mails


def test_only_types_with_a_handler_are_claimed_and_a_call_may_want_fewer(conn: psycopg.Connection) -> None:
    for type_ in ("crawl", "mail", "unknown"):
        add(conn, user="", type_=type_)
    claims = claimer("crawl", "mail")
    assert [task.type for task in claims.claim(conn, 5, types={"mail", "unknown"})] == ["mail"]
    assert claims.claim(conn, 5, types=["mail"]) == []
    assert [task.type for task in claims.claim(conn, 5)] == ["crawl"]
    assert claims.claim(conn, 5) == []


def test_a_rate_spaces_tasks_out(conn: psycopg.Connection) -> None:
    limit(conn, "type", None, "mail", rate=240)
    limit(conn, "each_user", 1000)
    add(conn, 50, type_="mail")
    claims = claimer("crawl", "mail")
    assert len(claims.claim(conn, 20)) == 4  # a second's worth
    assert claims.claim(conn, 20) == []
    add(conn)
    assert [task.type for task in claims.claim(conn, 20)] == ["crawl"]
    # By the server's clock, three more steps of a quarter of a second have passed, and a little.
    conn.execute("UPDATE queue.limits SET next_start_at = next_start_at - interval '0.77 s' WHERE kind = 'type'")
    assert len(claims.claim(conn, 20)) >= 3
    # However long nothing ran, there is never more than a second's worth at once.
    conn.execute("UPDATE queue.limits SET next_start_at = '-infinity' WHERE kind = 'type'")
    assert len(claims.claim(conn, 20)) == 4
    conn.execute("UPDATE queue.limits SET next_start_at = 'infinity' WHERE kind = 'type'")
    assert claims.claim(conn, 20) == []


def test_a_slow_rate_lets_one_task_begin(conn: psycopg.Connection) -> None:
    limit(conn, "type", None, "mail", rate=0.5)
    add(conn, 5, type_="mail")
    claims = claimer("mail")
    assert len(claims.claim(conn, 20)) == 1
    assert claims.claim(conn, 20) == []
    (wait_s,) = conn.execute(
        "SELECT extract(epoch FROM l.next_start_at - t.claimed_at) FROM queue.limits AS l, queue.tasks AS t"
        " WHERE l.kind = 'type' AND t.state = 'running'"
    ).fetchone() or (0,)
    assert wait_s == 120


def test_late_arrivals_and_higher_priorities_have_their_turn(conn: psycopg.Connection) -> None:
    limit(conn, "each_user", 1000)
    add(conn, 100)
    claims = claimer()
    claims.claim(conn, 5)
    (urgent,) = add(conn, priority=10)
    (newcomer,) = add(conn, user="bob")
    claims._found_at -= 3600  # the wheel is old
    assert {task.task_id for task in claims.claim(conn, 2)} == {urgent, newcomer}
    assert len(drain(conn, claims)) == 95
    (late,) = add(conn)
    assert [task.task_id for task in claims.claim(conn, 5)] == [late]


def test_a_task_that_came_back_is_claimed_again(conn: psycopg.Connection) -> None:
    add(conn)
    claims = claimer()
    (task,) = claims.claim(conn, 5)
    complete(conn, [back(task)])
    (again,) = claims.claim(conn, 5)
    assert (again.task_id, again.attempt) == (task.task_id, 2)
    assert again.fence > task.fence


def test_rows_that_somebody_holds_are_passed_over(database: Database, conn: psycopg.Connection) -> None:
    ids = add(conn, 1000, user="ann")
    other = add(conn, 1, user="bob")
    with database.connect() as operator, operator.transaction():
        operator.execute(
            "SELECT FROM queue.tasks WHERE user_id = 'ann' AND task_id < %s FOR UPDATE", (ids[-1],)
        ).fetchall()
        assert {task.task_id for task in drain(conn, claimer(), wanted=10)} == {ids[-1], *other}


def test_a_limit_that_somebody_changes_just_now_is_not_waited_for(database: Database, conn: psycopg.Connection) -> None:
    limit(conn, "type", None, "mail", rate=60)
    add(conn, user="", type_="mail")
    add(conn, user="")
    with database.connect() as operator, operator.transaction():
        operator.execute("SELECT FROM queue.limits FOR UPDATE").fetchall()
        assert [task.type for task in claimer("crawl", "mail").claim(conn, 10)] == ["crawl"]
    assert [task.type for task in claimer("crawl", "mail").claim(conn, 10)] == ["mail"]


def test_what_was_blocked_after_the_claim_looked_is_not_started(database: Database, conn: psycopg.Connection) -> None:
    add(conn, 3, user="")
    claims = claimer()
    claims._find(conn)
    conn.execute("UPDATE public.ingestion_jobs SET status = 'blocked' WHERE status = 'queued'")
    assert claims.claim(conn, 10) == []
    assert set(states(conn).values()) == {"blocked"}


def test_a_task_whose_times_were_set_to_infinity_by_hand_breaks_no_claim(conn: psycopg.Connection) -> None:
    first, second, never = add(conn, 3, user="")
    conn.execute("UPDATE queue.tasks SET created_at = 'infinity', updated_at = 'infinity'")
    conn.execute("UPDATE queue.tasks SET scheduled_at = '-infinity' WHERE task_id = %s", (second,))
    conn.execute("UPDATE queue.tasks SET scheduled_at = 'infinity' WHERE task_id = %s", (never,))
    assert [task.task_id for task in drain(conn, claimer())] == [second, first]
    assert states(conn)[never] == "queued"


def test_names_that_need_quoting_are_claimed(conn: psycopg.Connection) -> None:
    users = ['a "b"', "c\\d", "{e,f}", "NULL", "ü '"]
    for user in users:
        add(conn, user=user, type_='t "1"')
    assert sorted(task.user_id for task in claimer('t "1"').claim(conn, 10)) == sorted(users)


def test_a_transaction_that_fails_leaves_the_connection_usable(database: Database, conn: psycopg.Connection) -> None:
    add(conn)
    claims = claimer()
    claims.claim(conn, 1)
    add(conn, user="bob")
    conn.execute("SET lock_timeout = 50")
    with database.connect() as rival, rival.transaction():
        rival.execute("SELECT pg_advisory_xact_lock(5893116907335246081)")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            claims.claim(conn, 1)
    assert len(claims.claim(conn, 1)) == 1


def test_lanes_are_found_by_what_is_due(conn: psycopg.Connection) -> None:
    add(conn, 5)
    add(conn, user="bob", due_in_s=60)
    add(conn, user="eve", type_="mail")
    claim_one(conn)
    lanes = find_lanes(conn, ["crawl"])
    assert [(lane.user_id, lane.type, lane.late) for lane in lanes] == [("ann", "crawl", False)]
