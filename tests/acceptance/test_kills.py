"""Runs are killed at random moments and after each of their statements; nothing may be lost, and nothing doubled.

The source changes between the kills. At the end one undisturbed run must leave the same tables as in a database where
the same changes were ingested and nobody was killed. The bench is held to account as well: a copy of the code that
saves its checkpoint apart from its data must be caught.
"""

import random
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bench_runs import Base, NewBase, NewRunner, Runner, Started, mutated, size, sleep_until
from bench_source import Source, State, differences, violations
from bench_wire import READY, Link, Proxy

Ledger = Callable[[str], None]

VICTIMS = {
    "both": {"supervisor": True, "worker": True},
    "supervisor": {"supervisor": True, "worker": False},
    "worker": {"supervisor": False, "worker": True},
}
BATCH = ("--batch-size", "5")


@pytest.mark.slow
@pytest.mark.parametrize("part", range(4))
def test_no_random_kill_loses_or_doubles_anything(
    part: int, new_base: NewBase, new_runner: NewRunner, rng: random.Random, ledger: Ledger
) -> None:
    base, reference = new_base(), new_base()
    source = Source([base.conn, reference.conn], count=150).create()
    runner, unbroken = new_runner(base.url), new_runner(reference.url)
    began = time.monotonic()
    unbroken.succeed(*BATCH)
    lasts_s = time.monotonic() - began

    wanted = size(50, 250)
    killed = dict.fromkeys(VICTIMS, 0)
    for attempt in range(4 * wanted):
        victim = rng.choice(list(VICTIMS))
        hit = _killed_at_random(runner, victim, lasts_s, rng)
        killed[victim] += hit
        lasts_s *= 1.03 if hit else 0.9  # runs differ, and so does the machine: aim at where they end now
        if sum(killed.values()) == wanted:
            break
        if attempt % 3 == 2:
            source.change(rng, 0.2)
        if attempt % 30 == 29:
            unbroken.succeed(*BATCH)
    assert sum(killed.values()) == wanted, f"too few of the kills found anybody alive: {killed}"

    source.settle()
    unbroken.succeed(*BATCH)
    _finish(runner, base)
    found = differences(State.of(base.conn), State.of(reference.conn))
    assert not found, found[:20]
    said = base.all("SELECT status, count(*)::int FROM ops.job_history GROUP BY status ORDER BY status")
    ledger(f"{killed} killed, 0 lost, 0 doubled, 0 left running; runs: {dict(said)}")


def _killed_at_random(runner: Runner, victim: str, lasts_s: float, rng: random.Random) -> bool:
    """Whether the kill met somebody. Most fall into the later part of a run: before it no database is involved.

    `--full` is rare, because it would mend what was lost."""
    began = time.monotonic()
    started = runner.start(*BATCH, *(["--full"] if rng.random() < 0.05 else []))
    share = rng.uniform(0.0, 1.05) if rng.random() < 0.2 else rng.uniform(0.4, 1.05)
    sleep_until(began + share * lasts_s)
    alive = started.is_alive
    started.signal(signal.SIGKILL, **VICTIMS[victim])
    started.wait_for_all()
    started.end()
    return alive


def _finish(runner: Runner, base: Base) -> None:
    """The run that nobody disturbs. The lock of a killed one may be free a moment later than the process is gone."""
    for _ in range(20):
        runner.succeed(*BATCH)
        last = base.last_status()
        if last == "completed":
            break
        assert last == "skipped", last
        time.sleep(0.2)
    assert violations(base.conn) == []


# After each statement --------------------------------------------------------------------------------------------


class KillAtReady:
    """Kills when the server has ended the k-th statement, counted over all connections, before the run hears of it."""

    def __init__(self, k: int | None) -> None:
        self.seen = 0
        self.started: Started | None = None
        self._k = k
        self._known = threading.Event()
        self._lock = threading.Lock()

    def watch(self, started: Started) -> None:
        self.started = started
        self._known.set()

    def __call__(self, link: Link, kind: bytes, body: bytes) -> bool:
        if kind != READY:
            return True
        with self._lock:
            self.seen += 1
            if self.seen == self._k:
                self._known.wait(10)
                assert self.started is not None
                self.started.signal(signal.SIGKILL)
                return False
        return self._k is None or self.seen < self._k


