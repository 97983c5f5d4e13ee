"""GitHub answers badly while people work on it and runs of sync are ended anywhere: the tables must become the truth.

Each seed makes a GitHub, a storm over it, and some syncs in it. When the storm is over, at most two syncs make the
tables equal to what GitHub holds then (bench_sync_truth), and at no time was anything taken for deleted that is there.
"""

import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from bench_github import Asked, GitHub, Reply, leads_to, redirects_to
from bench_runs import Base, NewRunner, Runner, size
from bench_sync_torture import EMPTY, FastClock, FastSync, content_hash, follow, seeds, untyped
from bench_sync_truth import differences, removed_alive
from bench_sync_world import Storm, World, make_world
from jobctl.db.connection import Database
from jobctl.errors import JobctlError

Ledger = Callable[[str], None]
PARTS = size(1, 4)


def wanted_seeds(rng: random.Random, count: int) -> list[int]:
    """JOBCTL_SYNC_SEED=7,9 repeats these alone."""
    given = os.environ.get("JOBCTL_SYNC_SEED")
    return [int(each) for each in given.split(",")] if given else seeds(rng, count)


def brought_to_the_truth(conn: psycopg.Connection, world: World, sync: Callable[[], object]) -> list[str]:
    """What is still wrong after two syncs at most."""
    found: list[str] = []
    for _ in range(2):
        sync()
        found = [*differences(conn, world.truth), *removed_alive(conn, world.truth)]
        if not found:
            break
    return found


# In this process ------------------------------------------------------------------------------------------------------


class Seed:
    """One seed's story."""

    def __init__(self, number: int, database: Database, conn: psycopg.Connection) -> None:
        self.rng = random.Random(number)
        self.clock = FastClock()
        self.world = make_world(self.rng, time.time)
        self.github = GitHub(
            self.world.truth,
            clock=self.clock.now,
            seed=number,
            cursor_links=self.rng.random() < 0.5,
            link_on_304=self.rng.random() < 0.5,
        )
        self.github.quota = 1_000_000
        tokens = tuple(self.github.token() for _ in range(self.rng.choice((1, 1, 2))))
        self.sync = FastSync(database, conn, self.github, self.clock, tokens, at_once=self.rng.choice((1, 3)))
        self.conn = conn
        self.faults: list[str] = []
        self.ends: Counter[str] = Counter()

    def run(self) -> Storm:
        self.conn.execute(EMPTY.encode())
        with self.github:
            follow(self.conn, self.github, self.world.repos)
            storm = self._storm()
            full = self.world.hides
            self.faults += brought_to_the_truth(self.conn, self.world, lambda: self._sync(full=full))
            if self.sync.at_once == 1:  # what is under way when a limit is told comes early by rights
                self.faults += [f"asked too early: {asked.path}" for asked in self.github.early()]
        return storm

    def _storm(self) -> Storm:
        rng = self.rng
        storm = Storm(
            self.github,
            self.world,
            faults=rng.choice((0.0, 0.01, 0.03, 0.1, 0.3)),
            limits=rng.choice((0.0, 0.0, 0.01, 0.1)),
            changes=rng.choice((0.0, 0.3, 0.5, 0.7)),
        )
        with storm:
            for _ in range(rng.randint(1, 3)):
                self.sync.most_wait_s = rng.choice((30.0, 7_200.0))
                self._plan_an_end(storm)
                budget = rng.choice((None, None, rng.randint(1, 60)))
                names = (rng.choice(self._known()),) if rng.random() < 0.15 else ()
                if rng.random() < 0.15:
                    self._rehearse()
                self._sync(full=rng.random() < 0.3, budget=budget, names=names)
                self.faults += removed_alive(self.conn, self.world.truth)
                self.clock.sleep(4_000.0)  # the next run knows nothing of a limit that has ended this one
            storm.on_request = None
        self.sync.most_wait_s = 1e9
        return storm

    def _plan_an_end(self, storm: Storm) -> None:
        """Of one run in two, at some request."""
        left = self.rng.randint(1, 60)
        end = self.rng.choice((None, None, self.sync.cut, self.sync.end))

        def count(_asked: object) -> None:
            nonlocal left
            left -= 1
            if left == 0 and end is not None:
                self.ends[end.__name__] += 1
                end()

        storm.on_request = count

    def _rehearse(self) -> None:
        """A dry run, which leaves everything as it is."""
        before = content_hash(self.conn)
        self._sync(dry_run=True)
        self.clock.sleep(4_000.0)
        for old, new in zip(before, content_hash(self.conn), strict=True):
            if old != new:
                self.faults.append(f"a dry run wrote {new.partition(' ')[0]}")

    def _known(self) -> list[str]:
        """Names as the tables have them by now."""
        return [row[0] for row in self.conn.execute("SELECT full_name FROM dev.projects")]

    def _sync(self, **options: Any) -> None:
        try:
            outcome = self.sync(**options)
        except (JobctlError, psycopg.OperationalError) as error:
            self.ends[type(error).__name__] += 1
            return
        self.faults += [f"not thought of: {each}" for each in untyped(outcome)]


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_the_tables_become_the_truth_after_faults_changes_and_ends(
    part: int, database: Database, conn: psycopg.Connection, rng: random.Random, ledger: Ledger
) -> None:
    faults: list[str] = []
    met, done, ends = Counter[str](), Counter[str](), Counter[str]()
    numbers = wanted_seeds(rng, int(os.environ.get("JOBCTL_SYNC_SEEDS", size(6, 110))))
    conn.autocommit = True
    for number in numbers:
        seed = Seed(number, database, conn)
        storm = seed.run()
        faults += [f"seed {number}: {fault}" for fault in seed.faults[:20]]
        print(f"seed {number}: {'wrong' if seed.faults else 'right'}; {len(seed.github.requests)} requests", flush=True)
        met.update(storm.met)
        done.update(seed.world.done)
        ends.update(seed.ends)
    ledger(
        f"{len(numbers)} seeds: tables equal to the truth after at most two syncs; {sum(done.values())} changes, "
        f"{sum(met.values())} answers spoilt, runs ended: {dict(ends)}"
    )
    print(f"changes {dict(done)}\nfaults {dict(met)}")
    assert faults == [], "\n".join(faults)


