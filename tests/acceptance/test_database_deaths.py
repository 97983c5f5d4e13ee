"""The database dies under a run, or only its answer gets lost: nothing is lost or doubled, and the exit code is true.

0 where the run could go on, 75 where the database or the session that held the lock was gone; the next run completes.
"""

import os
import random
import signal
import time
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from bench_postgres import TEST_SETTINGS, Bench, ask, fresh_bench, has_processes, wait_for
from bench_runs import Base, Ended, NewBase, NewRunner, Runner, Started, size
from bench_source import Source, State, differences, violations
from bench_wire import Link, Proxy, hold_at_begin, statement
from jobctl.db.connection import Database
from jobctl.db.migrate import migrate

Ledger = Callable[[str], None]

BATCH = ("--batch-size", "10")
AT_A_TIME = 5

ROW = "SELECT status, exit_code FROM ops.job_history WHERE correlation_id = %s"
COUNTS = "SELECT counts - 'bytes' FROM ops.job_history WHERE correlation_id = %s"
SESSIONS = """
SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE %s
"""


def _half_ingested(base: Base, runner: Runner) -> Source:
    source = Source([base.conn], count=40).create()
    runner.succeed(*BATCH)
    source.write({n: n % 10 in (3, 7) for n in range(40) if n % 10 < 8} | dict.fromkeys(range(40, 56), False))
    source.withdraw([8, 18, 28])
    return source


@dataclass
class Prepared:
    """A branch half ingested, to be copied, and what ingesting the rest gives."""

    name: str
    expected: State
    counts: dict[str, int]


def _prepare(new_base: NewBase, new_runner: NewRunner) -> Prepared:
    base = new_base()
    runner = new_runner(base.url)
    _half_ingested(base, runner)
    base.conn.close()
    unbroken = new_base(base.name)
    started = runner.start(*BATCH, url=unbroken.url)
    assert started.wait().exit_code == 0
    return Prepared(base.name, State.of(unbroken.conn), unbroken.one(COUNTS, started.correlation_id))


@dataclass
class Trial:
    base: Base
    proxy: Proxy
    started: Started | None = None

    def ended(self) -> Ended:
        assert self.started is not None
        return self.started.wait()

    def row(self) -> tuple[str, int]:
        assert self.started is not None
        return self.base.all(ROW, self.started.correlation_id)[0]

    def counts(self) -> dict[str, int]:
        assert self.started is not None
        return self.base.one(COUNTS, self.started.correlation_id)


@contextmanager
def _trials(new_base: NewBase, prepared: Prepared, count: int) -> Generator[list[Trial], None, None]:
    """Side by side, because most of their time is the pause before another try."""
    with ExitStack() as stack:
        bases = [new_base(prepared.name) for _ in range(count)]
        yield [Trial(base, stack.enter_context(Proxy(base.dsn))) for base in bases]


# Lost answers ----------------------------------------------------------------------------------------------------


def swallow_answer(proxy: Proxy, purpose: str, wanted: Callable[[Link, str], bool]) -> None:
    """The first such statement is carried out; its answer never arrives, and the connection is gone."""
    marked: list[Link] = []

    def there(link: Link, kind: bytes, body: bytes) -> bool:
        text = statement(kind, body)
        if text and not marked and link.purpose == purpose and wanted(link, text):
            marked.append(link)
        return True

    def back(link: Link, kind: bytes, body: bytes) -> bool:
        if link not in marked:
            return True
        if kind == b"Z":
            link.cut_client()
        return False

    proxy.from_client, proxy.from_server = there, back


