"""What an operator's changes do to tasks: the state each leaves, the books, twins, batches, and who works beside."""

from collections.abc import Sequence
from functools import partial
from itertools import islice
from threading import Thread
from typing import Any

import psycopg
import pytest

from bench_tasks import broken, column, make_attempt, make_task, state_of
from jobctl.db.connection import Database
from jobctl.queue import changes, sweep
from jobctl.queue.changes import Changed
from jobctl.queue.sweep import Which

ALL_STATES = ("queued", "running", "succeeded", "failed", "blocked", "cancelled")
NOBODY = Which(("queued",))


@pytest.fixture
def one_of_each(conn: psycopg.Connection) -> dict[str, int]:
    made = {state: make_task(conn, state=state) for state in ALL_STATES}
    assert broken(conn) == []
    return made


def before_and_after(done: Sequence[Changed]) -> set[tuple[str, str]]:
    return {(each.was, each.now) for each in done}


def test_cancel_leaves_finished_tasks_alone(conn: psycopg.Connection, one_of_each: dict[str, int]) -> None:
    done = changes.cancel(conn, list(one_of_each.values()), message="by ops")
    assert before_and_after(done) == {("queued", "cancelled"), ("blocked", "cancelled"), ("running", "cancelled")}
    assert [state_of(conn, one_of_each[state]) for state in ("succeeded", "failed")] == ["succeeded", "failed"]
    assert column(conn, one_of_each["queued"], "error_class", "error_message") == ("Cancelled", "by ops")
    assert column(conn, one_of_each["cancelled"], "error_class") == (None,)
    assert broken(conn) == []


def test_a_cancelled_try_is_given_back_and_has_its_row(conn: psycopg.Connection) -> None:
    task_id = make_task(conn, state="running", attempts=2, user_id="u1", fence=9)
    make_attempt(conn, task_id, fence=3)
    assert broken(conn) == []
    changes.cancel(conn, [task_id], message="by ops")
    assert broken(conn) == []
    assert column(conn, task_id, "attempts", "lease_until") == (1, None)
    row = conn.execute(
        "SELECT attempt, outcome, error_class, host, worker, user_id FROM queue.attempts WHERE fence = 9"
    ).fetchone()
    assert row == (2, "released", "Cancelled", "vm2", "vm2/41/1", "u1")


COMPLETE = """
UPDATE queue.tasks SET state = 'succeeded'
WHERE task_id = %s AND fence = 7 AND state = 'running' AND lease_until > clock_timestamp()
"""


def test_the_end_that_the_worker_of_a_cancelled_task_brings_is_refused(conn: psycopg.Connection) -> None:
    task_id = make_task(conn, state="running")
    changes.cancel(conn, [task_id], message="by ops")
    assert conn.execute(COMPLETE, (task_id,)).rowcount == 0
    assert state_of(conn, task_id) == "cancelled"


def test_block_takes_only_what_waits_and_unblock_only_what_is_blocked(
    conn: psycopg.Connection, one_of_each: dict[str, int]
) -> None:
    every = list(one_of_each.values())
    blocked = changes.block(conn, every)
    assert [(each.task_id, each.was, each.now) for each in blocked] == [(one_of_each["queued"], "queued", "blocked")]
    free = changes.unblock(conn, every)
    assert {each.task_id for each in free} == {one_of_each["queued"], one_of_each["blocked"]}
    assert before_and_after(free) == {("blocked", "queued")}


def test_an_unblocked_task_whose_twin_waits_is_cancelled_for_it(conn: psycopg.Connection) -> None:
    of_key = make_task(conn, dedupe_key="k", state="blocked")
    of_subject = make_task(conn, subject_id=5, model_version="m", state="blocked")
    other_model = make_task(conn, subject_id=5, model_version="n", state="blocked")
    by_key = make_task(conn, dedupe_key="k")
    by_subject = make_task(conn, subject_id=5, model_version="m")
    make_task(conn, "other", dedupe_key="k")
    done = {each.task_id: each for each in changes.unblock(conn, [of_key, of_subject, other_model])}
    assert (done[of_key].now, done[of_key].twin) == ("cancelled", by_key)
    assert (done[of_subject].now, done[of_subject].twin) == ("cancelled", by_subject)
    assert (done[other_model].now, done[other_model].twin) == ("queued", None)
    assert column(conn, of_key, "error_class", "error_message") == ("Superseded", f"task {by_key} waits for the same")
    assert column(conn, of_key, "finished_at") != (None,)


def test_of_several_blocked_for_the_same_the_newest_waits_again(conn: psycopg.Connection) -> None:
    old, newer, newest = (make_task(conn, dedupe_key="k", state="blocked") for _ in range(3))
    done = {each.task_id: each for each in changes.unblock(conn, [newest, old, newer])}
    assert (done[newest].now, done[newer].now, done[old].now) == ("queued", "cancelled", "cancelled")
    assert (done[old].twin, done[newer].twin) == (newest, newest)


