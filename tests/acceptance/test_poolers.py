"""Behind PgBouncer a run guards rightly or says that it cannot: never does it believe in a lock that is not there."""

import subprocess
import sys
from collections.abc import Callable

import pytest

from bench_pooler import pgbouncer, pooled
from bench_postgres import wait_for
from bench_runs import Base, Runner, Started, size
from bench_source import Source, violations

pytestmark = pytest.mark.skipif(pgbouncer() is None, reason="PgBouncer is not installed")

PATIENT = {
    "JOBCTL_LOCK_TIMEOUT_MS": "60000",
    "JOBCTL_STATEMENT_TIMEOUT_MS": "70000",
    "JOBCTL_IDLE_IN_TRANSACTION_TIMEOUT_MS": "80000",
    "JOBCTL_LEASE_S": "100",
}
STATUSES = "SELECT status FROM ops.job_history WHERE correlation_id = ANY(%s) ORDER BY status"
BATCH = ("--batch-size", "4")


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["session", "transaction"])
def test_a_pooled_run_is_exclusive_and_completes(
    mode: str, base: Base, runner: Runner, ledger: Callable[[str], None]
) -> None:
    rounds = size(3, 200)
    source = Source([base.conn], count=60).create()
    with pooled(base.dsn, mode) as url:
        for _ in range(rounds):
            source.write({n: n % 10 == 7 for n in range(60)})  # more than ten batches
            with base.conn.transaction():
                base.conn.execute("LOCK TABLE core.items IN ACCESS EXCLUSIVE MODE")
                first = runner.start(*BATCH, url=url, settings=PATIENT)
                _wait_for_row(base, first)
                second = runner.start(*BATCH, url=url, settings=PATIENT)
                third = runner.start(*BATCH, settings=PATIENT)  # not pooled, and kept out all the same
                ended = [second.wait(), third.wait()]
            ended.append(first.wait())
            runner.end_all()
            runner.started.clear()
            assert [each.exit_code for each in ended] == [0, 0, 0], [each.said for each in ended]
            names = [first.correlation_id, second.correlation_id, third.correlation_id]
            assert [row[0] for row in base.all(STATUSES, names)] == ["completed", "skipped", "skipped"]
            assert base.all(STATUSES, [first.correlation_id]) == [("completed",)]
    assert violations(base.conn) == []
    ledger(f"PgBouncer in {mode} mode: {rounds} of {rounds} times one worked and two were skipped")


def _wait_for_row(base: Base, run: Started) -> None:
    wait_for(lambda: bool(base.all(STATUSES, [run.correlation_id])) or not run.is_alive)


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["session", "transaction"])
def test_two_pooled_starts_at_once_never_both_work(
    mode: str, base: Base, runner: Runner, ledger: Callable[[str], None]
) -> None:
    rounds = size(3, 100)
    source = Source([base.conn], count=20).create()
    with pooled(base.dsn, mode) as url:
        for _ in range(rounds):
            source.write(dict.fromkeys(range(20), False))
            both = [runner.start(*BATCH, url=url) for _ in range(2)]
            ended = [each.wait() for each in both]
            assert [each.exit_code for each in ended] == [0, 0], [each.said for each in ended]
    assert violations(base.conn) == []
    ledger(f"PgBouncer in {mode} mode: 0 overlaps in {rounds} x 2 simultaneous starts")


@pytest.mark.slow
def test_a_pooler_that_splits_transactions_is_refused(
    base: Base, runner: Runner, ledger: Callable[[str], None]
) -> None:
    Source([base.conn], count=20).create()
    rounds = size(2, 200)
    with pooled(base.dsn, "statement") as url:
        for _ in range(rounds):
            ended = runner.run(url=url)
            assert ended.exit_code == 78, ended.said
            assert b"statement mode" in ended.stderr
            assert len(ended.stderr.splitlines()) == 1
    assert base.one("SELECT count(*) FROM core.items") == 0
    ledger(f"PgBouncer in statement mode: {rounds} of {rounds} times refused with exit 78")


LOOKS = (
    *("status", "stats", "slo", "events", "runs list", "insights", "quality", "export prometheus", "alerts list"),
    *("archive list", "report outbox", "report --preview", "queue stats", "slots", "project list"),
)


@pytest.mark.slow
def test_what_only_looks_and_what_archives_and_mails_does_so_behind_a_pooler(base: Base, runner: Runner) -> None:
    Source([base.conn], count=20).create()
    with pooled(base.dsn, "transaction") as url:
        for words in ("metrics", "report", "archive run", *LOOKS):
            environment = runner.environment() | {"DATABASE_URL": url}
            command = [sys.executable, "-m", "jobctl", *words.split()]
            done = subprocess.run(
                command,
                env=environment,
                cwd=runner.directory,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                check=False,
            )
            assert done.returncode in (0, 1) and b"PostgreSQL" not in done.stderr, (words, done.stderr)
            assert done.returncode == 0 or words in ("status", "quality"), (words, done.stderr)  # that is their verdict
