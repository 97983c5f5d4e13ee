"""Attacks on the queue by many at once: each aims at one promise, at the moment in which it is easiest to break.

Whoever takes part has a connection of its own. What was held is audited twice: from the rows that the tries left, and
by the workers' own account between a claim and its completion.
"""

import os
import random
import secrets
import threading
import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import psycopg
import pytest

import bench_queue
from bench_postgres import wait_for
from bench_queue import Held
from bench_runs import size
from jobctl.db.connection import Database
from jobctl.errors import DatabaseUnavailable
from jobctl.queue import claim as claiming
from jobctl.queue import rescue as rescuing
from jobctl.queue.claim import Claimer
from jobctl.queue.complete import complete
from jobctl.queue.enqueue import Request, enqueue
from jobctl.queue.lease import TaskLost, check_held, extend
from jobctl.queue.rescue import Rescued, rescue
from jobctl.queue.task import Ending, Task

LEASE_S = 600.0


@pytest.fixture
def rng() -> random.Random:
    number = int(os.environ.get("JOBCTL_TORTURE_SEED") or secrets.randbelow(1 << 32))
    print(f"seed {number} (repeat with JOBCTL_TORTURE_SEED={number})")
    return random.Random(number)


def succeeded(task: Task) -> Ending:
    return Ending(task, "succeeded", "succeeded")


def to_try_again(task: Task) -> Ending:
    return Ending(task, "failed", "queued", scheduled_at=datetime.now(UTC) - timedelta(seconds=1),
                  error_class="Recoverable", error_message="once more", is_recoverable=True)  # fmt: skip


@dataclass
class Crowd:
    """Threads that each do one thing again and again, on a connection of their own, until they are told to stop."""

    database: Database
    stopping: threading.Event = field(default_factory=threading.Event)
    errors: list[BaseException] = field(default_factory=list[BaseException])
    forgiven: int = 0
    _threads: list[threading.Thread] = field(default_factory=list[threading.Thread])

    def start(
        self,
        act: Callable[[psycopg.Connection], object],
        count: int = 1,
        *,
        pause_s: float = 0.0,
        forgives: tuple[type[Exception], ...] = (),
    ) -> None:
        for _ in range(count):
            thread = threading.Thread(target=self._repeat, args=(act, pause_s, forgives), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _repeat(
        self, act: Callable[[psycopg.Connection], object], pause_s: float, forgives: tuple[type[Exception], ...]
    ) -> None:
        try:
            with self.database.connect() as conn:
                while not self.stopping.is_set():
                    try:
                        act(conn)
                    except forgives:
                        self.forgiven += 1
                    self.stopping.wait(pause_s)
        except BaseException as error:  # noqa: BLE001 - told by `end`, in the thread of the test
            self.errors.append(error)

    def end(self) -> None:
        self.stopping.set()
        for thread in self._threads:
            thread.join(60)
        assert not any(thread.is_alive() for thread in self._threads), "a thread hangs"
        for error in self.errors:
            raise error


@pytest.fixture
def crowd(database: Database) -> Generator[Crowd, None, None]:
    made = Crowd(database)
    yield made
    made.stopping.set()
    for thread in made._threads:
        thread.join(60)


@dataclass
class Worker:
    """Claims and completes. Its tries last a moment, so that limits come into play."""

    held: Held
    lasts_s: float = 0.002
    wanted: int = 4
    types: Sequence[str] = ("a", "b")
    end: Callable[[Task], Ending] = succeeded
    lease_s: float = LEASE_S
    refused: list[int] = field(default_factory=list[int])
    claims: int = 0

    def __post_init__(self) -> None:
        self.claimer = Claimer(self.types, worker=f"worker-{id(self)}", run_id=uuid4(), lease_s=self.lease_s)

    def __call__(self, conn: psycopg.Connection) -> None:
        tasks = self.claimer.claim(conn, self.wanted)
        self.claims += 1
        if not tasks:
            time.sleep(0.005)
            return
        self.held.took(tasks)
        time.sleep(self.lasts_s)
        self.held.gave(tasks)
        self.refused += complete(conn, [self.end(task) for task in tasks])


def run_dry(crowd: Crowd, conn: psycopg.Connection, limit_s: float = 120) -> None:
    """Wait until no task is open, or something went wrong."""
    wait_for(lambda: bool(crowd.errors) or bench_queue.unfinished(conn) == 0, limit_s)
    crowd.end()


def deadlocks(conn: psycopg.Connection) -> int:
    row = conn.execute("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()").fetchone()
    assert row is not None
    return row[0]


# Limits ------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_sixteen_claimers_reach_every_limit_and_exceed_none(
    database: Database, conn: psycopg.Connection, crowd: Crowd
) -> None:
    bench_queue.set_limits(conn, running=12, each_user=2, users={"u0": 3, "u1": 1}, types={"a": 5})
    ids = bench_queue.fill(conn, {f"u{n}": size(15, 100) for n in range(20)}, type_="a")
    ids += bench_queue.fill(conn, {f"u{n}": size(15, 100) for n in range(20)} | {"": 50}, type_="b")
    held = Held()
    for _ in range(16):
        crowd.start(Worker(held))
    run_dry(crowd, conn)
    assert bench_queue.exceeded(conn) == []
    reached = {(peak.kind, peak.name): peak.reached for peak in bench_queue.peaks(conn)}
    assert (reached["all", ""], reached["type", "a"]) == (12, 5), "the attack was none: the limits were not reached"
    assert held.faults == []
    assert held.peaks["all", ""] <= 12 and held.peaks["type", "a"] <= 5
    assert {name: most for (kind, name), most in held.peaks.items() if kind == "user" and most > 2} in ({}, {"u0": 3})
    assert held.peaks["user", "u1"] == 1
    assert bench_queue.miscounted(conn, ids) == []
    assert bench_queue.broken_promises(conn) == []