def test_a_twin_that_goes_itself_is_in_nobodys_way(conn: psycopg.Connection) -> None:
    """The middle one has a twin that waits, so the first one's key is free."""
    first = make_task(conn, dedupe_key="k", state="blocked")
    middle = make_task(conn, dedupe_key="k", subject_id=5, state="blocked")
    waiting = make_task(conn, subject_id=5)
    done = {each.task_id: each for each in changes.unblock(conn, [first, middle])}
    assert (done[middle].now, done[middle].twin, done[first].now) == ("cancelled", waiting, "queued")


def test_unblock_over_batches_keeps_the_newest_of_the_same(database: Database, conn: psycopg.Connection) -> None:
    made = [make_task(conn, dedupe_key=f"k{number % 3}", state="blocked") for number in range(9)]
    batches = list(sweep.sweep(database, conn, Which(("blocked",)), changes.unblock, batch=2))
    assert [len(batch) for batch in batches] == [2, 2, 2, 2, 1]
    assert [state_of(conn, task_id) for task_id in made] == ["cancelled"] * 6 + ["queued"] * 3


@pytest.mark.parametrize("reset_attempts", [False, True])
def test_retry_keeps_the_books(conn: psycopg.Connection, reset_attempts: bool) -> None:
    task_id = make_task(
        conn, state="failed", attempts=3, crashes=1, forgiven_attempts=1, error_class="X", finished_at="now()"
    )
    for fence, outcome in enumerate(("failed", "failed", "crashed", "failed", "snoozed"), start=1):
        end = f"now() - interval '{60 - fence} s'"
        make_attempt(conn, task_id, outcome, fence=fence, claimed_at=end, finished_at=end)
    assert broken(conn) == []
    done = changes.retry(conn, [task_id], reset_attempts=reset_attempts)
    assert before_and_after(done) == {("failed", "queued")}
    assert broken(conn) == []
    names = ("attempts", "crashes", "forgiven_attempts", "forgiven_crashes")
    assert column(conn, task_id, *names) == ((0, 0, 4, 1) if reset_attempts else (3, 1, 1, 0))
    assert column(conn, task_id, "finished_at", "error_class") == (None, "X")
    due = conn.execute("SELECT scheduled_at <= clock_timestamp() FROM queue.tasks WHERE task_id = %s", (task_id,))
    assert due.fetchone() == (True,)


def test_retry_takes_failed_and_cancelled_tasks_and_no_other(
    conn: psycopg.Connection, one_of_each: dict[str, int]
) -> None:
    done = changes.retry(conn, list(one_of_each.values()))
    assert before_and_after(done) == {("failed", "queued"), ("cancelled", "queued")}


def test_a_failed_task_whose_twin_waits_stays_failed_and_names_it(conn: psycopg.Connection) -> None:
    failed = make_task(conn, dedupe_key="k", state="failed")
    waiting = make_task(conn, dedupe_key="k")
    assert changes.retry(conn, [failed]) == [Changed(failed, "crawl", "failed", "failed", waiting)]
    assert state_of(conn, failed) == "failed"


def test_what_waits_for_later_can_be_due_now(conn: psycopg.Connection) -> None:
    later, due = make_task(conn, scheduled_at="now() + interval '1 h'"), make_task(conn)
    assert [each.task_id for each in changes.hurry(conn, [later, due])] == [later]


def test_purge_takes_finished_tasks_with_their_tries_and_no_other(
    conn: psycopg.Connection, one_of_each: dict[str, int]
) -> None:
    for task_id in (one_of_each["failed"], one_of_each["queued"]):
        make_attempt(conn, task_id)
    done = changes.purge(conn, list(one_of_each.values()))
    assert {each.was for each in done} == {"succeeded", "failed", "cancelled"}
    assert conn.execute("SELECT DISTINCT state FROM queue.tasks ORDER BY 1").fetchall() == [
        ("blocked",), ("queued",), ("running",),
    ]  # fmt: skip
    assert conn.execute("SELECT task_id FROM queue.attempts").fetchall() == [(one_of_each["queued"],)]


@pytest.mark.parametrize(
    ("which", "expected"),
    [
        (Which(("queued",)), ["a", "b", "c"]),
        (Which(("queued",), types=("sync", "embed")), ["b"]),
        (Which(("queued",), user_id="u1"), ["a"]),
        (Which(("queued",), user_id=""), ["b", "c"]),
        (Which(("succeeded",)), ["d", "e"]),
        (Which(("succeeded", "queued")), ["a", "b", "c", "d", "e"]),
    ],
)
def test_a_filter_means_these_tasks(
    database: Database, conn: psycopg.Connection, which: Which, expected: list[str]
) -> None:
    named: dict[str, dict[str, Any]] = {
        "a": {"user_id": "u1"},
        "b": {"type_": "sync"},
        "c": {},
        "d": {"state": "succeeded"},
        "e": {"state": "succeeded", "user_id": "u1"},
    }
    made = {make_task(conn, **columns): name for name, columns in named.items()}
    found = sweep.find(conn, which, until=2**62, limit=100)
    assert sorted(made[task_id] for task_id in found) == expected
    assert sum(sweep.count(conn, which).values()) == len(expected)


