"""Workers are killed and frozen while they drain a queue; nothing may be lost, done twice, or against a limit.

The handlers (bench_work) note in `bench.done`, in the transaction that their context gives them, what they did and
under which fence: so an effect of a try that had been given away would be seen.
"""

import random
import signal
import threading
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field

import psycopg
import pytest

import bench_queue
from bench_postgres import Bench, fresh_bench, wait_for
from bench_runs import Base, NewRunner, Runner, Started, size
from bench_work import prepare
from jobctl.db.connection import Database
from jobctl.db.migrate import migrate

Ledger = Callable[[str], None]

# An effect belongs to a try, and was written before another was given the task.
STRAY_EFFECTS = """
SELECT e.task_id, e.fence FROM bench.done AS e
WHERE NOT EXISTS (SELECT FROM queue.attempts AS a WHERE a.task_id = e.task_id AND a.fence = e.fence)
    OR EXISTS (SELECT FROM queue.attempts AS a
               WHERE a.task_id = e.task_id AND a.fence > e.fence AND a.claimed_at < e.at)
"""
# Each success has its one effect.
DONE_WITHOUT_EFFECT = """
SELECT a.task_id FROM queue.attempts AS a LEFT JOIN bench.done AS e ON e.task_id = a.task_id AND e.fence = a.fence
WHERE a.outcome = 'succeeded' AND a.type = 'note' GROUP BY a.task_id, a.fence HAVING count(e.task_id) <> 1
"""
LEASE_S = 3.0


@dataclass
class Place:
    """A database with a queue, and the directory from which its workers are started."""

    base: Base
    runner: Runner
    exits: list[int] = field(default_factory=list[int])

    @property
    def conn(self) -> psycopg.Connection:
        return self.base.conn

    def start(self, *arguments: str) -> Started:
        return self.runner.start("--until-empty", *arguments)

    def done(self) -> int:
        return self.base.one("SELECT count(*) FROM queue.tasks WHERE state = 'succeeded'")

    def wrong(self, ids: list[int], *, ended_in: tuple[str, ...] = ("succeeded",)) -> list[str]:
        """Lost, doubled, over a limit, against a view, or an effect of somebody who no longer had the task."""
        found = bench_queue.miscounted(self.conn, ids, ended_in=ended_in)
        found += [f"exceeded: {peak}" for peak in bench_queue.exceeded(self.conn)]
        found += bench_queue.broken_promises(self.conn)
        found += [f"effect outside of its try: {row}" for row in self.base.all(STRAY_EFFECTS)]
        return found + [f"done without its effect: {row}" for row in self.base.all(DONE_WITHOUT_EFFECT)]

    def until_empty(self, limit_s: float = 300) -> None:
        """One worker after the other, as cron starts them, until nothing is open."""
        deadline = time.monotonic() + limit_s
        while bench_queue.unfinished(self.conn):
            assert time.monotonic() < deadline, f"the queue does not get empty: {bench_queue.states(self.conn)}"
            started = self.start()
            self.exits.append(started.wait(limit_s).exit_code)
            started.end()


NewPlace = Callable[..., Place]


@pytest.fixture
def new_place(new_runner: NewRunner) -> NewPlace:
    def make(base: Base, *, crash_limit: int = 3) -> Place:
        runner = prepare(
            base,
            new_runner(base.url),
            per_user=2,
            lease_s=LEASE_S,
            more="workers_per_host = 16\n",
            types=f"crash_limit = {crash_limit}\n",
        )
        return Place(base, runner)

    return make


# Killed and frozen -------------------------------------------------------------------------------------------------


@dataclass
class Crew:
    """So many workers, each replaced when it has ended, as cron would start the next."""

    place: Place
    count: int
    arguments: tuple[str, ...]
    now: list[Started] = field(default_factory=list[Started])

    def tend(self) -> None:
        for started in [one for one in self.now if not one.is_alive]:
            self.place.exits.append(started.process.returncode)
            started.end()
            self.now.remove(started)
        while len(self.now) < self.count:
            self.now.append(self.place.start(*self.arguments))

    def end(self) -> None:
        for started in self.now:
            started.end()


VICTIMS = {
    "both": {"supervisor": True, "worker": True},
    "supervisor": {"supervisor": True, "worker": False},
    "worker": {"supervisor": False, "worker": True},
}


@dataclass
class Chaos:
    """What is done to a crew, spread evenly over its progress, and how often it met somebody."""

    crew: Crew
    rng: random.Random
    killed: dict[str, int] = field(default_factory=lambda: dict.fromkeys(VICTIMS, 0))
    frozen: int = 0
    thaws: list[threading.Timer] = field(default_factory=list[threading.Timer])

    def strike(self) -> bool:
        """Whether somebody was there to be met."""
        alive = [one for one in self.crew.now if one.is_alive]
        if not alive:
            return False
        victim = self.rng.choice(alive)
        if self.rng.random() < 0.3:
            victim.signal(signal.SIGSTOP)
            thaw = threading.Timer(LEASE_S * self.rng.uniform(0.8, 2.0), victim.signal, (signal.SIGCONT,))
            thaw.start()
            self.thaws.append(thaw)
            self.frozen += 1
        else:
            who = self.rng.choice(list(VICTIMS))
            victim.signal(signal.SIGKILL, **VICTIMS[who])
            self.killed[who] += 1
        return True

    def end(self) -> None:
        for thaw in self.thaws:
            thaw.join(60)