def _prepare(base: Base, runner: Runner) -> None:
    """A branch half ingested: new, changed, mended, broken, withdrawn and restored records wait for the next run."""
    source = Source([base.conn], count=40).create()
    source.withdraw([8, 9])
    runner.succeed(*BATCH)
    source.write({0: False, 1: False, 2: False, 17: True, 27: True} | dict.fromkeys(range(40, 52), False))
    source.withdraw([18, 19, 28])
    source.withdraw([8, 9], gone=False)


def _sweep(
    new_base: NewBase, new_runner: NewRunner, ks: Callable[[int], list[int]], code: Path | None = None
) -> tuple[int, list[str]]:
    """Kill after each of these statements, each time from the same beginning. How many points, and what was wrong."""
    prepared = new_base()
    runner = new_runner(prepared.url) if code is None else new_runner(prepared.url, code)
    _prepare(prepared, runner)
    prepared.conn.close()

    unbroken = new_base(prepared.name)
    with Proxy(unbroken.dsn) as proxy:
        proxy.from_server = count = KillAtReady(None)
        runner.succeed(*STATEMENT_BATCH, url=proxy.url)
    expected = State.of(unbroken.conn)
    assert violations(unbroken.conn) == []

    points = ks(count.seen)
    for k in points:
        base = new_base(prepared.name)
        with Proxy(base.dsn) as proxy:
            proxy.from_server = kill = KillAtReady(k)
            started = runner.start(*STATEMENT_BATCH, url=proxy.url)
            kill.watch(started)
            started.wait_for_all()
            started.end()
        for _ in range(20):
            runner.succeed(*STATEMENT_BATCH, url=base.url)
            if base.last_status() != "skipped":
                break
            time.sleep(0.1)
        found = violations(base.conn) + differences(State.of(base.conn), expected)
        base.conn.close()
        if found:
            return count.seen, [f"killed after statement {k} of {count.seen}: {text}" for text in found]
    return count.seen, []


STATEMENT_BATCH = ("--batch-size", "7")
PARTS = 4


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_no_kill_after_any_statement_loses_or_doubles_anything(
    part: int, new_base: NewBase, new_runner: NewRunner, rng: random.Random, ledger: Ledger
) -> None:
    stride = PARTS * size(3, 1)
    first = 1 + part + PARTS * rng.randrange(stride // PARTS)
    total, found = _sweep(new_base, new_runner, lambda total: list(range(first, total + 1, stride)))
    assert found == []
    ledger(f"killed after every {stride}th of {total} statements from the {first}th on: 0 lost, 0 doubled")


@pytest.mark.slow
def test_a_checkpoint_saved_apart_from_its_data_is_caught(
    new_base: NewBase, new_runner: NewRunner, tmp_path: Path, ledger: Ledger
) -> None:
    writer = "jobs/ingest_branch/writer.py"
    apart = mutated(
        tmp_path,
        (writer, r"^        run\.save_checkpoint\(.*\)\n", ""),
        (
            writer,
            r"^    with run\.effect\(.*\):\n",
            "    with run.effect(conn):\n"  # noqa: ISC004 - one text in four lines
            "        early = Progress(before.rules, batch.page.end, before.batch_no + 1, before.counts)\n"
            "        early.stored = early.as_checkpoint(run.run_id)\n"
            "        run.save_checkpoint(conn, early.stored, after=before.stored)\n"
            "    with run.effect(conn):\n",
        ),
    )
    total, found = _sweep(new_base, new_runner, lambda total: list(range(total // 3, total, 3)), apart)
    assert found, f"a checkpoint apart from its data went unseen at {total} statements"
    ledger(f"mutant caught: {found[0]}")
