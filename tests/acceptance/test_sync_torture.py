"""GitHub answers badly while people work on it and runs of sync are ended anywhere: the tables must become the truth.

Each seed makes a GitHub, a storm over it, and some syncs in it. When the storm is over, at most two syncs make the
tables equal to what GitHub holds then (bench_sync_truth), and at no time was anything taken for deleted that is there.
"""

import os
import random
import time
from collections import Counter
from collections.abc import Callable

import psycopg
import pytest

from bench_github import GitHub
from bench_runs import size
from bench_sync_torture import EMPTY, FastClock, FastSync, follow, seeds, untyped
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
                self._sync(full=rng.random() < 0.3, budget=budget)
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

    def _sync(self, *, full: bool, budget: int | None = None) -> None:
        try:
            outcome = self.sync(full=full, budget=budget)
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