@pytest.mark.slow
def test_no_kill_and_no_freeze_loses_or_doubles_a_task_or_exceeds_a_limit(
    base: Base, new_place: NewPlace, rng: random.Random, ledger: Ledger
) -> None:
    # The loud users could fill all places that there are: only turns keep the quiet ones from waiting for them.
    workers, loud, quiet = size(4, 8), size(12, 30), size(8, 20)
    each_loud, each_quiet = size(119, 320), size(8, 20)
    place = new_place(base, crash_limit=100)
    counts = {f"loud{n}": each_loud for n in range(loud)} | {f"quiet{n:02}": each_quiet for n in range(quiet)}
    ids = bench_queue.fill(base.conn, counts, type_="note", payload={"before_s": 0.01})
    strikes = size(25, 300)
    crew = Crew(place, workers, ("--concurrency", "5", "--batch", "10"))
    chaos = Chaos(crew, rng)
    deadline = time.monotonic() + size(300, 3_000)
    try:
        struck = 0
        while bench_queue.unfinished(base.conn):
            assert time.monotonic() < deadline, f"the queue does not get empty: {bench_queue.states(base.conn)}"
            crew.tend()
            due = min(strikes, place.done() * (strikes + 1) // len(ids))  # the crew is young again after each round
            struck += sum(chaos.strike() for _ in range(min(due - struck, workers)))
            time.sleep(0.05)
    finally:
        chaos.end()
        crew.end()
    assert place.wrong(ids) == []
    quiet_turns = [turn for turn in bench_queue.turns(base.conn) if turn.user.startswith("quiet")]
    worst = max(quiet_turns, key=lambda turn: turn.times_ideal)
    assert worst.times_ideal <= 5, worst
    crashed = base.one("SELECT count(*) FROM queue.attempts WHERE outcome = 'crashed'")
    assert crashed > 0 and chaos.frozen > 0 and sum(chaos.killed.values()) > strikes / 3, "the torture was none"
    ledger(
        f"{workers} workers, {len(ids)} tasks, {len(counts)} users; {chaos.killed} killed, {chaos.frozen} frozen, "
        f"{crashed} tries lost with their worker: 0 lost, 0 done twice, 0 limits exceeded; "
        f"worst quiet user {worst.times_ideal:.1f} x ideal"
    )


# Poison, pauses, restarts ------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_task_that_kills_its_worker_dies_after_its_limit_and_takes_no_other_along(
    base: Base, new_place: NewPlace, ledger: Ledger
) -> None:
    place = new_place(base, crash_limit=3)
    good = bench_queue.fill(base.conn, {f"u{n:02}": 3 for n in range(33)}, type_="note")
    poison = bench_queue.fill(base.conn, {"u07": 1}, type_="poison", payload={"kills": True})
    place.until_empty()
    assert place.wrong(good) == []
    assert place.wrong(poison, ended_in=("failed",)) == []
    dead = base.all("SELECT state, attempts, crashes, error_class FROM queue.tasks WHERE task_id = %s", poison[0])
    assert dead == [("failed", 3, 3, "WorkerLost")]
    most = base.one("SELECT max(crashes) FROM queue.tasks WHERE type = 'note'")
    assert most <= 1, "a task known to be dangerous ran beside others"
    ledger(f"1 poison task among {len(good)} good: dead after 3 workers, all others done; exits {place.exits}")


@pytest.mark.slow
def test_nothing_starts_while_the_queue_is_blocked(base: Base, new_place: NewPlace) -> None:
    place = new_place(base)
    ids = bench_queue.fill(base.conn, {f"u{n}": 5 for n in range(10)}, type_="note")
    base.conn.execute("UPDATE ingestion_jobs SET status = 'blocked' WHERE status = 'queued'")
    started = place.start()
    assert started.wait().exit_code == 0
    assert base.one("SELECT count(*) FROM queue.attempts") == 0
    assert bench_queue.states(base.conn) == {"blocked": 50}
    base.conn.execute("UPDATE ingestion_jobs SET status = 'queued' WHERE status = 'blocked'")
    place.until_empty()
    assert place.wrong(ids) == []


@pytest.fixture
def own_server() -> Generator[Bench, None, None]:
    """A server that may be restarted without harm to other tests."""
    with fresh_bench() as bench:
        bench.start()
        with psycopg.connect(bench.dsn("postgres"), autocommit=True) as admin:
            admin.execute("CREATE DATABASE torture")
        migrate(Database(bench.dsn("torture"), "jobctl-test"))
        yield bench


@pytest.mark.slow
@pytest.mark.parametrize("death", ["stopped", "killed"])
def test_a_drain_goes_on_after_the_database_was_restarted(
    death: str, own_server: Bench, new_place: NewPlace, ledger: Ledger
) -> None:
    conn = psycopg.connect(own_server.dsn("torture"), autocommit=True)
    place = new_place(Base("torture", own_server.url("torture"), own_server.dsn("torture"), conn), crash_limit=100)
    ids = bench_queue.fill(conn, {f"u{n:02}": 30 for n in range(20)}, type_="note", payload={"before_s": 0.05})
    started = place.start("--concurrency", "5", "--batch", "10")
    wait_for(lambda: place.done() > 100, 60)
    conn.close()
    if death == "stopped":
        own_server.stop()
    else:
        own_server.kill()
    time.sleep(1)
    own_server.start()
    back = time.monotonic()
    conn = psycopg.connect(own_server.dsn("torture"), autocommit=True)
    place.base = Base("torture", own_server.url("torture"), own_server.dsn("torture"), conn)
    with conn:
        before = place.done()
        wait_for(lambda: place.done() > before, 60)
        went_on_after_s = time.monotonic() - back
        first = started.wait()
        place.until_empty()
        assert place.wrong(ids) == []
        retried = place.base.one("SELECT count(*) FROM queue.attempts WHERE outcome <> 'succeeded'")
    ledger(
        f"server {death} in mid-drain: went on {went_on_after_s:.1f} s after it was back, the worker ended with "
        f"{first.exit_code}, {retried} tries lost, 0 tasks lost"
    )