def test_ended_before_is_by_the_end_or_the_last_change(conn: psycopg.Connection, database: Database) -> None:
    old = make_task(conn, state="succeeded", finished_at="now() - interval '2 days'")
    cancelled = make_task(conn, state="cancelled", updated_at="now() - interval '2 days'")
    make_task(conn, state="succeeded", finished_at="now()", updated_at="now() - interval '2 days'")
    row = conn.execute("SELECT now() - interval '1 day'").fetchone()
    assert row is not None
    which = Which(changes.FINISHED, ended_before=row[0])
    assert sweep.find(conn, which, until=2**62, limit=9) == [cancelled, old]


def test_a_sweep_ends_though_tasks_are_added_meanwhile(database: Database, conn: psycopg.Connection) -> None:
    for _ in range(5):
        make_task(conn)
    seen = 0
    for batch in sweep.sweep(database, conn, NOBODY, changes.block, batch=2):
        seen += len(batch)
        make_task(conn)
    assert seen == 5
    assert conn.execute("SELECT count(*) FROM queue.tasks WHERE state = 'queued'").fetchone() == (3,)


def test_a_sweep_ends_though_tasks_stay_what_they_are(database: Database, conn: psycopg.Connection) -> None:
    make_task(conn, dedupe_key="k")
    for _ in range(3):
        make_task(conn, dedupe_key="k", state="failed")
    refused = sweep.sweep(database, conn, Which(("failed",)), changes.retry, batch=1)
    assert [len(batch) for batch in islice(refused, 9)] == [1, 1, 1]


def test_each_batch_is_a_transaction_of_its_own_and_bounded(database: Database, conn: psycopg.Connection) -> None:
    for _ in range(7):
        make_task(conn)
    sweep_ = sweep.sweep(database, conn, NOBODY, changes.block, batch=3)
    assert len(next(sweep_)) == 3
    with database.connect() as other:
        assert other.execute("SELECT count(*) FROM queue.tasks WHERE state = 'blocked'").fetchone() == (3,)
        assert other.execute("SELECT FROM queue.tasks WHERE state = 'queued' FOR UPDATE NOWAIT").rowcount == 4
    assert [len(batch) for batch in sweep_] == [3, 1]


def test_a_twin_that_is_enqueued_at_this_moment_is_met_by_the_next_try(
    database: Database, conn: psycopg.Connection
) -> None:
    """Its insert is not committed when the twins are asked for, so the update waits for it and then finds it there."""
    blocked = make_task(conn, dedupe_key="k", state="blocked")
    with database.connect() as other:
        other.execute("BEGIN")
        waiting = make_task(other, dedupe_key="k")
        done: list[Changed] = []

        def unblock() -> None:
            with database.connect() as mine:
                done.extend(sweep.change_these(database, mine, [blocked], changes.unblock))

        thread = Thread(target=unblock)
        thread.start()
        while not conn.execute("SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock'").rowcount:
            assert thread.is_alive()
        other.execute("COMMIT")
        thread.join(30)
    assert [(each.now, each.twin) for each in done] == [("cancelled", waiting)]


CLAIM = """
UPDATE queue.tasks SET state = 'running', attempts = 1, fence = 7, worker = 'vm2/41/1', claimed_at = clock_timestamp(),
    lease_until = clock_timestamp() + interval '1 minute' WHERE task_id = %s
"""


@pytest.mark.parametrize(("change", "expected"), [("block", "running"), ("cancel", "cancelled")])
def test_a_task_that_a_worker_takes_at_this_moment_is_judged_as_running(
    database: Database, conn: psycopg.Connection, change: str, expected: str
) -> None:
    task_id = make_task(conn)
    with database.connect() as other:
        other.execute("BEGIN")
        other.execute(CLAIM, (task_id,))
        done: list[Changed] = []
        chosen = changes.block if change == "block" else partial(changes.cancel, message="by ops")

        def run() -> None:
            with database.connect() as mine:
                done.extend(sweep.change_these(database, mine, [task_id], chosen))

        thread = Thread(target=run)
        thread.start()
        while not conn.execute("SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock'").rowcount:
            assert thread.is_alive()
        other.execute("COMMIT")
        thread.join(30)
    assert before_and_after(done) == (set() if change == "block" else {("running", "cancelled")})
    assert state_of(conn, task_id) == expected
    assert broken(conn) == []