# The command, killed --------------------------------------------------------------------------------------------------

VICTIMS: dict[str, tuple[bool, bool]] = {"both": (True, True), "supervisor": (True, False), "worker": (False, True)}


class KilledSeed:
    """Its runs are the installed command's, killed after some request or some time."""

    def __init__(self, number: int, base: Base, runner: Runner) -> None:
        self.rng = random.Random(number)
        self.world = make_world(self.rng, time.time, big=(110, 260), others=1)
        self.later_s = 0.0
        self.github = GitHub(self.world.truth, clock=lambda: time.time() + self.later_s, seed=number)
        self.github.quota = 1_000_000
        self.base = base
        self.runner = runner
        self.killed: Counter[str] = Counter()
        self.faults: list[str] = []

    def run(self) -> None:
        self.base.conn.execute(EMPTY.encode())
        with self.github:
            self.runner.settings |= {"GITHUB_API_URL": self.github.url, "GITHUB_TOKEN": self.github.token()}
            follow(self.base.conn, self.github, self.world.repos)
            with Storm(self.github, self.world, faults=self.rng.choice((0.0, 0.05)), limits=0.0, changes=0.4) as storm:
                for _ in range(self.rng.randint(1, 3)):
                    self._kill_one(storm)
                    self.faults += removed_alive(self.base.conn, self.world.truth)
                    self.later_s += 4_000
            words = ["--full"] if self.world.hides else []
            self.faults += brought_to_the_truth(self.base.conn, self.world, lambda: self._finish(*words))

    def _kill_one(self, storm: Storm) -> None:
        asked = threading.Semaphore(0)
        storm.on_request = lambda _asked: asked.release()
        after, deadline = self.rng.randint(1, 40), time.monotonic() + self.rng.uniform(3, 8)
        started = self.runner.start(*self.rng.choice(([], ["--full"])))
        try:
            for _ in range(after):
                if not started.is_alive or not asked.acquire(timeout=max(0.0, deadline - time.monotonic())):
                    break
            time.sleep(self.rng.uniform(0.0, 0.05))
            who = self.rng.choice(list(VICTIMS))
            self.killed[who if started.is_alive else "nobody"] += 1
            supervisor, worker = VICTIMS[who]
            started.signal(signal.SIGKILL, supervisor=supervisor, worker=worker)
            started.wait_for_all(60)
        finally:
            started.end()

    def _finish(self, *words: str) -> None:
        ended = self.runner.run(*words, "--json")
        if ended.exit_code != 0:
            self.faults.append(f"the last run ended with {ended.said[:2_000]}")


@pytest.mark.slow
def test_the_tables_become_the_truth_after_kills(
    base: Base, new_runner: NewRunner, rng: random.Random, ledger: Ledger
) -> None:
    runner = new_runner(base.url)
    runner.job = "sync"
    faults: list[str] = []
    killed = Counter[str]()
    numbers = wanted_seeds(rng, int(os.environ.get("JOBCTL_SYNC_SEEDS", size(2, 60))))
    for number in numbers:
        seed = KilledSeed(number, base, runner)
        seed.run()
        killed.update(seed.killed)
        faults += [f"seed {number}: {fault}" for fault in seed.faults[:20]]
        print(f"seed {number}: {'wrong' if seed.faults else 'right'}; {dict(seed.killed)}", flush=True)
    assert faults == [], "\n".join(faults)
    assert "Traceback" not in runner.logged
    ledger(f"{len(numbers)} seeds with SIGKILL, {dict(killed)}: tables equal to the truth after at most two syncs")


# Limits, and who sees the token ---------------------------------------------------------------------------------------


