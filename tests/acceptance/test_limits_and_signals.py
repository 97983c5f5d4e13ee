"""How a run ends is told truly: by the exit code, by the row, by one line, whatever happens to the streams."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bench_postgres import to_url, wait_for
from bench_runs import SHORT_LIMITS, Base, Runner
from bench_source import Source, violations
from bench_wire import Link, Proxy, hold_at_begin, statement
from jobctl.db.connection import Database

BATCH = ("--batch-size", "2")
ROW = "SELECT status, exit_code FROM ops.job_history WHERE correlation_id = %s"
ERROR = "SELECT error_class FROM ops.job_history WHERE correlation_id = %s"
EVIDENCE = "SELECT evidence FROM ops.job_history WHERE correlation_id = %s"
CHECKPOINT = "SELECT batch_no FROM ops.checkpoints"

# A run that waits for a table goes on waiting until something else ends it.
PATIENT = {
    "JOBCTL_LOCK_TIMEOUT_MS": "40000",
    "JOBCTL_STATEMENT_TIMEOUT_MS": "45000",
    "JOBCTL_IDLE_IN_TRANSACTION_TIMEOUT_MS": "50000",
    "JOBCTL_LEASE_S": "60",
}


@pytest.fixture
def source(base: Base) -> Source:
    return Source([base.conn], count=100).create()


def waits_for_a_table(base: Base) -> bool:
    return bool(base.one("SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'core.items'::regclass"))


# Exit codes ------------------------------------------------------------------------------------------------------


def test_a_completed_run_is_exit_0_and_says_nothing(base: Base, source: Source, runner: Runner) -> None:
    started = runner.start(*BATCH)
    ended = started.wait()
    assert (ended.exit_code, ended.stdout, ended.stderr) == (0, b"", b"")
    assert base.all(ROW, started.correlation_id) == [("completed", 0)]


def test_a_branch_that_cannot_be_read_is_exit_1_with_one_line(base: Base, source: Source, runner: Runner) -> None:
    base.conn.execute("UPDATE branch.branches SET active = false")
    started = runner.start("--branch", "places")
    ended = started.wait()
    assert ended.exit_code == 1, ended.said
    assert len(ended.stderr.splitlines()) == 1, ended.said
    assert b"jobctl branch activate places" in ended.stderr
    assert base.all(ROW, started.correlation_id) == [("failed", 1)]


@pytest.mark.parametrize("words", [["--no-such-option"], ["--branch", "plaecs"], ["--max-runtime", "soon"]])
def test_a_wrong_command_line_is_exit_2_and_leaves_no_row(
    words: list[str], base: Base, source: Source, runner: Runner
) -> None:
    ended = runner.run(*words)
    assert ended.exit_code == 2, ended.said
    assert ended.stderr
    assert b"Traceback" not in ended.stderr
    assert base.all("SELECT status FROM ops.job_history") == []


def test_too_many_rejects_are_exit_3(base: Base, source: Source, runner: Runner) -> None:
    started = runner.start(settings={"JOBCTL_DEGRADED_REJECT_SHARE": "0.05"})
    ended = started.wait()
    assert ended.exit_code == 3, ended.said
    assert len(ended.stderr.splitlines()) == 1, ended.said
    assert base.all(ROW, started.correlation_id) == [("completed", 3)]


def test_one_failed_branch_among_good_ones_is_exit_3(base: Base, source: Source, runner: Runner) -> None:
    Source([base.conn], slug="stale", count=5).create()
    base.conn.execute("UPDATE branch.branches SET loaded_at = NULL WHERE slug = 'stale'")
    started = runner.start()
    ended = started.wait()
    assert ended.exit_code == 3, ended.said
    assert sorted(base.all("SELECT scope, status FROM ops.job_history")) == [
        ("places", "completed"),
        ("stale", "failed"),
    ]


def test_a_database_that_nobody_serves_is_exit_75(runner: Runner) -> None:
    ended = runner.run(url="postgresql://nobody@127.0.0.1:1/nothing", settings={"JOBCTL_KILL_GRACE_S": "1"})
    assert ended.exit_code == 75, ended.said
    assert len(ended.stderr.splitlines()) == 1, ended.said


@pytest.mark.parametrize(
    "settings",
    [{"JOBCTL_LEASE_S": "1"}, {"JOBCTL_LOCK_TIMEOUT_MS": "soon"}, {"DATABASE_URL": "mysql://root@localhost/x"}],
    ids=["limits out of order", "no number", "no PostgreSQL"],
)
def test_a_wrong_setting_is_exit_78(settings: dict[str, str], base: Base, runner: Runner) -> None:
    runner.settings.update(settings)
    ended = runner.run(url=settings.get("DATABASE_URL"))
    assert ended.exit_code == 78, ended.said
    assert len(ended.stderr.splitlines()) == 1, ended.said


def test_a_database_without_the_schema_is_exit_78(empty_database: Database, runner: Runner) -> None:
    ended = runner.run(url=to_url(empty_database.dsn))
    assert ended.exit_code == 78, ended.said
    assert b"jobctl db migrate" in ended.stderr


# Limits ----------------------------------------------------------------------------------------------------------


def test_max_runtime_cancels_the_statement_warns_before_and_is_exit_124(
    base: Base, source: Source, runner: Runner
) -> None:
    limits = PATIENT | {
        "JOBCTL_LOCK_TIMEOUT_MS": "300",
        "JOBCTL_STATEMENT_TIMEOUT_MS": "600",
        "JOBCTL_IDLE_IN_TRANSACTION_TIMEOUT_MS": "900",
        "JOBCTL_LEASE_S": "2",
        "JOBCTL_HEARTBEAT_S": "0.2",
    }
    with base.conn.transaction():
        base.conn.execute("LOCK TABLE core.items IN ACCESS EXCLUSIVE MODE")
        started = runner.start(*BATCH, "--max-runtime", "4s", settings=limits)
        ended = started.wait()
    assert ended.exit_code == 124, ended.said
    assert len(ended.stderr.splitlines()) == 1, ended.said
    assert base.all(ROW, started.correlation_id) == [("timeout", 124)]
    assert base.all(ERROR, started.correlation_id) == [("MaxRuntimeExceeded",)]
    log = runner.log_file.read_text()
    assert '"soft_limit_reached"' in log
    assert '"ingest-branch.run_failure": 1' in log
    runner.succeed()
    assert violations(base.conn) == []


def test_a_peer_that_stalls_is_left_at_max_runtime(base: Base, source: Source, proxy: Proxy, runner: Runner) -> None:
    """The kernel goes on acknowledging, so no keepalive helps; new connections get through."""
    stall = proxy.gate()
    stalled: list[Link] = []

    def hold(link: Link, kind: bytes, body: bytes) -> bool:
        if link.purpose == "write" and statement(kind, body).startswith("BEGIN") and link.begins == 3:
            stalled.extend(proxy.links)
        if link in stalled:
            stall.wait()
        return True

    proxy.from_client = hold
    started = runner.start(
        *BATCH, "--max-runtime", "4s", url=proxy.url, settings=SHORT_LIMITS | {"JOBCTL_KILL_GRACE_S": "1"}
    )
    ended = started.wait()
    stall.open()
    assert ended.exit_code == 124, ended.said
    assert base.all(ROW, started.correlation_id) == [("timeout", 124)]
    started.wait_for_all()
    runner.succeed()
    assert violations(base.conn) == []


# Signals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_the_run_after_its_batch_and_keeps_the_checkpoint(
    number: signal.Signals, base: Base, source: Source, proxy: Proxy, runner: Runner
) -> None:
    gate = hold_at_begin(proxy, 3)
    started = runner.start(*BATCH, url=proxy.url)
    gate.arrive()
    os.kill(started.pid, number)
    time.sleep(0.3)
    gate.open()
    ended = started.wait()
    assert ended.exit_code == 128 + number, ended.said
    assert len(ended.stderr.splitlines()) == 1, ended.said
    assert base.all(ROW, started.correlation_id) == [("interrupted", 128 + number)]
    batches = base.one(CHECKPOINT)
    assert 3 <= batches < 50
    assert base.one("SELECT (counts ->> 'read')::int FROM ops.job_history") == 2 * batches
    runner.succeed()
    assert violations(base.conn) == []


def test_a_second_signal_means_now(base: Base, source: Source, runner: Runner) -> None:
    with base.conn.transaction():
        base.conn.execute("LOCK TABLE core.items IN ROW EXCLUSIVE MODE")
        base.conn.execute("LOCK TABLE queue.tasks IN ACCESS EXCLUSIVE MODE")
        started = runner.start(*BATCH, settings=PATIENT | {"JOBCTL_KILL_GRACE_S": "30"})
        waits = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'queue.tasks'::regclass"
        wait_for(lambda: base.one(waits) == 1)
        os.kill(started.pid, signal.SIGTERM)
        time.sleep(0.5)
        assert started.is_alive, "the first signal lets the batch end"
        os.kill(started.pid, signal.SIGTERM)
        ended = started.wait(30)
        assert ended.exit_code == 143, ended.said
    assert base.all(ROW, started.correlation_id) == [("interrupted", 143)]
    runner.succeed()
    assert violations(base.conn) == []


def test_a_worker_that_does_not_heed_a_signal_is_killed_after_the_grace(
    base: Base, source: Source, proxy: Proxy, runner: Runner
) -> None:
    gate = hold_at_begin(proxy, 3)
    started = runner.start(*BATCH, url=proxy.url, settings={"JOBCTL_KILL_GRACE_S": "1"})
    gate.arrive()
    os.kill(started.worker(), signal.SIGSTOP)
    os.kill(started.pid, signal.SIGTERM)
    ended = started.wait()
    gate.open()
    assert ended.exit_code == 143, ended.said
    assert base.all(ROW, started.correlation_id) == [("interrupted", 143)]
    started.wait_for_all()


def test_a_signal_to_a_run_under_nohup_is_not_heard(base: Base, source: Source, proxy: Proxy, runner: Runner) -> None:
    gate = hold_at_begin(proxy, 3)
    started = runner.start(*BATCH, url=proxy.url, before=("nohup",))
    gate.arrive()
    os.kill(started.pid, signal.SIGHUP)
    time.sleep(0.3)
    gate.open()
    ended = started.wait()
    assert ended.exit_code == 0, ended.said
    assert base.all(ROW, started.correlation_id) == [("completed", 0)]


def test_a_worker_killed_as_for_want_of_memory_is_a_failed_run_with_evidence(
    base: Base, source: Source, proxy: Proxy, runner: Runner
) -> None:
    gate = hold_at_begin(proxy, 3)
    started = runner.start(*BATCH, url=proxy.url)
    gate.arrive()
    worker = started.worker()
    os.kill(worker, signal.SIGKILL)
    ended = started.wait()
    assert ended.exit_code == 1, ended.said
    assert len(ended.stderr.splitlines()) == 1, ended.said
    assert b"out-of-memory" in ended.stderr
    assert base.all(ROW, started.correlation_id) == [("failed", 1)]
    evidence = base.one(EVIDENCE, started.correlation_id)
    assert (evidence["signal"], evidence["worker_pid"]) == ("SIGKILL", worker)
    assert base.one("SELECT (counts ->> 'read')::int FROM ops.job_history") == 4
    gate.open()
    runner.succeed()
    assert violations(base.conn) == []


def test_a_worker_killed_before_its_first_row_is_a_failed_run_all_the_same(
    base: Base, source: Source, proxy: Proxy, runner: Runner
) -> None:
    gate = proxy.gate()

    def hold(link: Link, kind: bytes, body: bytes) -> bool:
        if "INSERT INTO ops.locks" in statement(kind, body):
            gate.wait()
        return True

    proxy.from_client = hold
    started = runner.start(*BATCH, url=proxy.url)
    gate.arrive()
    os.kill(started.worker(), signal.SIGKILL)
    ended = started.wait()
    gate.open()
    assert ended.exit_code == 1, ended.said
    assert [row[0] for row in base.all(ROW, started.correlation_id)] == ["failed"]
    runner.succeed()


def test_a_worker_whose_supervisor_was_killed_ends_by_itself(
    base: Base, source: Source, proxy: Proxy, runner: Runner
) -> None:
    gate = hold_at_begin(proxy, 3)
    started = runner.start(*BATCH, url=proxy.url)
    gate.arrive()
    os.kill(started.pid, signal.SIGKILL)
    time.sleep(0.3)
    gate.open()
    started.wait_for_all()
    ended = started.wait()
    assert b"Traceback" not in ended.stderr
    assert base.one(CHECKPOINT) < 50
    runner.succeed()
    assert base.all(ROW, started.correlation_id)[0][0] in ("interrupted", "abandoned")
    assert violations(base.conn) == []


def test_a_run_of_which_nobody_is_left_is_abandoned_by_the_next(
    base: Base, source: Source, proxy: Proxy, runner: Runner
) -> None:
    gate = hold_at_begin(proxy, 3)
    started = runner.start(*BATCH, url=proxy.url)
    gate.arrive()
    started.signal(signal.SIGKILL)
    started.wait_for_all()
    assert base.all(ROW, started.correlation_id) == [("running", None)]
    gate.open()
    held = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"
    wait_for(lambda: base.one(held) == 0)
    runner.succeed()
    assert base.all(ROW, started.correlation_id) == [("abandoned", 1)]
    assert base.one(EVIDENCE, started.correlation_id)["worker_pid"] is not None
    assert violations(base.conn) == []


# Streams ---------------------------------------------------------------------------------------------------------


def _good(base: Base) -> tuple[int, str]:
    return 0, "completed"


def _bad(base: Base) -> tuple[int, str]:
    base.conn.execute("UPDATE branch.branches SET loaded_at = NULL")
    return 1, "failed"


STREAMS = [
    "{} >/dev/full",
    "{} --json >/dev/full",
    "{} -v >/dev/full 2>/dev/full",
    "{} --json >&-",
    "{} 2>&-",
    "{} --json <&- >&- 2>&-",
]


@pytest.mark.parametrize("line", STREAMS)
@pytest.mark.parametrize("case", [_good, _bad], ids=["good", "bad"])
def test_streams_that_are_full_or_closed_change_no_exit_code(
    line: str, case: Callable[[Base], tuple[int, str]], base: Base, source: Source, runner: Runner
) -> None:
    code, status = case(base)
    ended = _in_shell(runner, line)
    assert ended.returncode == code, ended.stderr
    assert [row[0] for row in base.all("SELECT status FROM ops.job_history")] == [status]
    assert b"Traceback" not in ended.stderr
    assert b"Exception ignored" not in ended.stderr


@pytest.mark.parametrize("words", ["--json", "-v"])
def test_a_reader_that_goes_away_changes_no_exit_code(words: str, base: Base, source: Source, runner: Runner) -> None:
    ended = _in_shell(runner, "set -o pipefail; {} " + words + " | head -c 1 >/dev/null")
    assert ended.returncode == 0, ended.stderr
    assert base.all("SELECT status FROM ops.job_history") == [("completed",)]
    assert b"Traceback" not in ended.stderr


def _in_shell(runner: Runner, line: str) -> "subprocess.CompletedProcess[bytes]":
    command = f"{sys.executable} -m jobctl ingest-branch"
    return subprocess.run(
        ["bash", "-c", line.format(command)],
        env=runner.environment(),
        cwd=runner.directory,
        capture_output=True,
        stdin=subprocess.DEVNULL,
        check=False,
        timeout=60,
    )


def test_an_empty_environment_is_enough(base: Base, source: Source, runner: Runner, tmp_path: Path) -> None:
    words = ["/usr/bin/env", "-i", f"DATABASE_URL={base.url}", sys.executable, "-m", "jobctl", "ingest-branch"]
    ended = subprocess.run(words, cwd=tmp_path, capture_output=True, stdin=subprocess.DEVNULL, check=False, timeout=60)
    assert (ended.returncode, ended.stdout) == (3, b""), ended.stderr  # a tenth of the records is bad
    # The account's own place may hold a run that another test could not write: it is written here, too.
    assert ("completed",) in base.all("SELECT status FROM ops.job_history")


def test_json_is_one_object_on_stdout_and_nothing_else(base: Base, source: Source, runner: Runner) -> None:
    import json

    ended = runner.run("--json")
    assert ended.exit_code == 0
    assert ended.stderr == b""
    report = json.loads(ended.stdout)
    assert (report["status"], report["exit_code"], report["counts"]["read"]) == ("completed", 0, 100)