@pytest.mark.slow
def test_a_commit_whose_answer_is_lost_is_neither_repeated_nor_forgotten(
    new_base: NewBase, new_runner: NewRunner, rng: random.Random, ledger: Ledger
) -> None:
    prepared = _prepare(new_base, new_runner)
    total = size(10, 50)
    for _ in range(total // AT_A_TIME):
        with _trials(new_base, prepared, AT_A_TIME) as trials:
            for trial in trials:
                nth = rng.randint(1, 5)
                swallow_answer(
                    trial.proxy, "write", lambda link, text, nth=nth: text.startswith("COMMIT") and link.commits == nth
                )
                trial.started = new_runner(trial.base.url).start(*BATCH, url=trial.proxy.url)
            for trial in trials:
                ended = trial.ended()
                assert ended.exit_code == 0, ended.said
                assert trial.row() == ("completed", 0)
                assert len(trial.proxy.links_of("write")) == 2, "the answer was not swallowed"
                assert trial.counts() == prepared.counts
                assert violations(trial.base.conn) == []
                assert differences(State.of(trial.base.conn), prepared.expected) == []
    ledger(
        f"{total} COMMIT answers swallowed: 0 lost, 0 doubled, each run completed with the counts of an unbroken one"
    )


@pytest.mark.slow
def test_a_commit_that_arrives_late_is_not_done_twice(new_base: NewBase, new_runner: NewRunner, ledger: Ledger) -> None:
    """The connection is cut while COMMIT is on its way; the server gets it when the run has already begun anew."""
    prepared = _prepare(new_base, new_runner)
    total = size(5, 25)
    for _ in range(total // AT_A_TIME):
        with _trials(new_base, prepared, AT_A_TIME) as trials:
            for nth, trial in enumerate(trials, 1):
                _delay_commit(trial.proxy, nth)
                trial.started = new_runner(trial.base.url).start(*BATCH, url=trial.proxy.url)
            for trial in trials:
                ended = trial.ended()
                assert ended.exit_code == 0, ended.said
                assert len(trial.proxy.links_of("write")) >= 2, "the COMMIT was not delayed"
                assert trial.counts() == prepared.counts
                assert violations(trial.base.conn) == []
                assert differences(State.of(trial.base.conn), prepared.expected) == []
    ledger(f"{total} COMMITs delayed past the next try: 0 lost, 0 doubled")


def _delay_commit(proxy: Proxy, nth: int) -> None:
    gate = proxy.gate()
    held: list[Link] = []

    def there(link: Link, kind: bytes, body: bytes) -> bool:
        text = statement(kind, body)
        if link.purpose == "write":
            if not held and text.startswith("COMMIT") and link.commits == nth:
                held.append(link)
                link.cut_client()
                gate.wait()
            elif held and link is not held[0] and "FOR SHARE" in text:
                gate.open()  # the second try has begun: now the first one's COMMIT arrives
                time.sleep(0.05)
        return True

    proxy.from_client = there


@pytest.mark.slow
def test_a_lost_answer_to_the_final_row_changes_no_exit_code(base: Base, proxy: Proxy, runner: Runner) -> None:
    _half_ingested(base, runner)
    swallow_answer(proxy, "control", lambda link, text: "UPDATE ops.job_history" in text and "degraded" in text)

    started = runner.start(*BATCH, url=proxy.url)
    ended = started.wait()

    assert len(proxy.links_of("close")) == 1, "the answer was not swallowed"
    assert base.all(ROW, started.correlation_id) == [("completed", 0)]
    assert ended.exit_code == 0, ended.said
    assert ended.stderr == b""
    assert violations(base.conn) == []


@pytest.mark.slow
@pytest.mark.parametrize("what", ["INSERT INTO ops.locks", "INSERT INTO ops.job_history"])
def test_a_lost_answer_at_the_beginning_is_told_as_a_database_gone(
    what: str, base: Base, proxy: Proxy, runner: Runner
) -> None:
    _half_ingested(base, runner)
    swallow_answer(proxy, "control", lambda link, text: what in text)

    ended = runner.run(*BATCH, url=proxy.url)

    assert ended.exit_code == 75, ended.said
    assert len(ended.stderr.splitlines()) == 1, ended.said
    runner.succeed(*BATCH)
    assert violations(base.conn) == []


# Sessions --------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("purpose", ["write", "read", "contro", "beat"])
def test_a_run_goes_on_when_a_session_of_it_is_ended(
    purpose: str, base: Base, proxy: Proxy, runner: Runner, ledger: Ledger
) -> None:
    """(A name has 63 bytes, so the last letters of a purpose may be missing.)"""
    source = _half_ingested(base, runner)
    gate = hold_at_begin(proxy, 3)
    started = runner.start(*BATCH, url=proxy.url, settings={"JOBCTL_HEARTBEAT_S": "0.2"})
    gate.arrive()
    named = f"%:{started.correlation_id}/{purpose}%"
    wait_for(lambda: bool(base.all(SESSIONS, named)))
    assert base.all("SELECT pg_terminate_backend(pid) FROM (" + SESSIONS + ") AS s", named) == [(True,)]
    time.sleep(0.5)
    gate.open()

    ended = started.wait()

    assert ended.exit_code == 0, ended.said
    assert base.all(ROW, started.correlation_id) == [("completed", 0)]
    source.settle()
    runner.succeed(*BATCH)
    assert violations(base.conn) == []
    ledger(f"session {purpose} ended: the run went on")


@pytest.mark.slow
def test_a_run_whose_lock_session_is_gone_stops_and_the_next_one_completes(
    base: Base, proxy: Proxy, runner: Runner
) -> None:
    _half_ingested(base, runner)
    gate = hold_at_begin(proxy, 3)
    started = runner.start(*BATCH, url=proxy.url, settings={"JOBCTL_HEARTBEAT_S": "0.2"})
    gate.arrive()
    named = f"%:{started.correlation_id}/guard%"
    assert base.all("SELECT pg_terminate_backend(pid) FROM (" + SESSIONS + ") AS s", named) == [(True,)]
    time.sleep(1)
    gate.open()

    ended = started.wait()

    assert ended.exit_code == 75, ended.said
    assert base.all(ROW, started.correlation_id) == [("failed", 75)]
    assert len(ended.stderr.splitlines()) == 1
    runner.succeed(*BATCH)
    assert violations(base.conn) == []


# The server ------------------------------------------------------------------------------------------------------

SURVIVES_ITS_PROCESSES = {**TEST_SETTINGS, "synchronous_commit": "on"}


@pytest.fixture
def mortal() -> Generator[Bench, None, None]:
    """A server of one's own, to be killed."""
    with fresh_bench() as bench:
        bench.start(settings=SURVIVES_ITS_PROCESSES)
        with psycopg.connect(bench.dsn("postgres"), autocommit=True) as admin:
            admin.execute(sql.SQL("CREATE DATABASE mortal"))
        migrate(Database(bench.dsn("mortal"), "jobctl-test"))
        yield bench


def _die(bench: Bench) -> None:
    """Immediate stop: no session is asked, nothing is written out."""
    os.kill(bench.postmaster(), signal.SIGQUIT)
    wait_for(lambda: not has_processes(bench.layout.pgdata))


def _live(bench: Bench) -> None:
    bench.start(settings=SURVIVES_ITS_PROCESSES)
    wait_for(lambda: ask(bench.dsn("mortal")) == 1)


@pytest.mark.slow
def test_a_database_restarted_in_the_middle_loses_and_doubles_nothing(
    mortal: Bench, new_runner: NewRunner, rng: random.Random, ledger: Ledger
) -> None:
    runner = new_runner(mortal.url("mortal"))
    with psycopg.connect(mortal.dsn("mortal"), autocommit=True) as conn:
        source = Source([conn], count=150).create()
    runner.succeed(*BATCH)
    codes: dict[int, int] = {}
    rounds = size(4, 50)
    for _ in range(rounds):
        with psycopg.connect(mortal.dsn("mortal"), autocommit=True) as conn:
            source.conns = [conn]
            source.change(rng, 0.9)
            source.settle()
        started = runner.start("--batch-size", "2", settings={"JOBCTL_HEARTBEAT_S": "0.5"})
        started.worker()
        time.sleep(rng.uniform(0.2, 1.2))
        _die(mortal)
        _live(mortal)
        ended = started.wait()
        assert ended.exit_code in (0, 75), ended.said
        assert len(ended.stderr.splitlines()) == (1 if ended.exit_code else 0), ended.said
        codes[ended.exit_code] = codes.get(ended.exit_code, 0) + 1
        runner.succeed(*BATCH)
        with psycopg.connect(mortal.dsn("mortal"), autocommit=True) as conn:
            assert violations(conn) == []
    ledger(f"database restarted under {rounds} runs: 0 lost, 0 doubled, exit codes {codes}")


@pytest.mark.slow
def test_a_database_that_stays_away_is_exit_75_and_the_next_run_completes(mortal: Bench, new_runner: NewRunner) -> None:
    runner = new_runner(mortal.url("mortal"), JOBCTL_KILL_GRACE_S="1")
    with psycopg.connect(mortal.dsn("mortal"), autocommit=True) as conn:
        Source([conn], count=200).create()
    with Proxy(mortal.dsn("mortal")) as proxy:
        gate = hold_at_begin(proxy, 3)
        started = runner.start(*BATCH, url=proxy.url)
        gate.arrive()
        _die(mortal)
        gate.open()
        ended = started.wait()
        again = runner.run(*BATCH)
    assert ended.exit_code == 75, ended.said
    assert len(ended.stderr.splitlines()) == 1, ended.said
    assert again.exit_code == 75, again.said
    assert len(again.stderr.splitlines()) == 1, again.said

    _live(mortal)
    runner.succeed(*BATCH)
    with psycopg.connect(mortal.dsn("mortal"), autocommit=True) as conn:
        assert violations(conn) == []
        rows = conn.execute("SELECT status FROM ops.job_history ORDER BY started_at").fetchall()
        assert [row[0] for row in rows] == ["failed", "failed", "completed"]  # kept aside, and came in with the third


@pytest.mark.slow
def test_one_branch_that_met_the_restart_does_not_keep_the_others_from_running(
    mortal: Bench, new_runner: NewRunner, tmp_path: Path
) -> None:
    runner = new_runner(mortal.url("mortal"))
    with psycopg.connect(mortal.dsn("mortal"), autocommit=True) as conn:
        Source([conn], slug="first", count=40).create()
        Source([conn], slug="second", count=40).create()
    with Proxy(mortal.dsn("mortal")) as proxy:
        gate = hold_at_begin(proxy, 2)
        started = runner.start(*BATCH, url=proxy.url, settings={"JOBCTL_HEARTBEAT_S": "0.5"})
        gate.arrive()
        _die(mortal)
        _live(mortal)
        gate.open()
        ended = started.wait()
    with psycopg.connect(mortal.dsn("mortal"), autocommit=True) as conn:
        rows = dict(
            conn.execute("SELECT scope, status FROM ops.job_history WHERE scope <> '' ORDER BY started_at").fetchall()
        )
    assert rows.get("second") == "completed", (rows, ended.said)
    assert ended.exit_code in (0, 3), ended.said
    runner.succeed(*BATCH)
    with psycopg.connect(mortal.dsn("mortal"), autocommit=True) as conn:
        assert violations(conn) == []