@pytest.mark.slow
def test_no_request_of_a_sync_comes_earlier_than_a_limit_allows(
    database: Database, conn: psycopg.Connection, rng: random.Random, ledger: Ledger
) -> None:
    conn.autocommit = True
    clock = FastClock()
    world = make_world(rng, time.time, big=(110, 150))
    limited, wanted = 0, size(200, 1_000)
    met = Counter[str]()
    with GitHub(world.truth, clock=clock.now) as github:
        github.quota = 1_000_000
        sync = FastSync(database, conn, github, clock, tuple(github.token() for _ in range(3)), at_once=1)
        follow(conn, github, world.repos)
        while limited < wanted:
            with Storm(github, world, faults=0.0, limits=0.5, changes=0.0) as storm:
                sync(full=True)
            met.update(storm.met)
            limited = sum(asked.status in (403, 429) for asked in github.requests)
            clock.sleep(4_000.0)
        assert github.early() == []
        sync(full=True)
        assert differences(conn, world.truth) == []
    ledger(f"{limited} limited answers {dict(met)}: 0 of {len(github.requests)} requests earlier than allowed")


def elsewhere(stranger: str, rng: random.Random, reply: Reply, here: str) -> Reply:
    """Whatever an answer may name another host by."""
    kind = rng.choice(("link", "redirect", "body"))
    if kind == "link":
        return leads_to(stranger)(reply)
    if kind == "redirect":
        return redirects_to(f"{stranger}/repos/octo/big", rng.choice((301, 302, 307, 308)))(reply)
    return replace(reply, body=reply.body.replace(here.encode(), stranger.encode()))


@pytest.mark.slow
def test_no_second_host_is_asked_for_anything(
    database: Database, conn: psycopg.Connection, rng: random.Random, ledger: Ledger
) -> None:
    conn.autocommit = True
    clock = FastClock()
    world = make_world(rng, time.time, big=(110, 150))
    with GitHub(world.truth, clock=clock.now) as github, GitHub(world.truth, clock=clock.now) as stranger:
        github.quota = 1_000_000
        sync = FastSync(database, conn, github, clock, (github.token(),))
        follow(conn, github, world.repos)
        led = Counter[str]()

        def lead(asked: Asked, reply: Reply) -> Reply:
            if reply.status != 200 or rng.random() < 0.7:
                return reply
            led[asked.path] += 1
            return elsewhere(stranger.url, rng, reply, github.url)

        github.chaos = lead
        for _ in range(size(8, 40)):
            assert untyped(sync(full=True)) == []
        github.chaos = None
        assert stranger.requests == []
        assert len(led) > 5
        assert brought_to_the_truth(conn, world, lambda: sync(full=True)) == []
        assert stranger.requests == []
    ledger(f"{sum(led.values())} answers named another host: it was never asked")


# The comparison -------------------------------------------------------------------------------------------------------

SPOILT = (
    "UPDATE dev.projects SET stars = stars + 1",
    "UPDATE dev.labels SET color = color || 'x' WHERE label_id = (SELECT min(label_id) FROM dev.labels)",
    "DELETE FROM dev.milestones WHERE milestone_id = (SELECT min(milestone_id) FROM dev.milestones)",
    "UPDATE dev.issues SET reopened = reopened + 1 WHERE node_id = (SELECT min(node_id) FROM dev.issues)",
    "UPDATE dev.issues SET label_ids = '{}' WHERE label_ids <> '{}'",
    "DELETE FROM dev.label_events WHERE node_id = (SELECT min(node_id) FROM dev.label_events)",
    "UPDATE dev.assignee_events SET is_added = NOT is_added",
    "DELETE FROM dev.pulls WHERE node_id = (SELECT min(node_id) FROM dev.pulls)",
    "DELETE FROM dev.reviews WHERE node_id = (SELECT min(node_id) FROM dev.reviews)",
    "DELETE FROM dev.commits WHERE sha = (SELECT min(sha) FROM dev.commits)",
    "UPDATE dev.contributors SET contributions = 0",
    "DELETE FROM dev.releases",
    "UPDATE dev.languages SET bytes = bytes + 1",
    "DELETE FROM dev.payloads",
    "UPDATE dev.issues SET removed_at = now(), removal = 'deleted' WHERE number = 3",
)


def test_the_comparison_sees_each_table(database: Database, conn: psycopg.Connection) -> None:
    clock = FastClock()
    world = make_world(random.Random(7), time.time, big=(60, 60), others=1)
    world.truth.milestone(world.big, "one more")
    issue = world.truth.open_issue(world.big)
    world.truth.put_label(issue, world.truth.label(world.big, "p0"))
    world.truth.assign(issue, "dan")
    world.truth.release(world.big, "v9")
    world.truth.review(world.truth.open_pull(world.big))
    world.truth.push(world.big, world.truth.account("ann"))
    world.big.languages = {"Python": 7}
    with GitHub(world.truth, clock=clock.now) as github:
        sync = FastSync(database, conn, github, clock, (github.token(),))
        with conn.transaction():
            follow(conn, github, world.repos)
        sync()
    assert differences(conn, world.truth) == []
    for statement in SPOILT:
        with conn.transaction(force_rollback=True):
            assert conn.execute(statement.encode()).rowcount > 0, statement
            assert differences(conn, world.truth) != [], statement