def test_limits_hold_when_every_claim_is_the_first_of_its_claimer(
    database: Database, conn: psycopg.Connection, crowd: Crowd
) -> None:
    """What a claimer remembers must not be what keeps it within the limits."""
    bench_queue.set_limits(conn, running=5, each_user=2)
    ids = bench_queue.fill(conn, {f"u{n}": 15 for n in range(10)}, type_="a")
    held = Held()

    def claim_anew(own: psycopg.Connection) -> None:
        Worker(held)(own)

    crowd.start(claim_anew, 8)
    run_dry(crowd, conn)
    assert bench_queue.exceeded(conn) == [] and held.faults == []
    assert held.peaks["all", ""] <= 5
    assert bench_queue.miscounted(conn, ids) == []


@pytest.mark.slow
def test_claims_that_do_not_wait_for_one_another_are_caught(
    database: Database, conn: psycopg.Connection, crowd: Crowd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the admission lock each of many claimers counts what runs, and all take what is left."""
    monkeypatch.setattr(claiming, "LOCK_ADMISSION", "SELECT 1")
    bench_queue.set_limits(conn, running=6, each_user=2)
    bench_queue.fill(conn, {f"u{n}": 100 for n in range(20)}, type_="a")
    for _ in range(8):
        crowd.start(Worker(Held()))
    wait_for(lambda: bool(crowd.errors) or bool(bench_queue.exceeded(conn)) or not bench_queue.unfinished(conn), 120)
    crowd.end()
    assert bench_queue.exceeded(conn) != []


def test_a_claimer_that_looked_before_the_first_claim_of_all_counts_it(conn: psycopg.Connection) -> None:
    bench_queue.set_limits(conn, running=2)
    early = Claimer(["a"], worker="worker-1", run_id=uuid4(), lease_s=LEASE_S)
    assert early.claim(conn, 9) == []
    bench_queue.fill(conn, {f"u{n}": 4 for n in range(4)}, type_="a")
    assert len(Claimer(["a"], worker="worker-2", run_id=uuid4(), lease_s=LEASE_S).claim(conn, 9)) == 2
    assert early.claim(conn, 9) == []
    assert bench_queue.broken_promises(conn) == []


def test_a_claimer_counts_what_runs_anew_after_the_server_forgot_its_last_claims(
    database: Database, conn: psycopg.Connection
) -> None:
    """A crash may take the last claims and their fences with it: the next ones are lower than what a claimer saw."""
    bench_queue.set_limits(conn, running=4, each_user=4)
    bench_queue.fill(conn, {f"u{n}": 4 for n in range(4)}, type_="a")
    survivor = Claimer(["a"], worker="worker-1", run_id=uuid4(), lease_s=LEASE_S)
    with database.connect() as before:
        for _ in range(3):
            complete(before, [succeeded(task) for task in survivor.claim(before, 2)])
    conn.execute("SELECT setval('queue.fences', 1)")
    rival = Claimer(["a"], worker="worker-2", run_id=uuid4(), lease_s=LEASE_S)
    assert len(rival.claim(conn, 9)) == 4
    with database.connect() as after:
        assert survivor.claim(after, 9) == []
    assert bench_queue.broken_promises(conn) == []


# Turns -------------------------------------------------------------------------------------------------------------


def drain_of_loud_and_quiet(conn: psycopg.Connection) -> float:
    """Two users could fill all places; how many times too long the worst of eight quiet ones waits."""
    bench_queue.set_limits(conn, running=8, each_user=8)
    bench_queue.fill(conn, {"a loud": 300, "b loud": 300} | {f"quiet {n}": 5 for n in range(8)}, type_="a")
    worker = Worker(Held(), lasts_s=0.0, wanted=2)
    while bench_queue.unfinished(conn):
        worker(conn)
    return max(turn.times_ideal for turn in bench_queue.turns(conn) if turn.user.startswith("quiet"))


def test_who_has_much_to_do_does_not_keep_the_others_waiting(conn: psycopg.Connection) -> None:
    assert drain_of_loud_and_quiet(conn) <= 2


# Rescue ------------------------------------------------------------------------------------------------------------

# A rescuer that is told to waits before its first write, when its statement has its snapshot already.
PAUSE = """
CREATE FUNCTION public.pause() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('trial.paused', true) = 'on' THEN
        PERFORM pg_catalog.pg_advisory_xact_lock(77);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER pause BEFORE UPDATE ON queue.tasks FOR EACH STATEMENT EXECUTE FUNCTION public.pause();
"""
LAPSE = "UPDATE queue.tasks SET lease_until = clock_timestamp() - interval '1 second' WHERE task_id = ANY(%s)"
RESTORE = "UPDATE queue.tasks SET lease_until = clock_timestamp() + interval '1 hour' WHERE task_id = ANY(%s)"
WAITS_FOR_77 = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 77 AND NOT granted"


def held_by_one(conn: psycopg.Connection, count: int, *, users: int = 50) -> list[Task]:
    bench_queue.set_limits(conn, running=count, each_user=count)
    bench_queue.fill(conn, {f"u{n}": count // users for n in range(users)}, type_="a")
    claimer = Claimer(["a"], worker="worker-1", run_id=uuid4(), lease_s=LEASE_S)
    tasks: list[Task] = []
    while len(tasks) < count:
        taken = claimer.claim(conn, 100)
        assert taken
        tasks += taken
    return tasks


def ids_of(tasks: Sequence[Task]) -> list[int]:
    return [task.task_id for task in tasks]


def finish_while_a_rescuer_pauses(database: Database, conn: psycopg.Connection, count: int) -> list[Rescued]:
    """What a rescuer did that had read that all are past their lease, before they were taken up again and ended."""
    tasks = held_by_one(conn, count)
    conn.execute(PAUSE)
    conn.execute(LAPSE, (ids_of(tasks),))
    with database.connect() as rescuer, ThreadPoolExecutor(1) as pool:
        rescuer.execute("SET trial.paused = 'on'; SET lock_timeout = 0")
        conn.execute("SELECT pg_advisory_lock(77)")
        saved = pool.submit(rescue, rescuer, {}, 3, pause_s=0.0)
        wait_for(lambda: conn.execute(WAITS_FOR_77).fetchone() == (1,) or saved.done())
        assert not saved.done(), "the rescuer was not paused"
        conn.execute(RESTORE, (ids_of(tasks),))
        assert complete(conn, [succeeded(task) for task in tasks]) == []
        conn.execute("SELECT pg_advisory_unlock(77)")
        return saved.result(30)


def test_tasks_that_finish_while_the_rescuer_is_paused_between_read_and_write_stay_done(
    database: Database, conn: psycopg.Connection
) -> None:
    assert finish_while_a_rescuer_pauses(database, conn, 500) == []
    assert bench_queue.states(conn) == {"succeeded": 500}
    assert conn.execute("SELECT outcome, count(*) FROM queue.attempts GROUP BY 1").fetchall() == [("succeeded", 500)]
    assert bench_queue.broken_promises(conn) == []


def test_a_rescuer_that_believes_what_it_has_read_is_caught(
    database: Database, conn: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = b"t.state = 'running' AND t.lease_until < statement_timestamp()"
    assert asked in rescuing.PUT_BACK
    monkeypatch.setattr(rescuing, "PUT_BACK", rescuing.PUT_BACK.replace(asked, b"true"))
    with suppress(psycopg.errors.UniqueViolation):  # the row of the try is the last line of defence
        assert finish_while_a_rescuer_pauses(database, conn, 100) != []


def test_tasks_that_finish_while_they_are_rescued_are_done_or_given_away_but_not_both(
    database: Database, conn: psycopg.Connection, crowd: Crowd, rng: random.Random
) -> None:
    """The lease ends at about the moment of the completion, a rescuer always at hand."""
    ids = bench_queue.fill(conn, {f"u{n}": 40 for n in range(10)}, type_="a")
    held = Held()
    workers = [Worker(held, lasts_s=lasts_s, lease_s=0.035) for lasts_s in (0.025, 0.03, 0.034, 0.05)]
    for worker in workers:
        crowd.start(worker)
    crowd.start(lambda own: rescue(own, {}, 1_000, pause_s=0.0), 2, pause_s=0.001)
    run_dry(crowd, conn)
    assert bench_queue.miscounted(conn, ids) == []
    assert bench_queue.broken_promises(conn) == []
    crashed = conn.execute("SELECT count(*) FROM queue.attempts WHERE outcome = 'crashed'").fetchone()
    assert crashed is not None and crashed[0] > 0 and sum(len(worker.refused) for worker in workers) > 0


def test_two_rescuers_put_a_task_right_once(database: Database, conn: psycopg.Connection) -> None:
    tasks = held_by_one(conn, 500)
    conn.execute(LAPSE, (ids_of(tasks),))
    ready = threading.Barrier(6)

    def save() -> list[int]:
        with database.connect() as own:
            ready.wait(30)
            return [one.task_id for one in rescue(own, {}, 3, pause_s=0.0)]

    with ThreadPoolExecutor(6) as pool:
        futures: list[Future[list[int]]] = [pool.submit(save) for _ in range(6)]
        saved = [number for future in futures for number in future.result(60)]
    assert sorted(saved) == sorted(ids_of(tasks))
    assert conn.execute("SELECT DISTINCT crashes, attempts, state FROM queue.tasks").fetchall() == [(1, 1, "queued")]
    assert bench_queue.broken_promises(conn) == []


# Twins -------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_twin_enqueued_at_the_moment_of_a_requeue_fails_neither(
    database: Database, conn: psycopg.Connection, crowd: Crowd, rng: random.Random
) -> None:
    keys = [f"k{n:02}" for n in range(20)]
    bench_queue.set_limits(conn, running=100, each_user=100)
    until = time.monotonic() + size(4, 30)

    def ask(own: psycopg.Connection) -> None:
        """Twice in one transaction, in the order of the keys: among themselves they make no circle."""
        with own.transaction():
            for half in (keys[:10], keys[10:]):
                wanted = [Request("a", user_id="u", dedupe_key=key) for key in random.sample(half, 3)]
                enqueue(own, wanted, run_id=uuid4())
            time.sleep(random.random() * 0.004)

    def again_or_not(task: Task) -> Ending:
        return succeeded(task) if time.monotonic() > until or task.attempt > 20 else to_try_again(task)

    crowd.start(ask, 3)
    for _ in range(3):
        crowd.start(Worker(Held(), end=again_or_not, wanted=6))
    wait_for(lambda: bool(crowd.errors) or time.monotonic() > until, 60)
    crowd.end()
    assert deadlocks(conn) == 0
    assert bench_queue.broken_promises(conn) == []
    superseded = "SELECT count(*) FROM queue.tasks WHERE state = 'cancelled' AND error_class = 'Superseded'"
    assert conn.execute(superseded).fetchone() != (0,), "the attack was none: no requeue met a twin"


def test_a_twin_that_is_not_committed_yet_makes_a_requeue_wait_and_not_fail(
    database: Database, conn: psycopg.Connection
) -> None:
    enqueue(conn, [Request("a", dedupe_key=f"k{n}") for n in range(5)], run_id=uuid4())
    claimer = Claimer(["a"], worker="worker-1", run_id=uuid4(), lease_s=LEASE_S)
    tasks = claimer.claim(conn, 5)
    assert len(tasks) == 5
    with database.connect() as other, ThreadPoolExecutor(1) as pool:
        with other.transaction():
            enqueue(other, [Request("a", dedupe_key="k3")], run_id=uuid4())
            done = pool.submit(complete, conn, [to_try_again(task) for task in tasks])
            time.sleep(0.3)
        assert done.result(30) == []
    rows = conn.execute("SELECT dedupe_key, state FROM queue.tasks WHERE task_id = ANY(%s)", (ids_of(tasks),))
    assert sorted(rows.fetchall()) == [(f"k{n}", "cancelled" if n == 3 else "queued") for n in range(5)]
    assert bench_queue.broken_promises(conn) == []


# Locks that others hold --------------------------------------------------------------------------------------------


def test_rows_that_somebody_holds_locked_are_passed_over_by_a_claim(
    database: Database, conn: psycopg.Connection
) -> None:
    ids = bench_queue.fill(conn, {f"u{n}": 4 for n in range(10)}, type_="a")
    claimer = Claimer(["a"], worker="worker-1", run_id=uuid4(), lease_s=LEASE_S)
    with database.connect() as other:
        with other.transaction():
            other.execute("SELECT FROM queue.tasks WHERE task_id % 2 = 0 FOR UPDATE")
            taken: list[Task] = []
            while more := claimer.claim(conn, 10):
                taken += more
            assert sorted(ids_of(taken)) == [number for number in ids if number % 2]
        complete(conn, [succeeded(task) for task in taken])
    while more := claimer.claim(conn, 10):
        complete(conn, [succeeded(task) for task in more])
    assert bench_queue.miscounted(conn, ids) == []


def test_lease_is_extended_while_an_effect_of_its_task_is_open(database: Database, conn: psycopg.Connection) -> None:
    """A long transaction of a handler must not starve the heartbeat of its worker, nor let its task be given away."""
    tasks = held_by_one(conn, 4, users=2)
    with database.connect() as handler, handler.transaction():
        check_held(handler, tasks[:1])
        conn.execute("SET lock_timeout = '500ms'")
        assert extend(conn, tasks, lease_s=LEASE_S) == []
        assert complete(conn, [succeeded(task) for task in tasks[1:]]) == []


def test_one_row_that_somebody_holds_locked_keeps_no_other_task_of_a_worker(
    database: Database, conn: psycopg.Connection
) -> None:
    """An operator's transaction left open over one running task: the others' leases and completions go on."""
    tasks = held_by_one(conn, 6, users=2)
    conn.execute("SET lock_timeout = '300ms'")
    with database.connect() as other, other.transaction():
        other.execute("UPDATE queue.tasks SET updated_at = now() WHERE task_id = %s", (tasks[2].task_id,))
        before = leases(conn)
        assert extend(conn, tasks, lease_s=2 * LEASE_S) == []
        after = leases(conn)
        assert [task.task_id for task in tasks if after[task.task_id] > before[task.task_id]] == [
            task.task_id for task in tasks if task != tasks[2]
        ]
        assert complete(conn, [succeeded(task) for task in tasks]) == [tasks[2].task_id]
    assert bench_queue.states(conn) == {"running": 1, "succeeded": 5}
    assert complete(conn, [succeeded(tasks[2])]) == []
    assert bench_queue.broken_promises(conn) == []


def leases(conn: psycopg.Connection) -> dict[int, datetime]:
    return dict(conn.execute("SELECT task_id, lease_until FROM queue.tasks WHERE state = 'running'").fetchall())


def test_task_is_not_given_away_under_an_open_effect(database: Database, conn: psycopg.Connection) -> None:
    """What the handler has begun to write commits before anybody else is given the task, or not at all."""
    tasks = held_by_one(conn, 2, users=2)
    with database.connect() as handler, database.connect() as rescuer, handler.transaction():
        check_held(handler, tasks[:1])
        with suppress(psycopg.errors.LockNotAvailable):
            conn.execute("SET lock_timeout = '300ms'")
            conn.execute(LAPSE, (ids_of(tasks),))
        rescuer.execute("SET lock_timeout = '300ms'")
        saved = rescue(rescuer, {}, 3, pause_s=0.0)
        assert tasks[0].task_id not in [one.task_id for one in saved]
    assert bench_queue.broken_promises(conn) == []


def test_claimers_that_are_cut_off_in_mid_claim_lose_nothing_and_block_nobody(
    database: Database, conn: psycopg.Connection, crowd: Crowd, rng: random.Random
) -> None:
    bench_queue.set_limits(conn, running=8, each_user=2)
    ids = bench_queue.fill(conn, {f"u{n}": 30 for n in range(20)}, type_="a")
    held = Held()
    cut = 0

    def work_until_cut(own: psycopg.Connection) -> None:
        worker = Worker(held, lease_s=2.0)
        with suppress(psycopg.OperationalError, DatabaseUnavailable), database.connect(purpose="victim") as mine:
            while not crowd.stopping.is_set():
                worker(mine)

    crowd.start(work_until_cut, 6)
    crowd.start(lambda own: rescue(own, {}, 1_000, pause_s=0.0), pause_s=0.05)
    deadline = time.monotonic() + 60
    while bench_queue.unfinished(conn) and not crowd.errors and time.monotonic() < deadline:
        time.sleep(rng.random() * 0.1)
        found = conn.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
            " AND application_name LIKE '%%victim' ORDER BY state = 'active' DESC, random() LIMIT 1"
        )
        cut += found.rowcount
    crowd.end()
    print(f"{cut} sessions cut")
    assert cut > 10
    assert bench_queue.exceeded(conn) == []
    assert bench_queue.miscounted(conn, ids) == []
    assert bench_queue.broken_promises(conn) == []


# Operators ---------------------------------------------------------------------------------------------------------

BLOCK_ALL = "UPDATE public.ingestion_jobs SET status = 'blocked' WHERE status = 'queued'"
UNBLOCK_ALL = "UPDATE public.ingestion_jobs SET status = 'queued' WHERE status = 'blocked'"
CANCEL_SOME = """
UPDATE queue.tasks SET state = 'cancelled', updated_at = clock_timestamp()
WHERE task_id IN (SELECT task_id FROM queue.tasks WHERE state IN ('queued', 'blocked') ORDER BY random() LIMIT 3)
    AND state IN ('queued', 'blocked')
"""


@pytest.mark.slow
def test_operators_block_and_unblock_everything_in_the_middle_of_a_drain(
    database: Database, conn: psycopg.Connection, crowd: Crowd
) -> None:
    bench_queue.set_limits(conn, running=10, each_user=2)
    ids = bench_queue.fill(conn, {f"u{n}": size(40, 400) for n in range(20)}, type_="a")
    held = Held()
    blocked: list[int] = []

    def block_for_a_moment(own: psycopg.Connection) -> None:
        blocked.append(own.execute(BLOCK_ALL).rowcount)
        time.sleep(0.05)
        own.execute(UNBLOCK_ALL)

    for _ in range(4):
        crowd.start(Worker(held))
    crowd.start(block_for_a_moment, pause_s=0.1)
    run_dry(crowd, conn)
    assert sum(blocked) > 100, "the attack was none: nothing was blocked"
    assert held.faults == [] and bench_queue.exceeded(conn) == []
    assert bench_queue.miscounted(conn, ids) == []
    assert bench_queue.broken_promises(conn) == []


def test_nothing_begins_once_everything_is_blocked(database: Database, conn: psycopg.Connection, crowd: Crowd) -> None:
    bench_queue.fill(conn, {f"u{n}": 40 for n in range(20)}, type_="a")
    held = Held()
    workers = [Worker(held) for _ in range(4)]
    for worker in workers:
        crowd.start(worker)
    wait_for(lambda: bool(crowd.errors) or bench_queue.states(conn).get("succeeded", 0) > 50)
    conn.execute(BLOCK_ALL)
    row = conn.execute("SELECT clock_timestamp()").fetchone()
    assert row is not None
    seen = [worker.claims for worker in workers]
    wait_for(lambda: bool(crowd.errors) or all(worker.claims > n + 20 for worker, n in zip(workers, seen, strict=True)))
    crowd.end()
    begun = "SELECT count(*) FROM queue.attempts WHERE claimed_at > %s"
    assert conn.execute(begun, row).fetchone() == (0,)
    assert set(bench_queue.states(conn)) == {"blocked", "succeeded"}


@pytest.mark.slow
def test_a_task_that_is_cancelled_as_it_is_claimed_is_either_done_or_cancelled(
    database: Database, conn: psycopg.Connection, crowd: Crowd
) -> None:
    ids = bench_queue.fill(conn, {f"u{n}": 40 for n in range(20)}, type_="a")
    held = Held()
    for _ in range(4):
        crowd.start(Worker(held, lasts_s=0.0))
    crowd.start(lambda own: own.execute(CANCEL_SOME), 2, pause_s=0.005)
    run_dry(crowd, conn)
    assert bench_queue.miscounted(conn, ids, ended_in=["succeeded", "cancelled"]) == []
    assert min(bench_queue.states(conn).get(state, 0) for state in ("succeeded", "cancelled")) > 10
    assert bench_queue.broken_promises(conn) == []


# Everything at once ------------------------------------------------------------------------------------------------

BLOCK_SOME = "UPDATE public.ingestion_jobs SET status = 'blocked' WHERE status = 'queued' AND id % 3 = 0"


@pytest.mark.slow
@pytest.mark.parametrize("operators", [False, True], ids=["", "with operators"])
def test_no_deadlock_among_all_that_anybody_may_do_at_the_same_time(
    operators: bool, database: Database, conn: psycopg.Connection, crowd: Crowd, rng: random.Random
) -> None:
    """An operator who changes many waiting tasks in one statement may meet somebody who supersedes the same ones in
    another order, or keep a row for longer than the other may wait; one of these two is told so, and may ask again.
    Nobody else is touched by that."""
    bench_queue.set_limits(conn, running=40, each_user=4, types={"b": 20})
    keys = [f"k{n}" for n in range(40)]
    until = time.monotonic() + size(8, 60)
    held = Held()

    def some_end(task: Task) -> Ending:
        return to_try_again(task) if random.random() < 0.3 else succeeded(task)

    def ask(own: psycopg.Connection) -> None:
        wanted = [
            Request(random.choice("ab"), user_id=f"u{random.randrange(9)}", dedupe_key=random.choice([*keys, None]))
            for _ in range(15)
        ]
        enqueue(own, wanted, run_id=uuid4())

    def work_with_heart(own: psycopg.Connection) -> None:
        """A worker whose heartbeat comes while it writes effects and completes, in another order."""
        claimer = Claimer(["a", "b"], worker="holder", run_id=uuid4(), lease_s=0.1)
        tasks = claimer.claim(own, 6)
        beaten = threading.Event()

        def beat() -> None:
            with database.connect() as heart:
                while not beaten.is_set():
                    extend(heart, random.sample(tasks, len(tasks)), lease_s=0.2)

        with ThreadPoolExecutor(1) as pool:
            beats = pool.submit(beat)
            for task in tasks[:3]:
                with suppress(TaskLost), own.transaction():
                    check_held(own, [task])
                    time.sleep(0.003)
            for some in (tasks[3:], tasks[:3]):
                random.shuffle(some)
                complete(own, [some_end(task) for task in some])
            beaten.set()
            beats.result(60)

    told = (psycopg.errors.DeadlockDetected, psycopg.errors.LockNotAvailable) if operators else ()
    crowd.start(ask, 2, pause_s=0.01, forgives=told)
    for _ in range(4):
        crowd.start(Worker(held, end=some_end, wanted=6))
    crowd.start(work_with_heart, 3)
    crowd.start(lambda own: rescue(own, {"a": 3}, 5, pause_s=0.0), 2, pause_s=0.02)
    if operators:
        crowd.start(lambda own: own.execute(CANCEL_SOME), pause_s=0.1, forgives=told)
        crowd.start(lambda own: own.execute(BLOCK_SOME), pause_s=0.1, forgives=told)
        crowd.start(lambda own: own.execute(UNBLOCK_ALL), pause_s=0.1, forgives=told)
    while time.monotonic() < until and not crowd.errors:
        time.sleep(0.1)
        assert bench_queue.broken_promises(conn) == []
    crowd.end()
    print(bench_queue.states(conn), f"{crowd.forgiven} told that they were in each other's way")
    assert operators or deadlocks(conn) == 0
    assert held.faults == []
    assert bench_queue.exceeded(conn) == []
    assert bench_queue.broken_promises(conn) == []
