"""A watcher outside hears of each run, and a dead one changes nothing."""

from collections.abc import Generator

import pytest

from bench_postgres import wait_for
from bench_runs import Base, Ended, NewRunner, Runner
from bench_webhook import TOKEN, Behaviour, Receiver, answer, cut, hang, refusing_url, trickle


@pytest.fixture
def receiver() -> Generator[Receiver, None, None]:
    with Receiver(answer(200)) as made:
        yield made


@pytest.fixture
def runner(new_runner: NewRunner, base: Base, receiver: Receiver) -> Runner:
    return new_runner(base.url, JOBCTL_HEARTBEAT_URLS=f"ingest-branch={receiver.url}")


def run_id(base: Base) -> str:
    return base.one("SELECT run_id::text FROM ops.job_history ORDER BY started_at DESC LIMIT 1")


def test_begin_and_end_are_told_with_the_runs_id(runner: Runner, receiver: Receiver, base: Base) -> None:
    runner.succeed()
    wait_for(lambda: len(receiver.paths) == 2, 10)
    ends = sorted(path.rpartition("/")[2] for path in receiver.paths)
    assert ends == sorted([f"{TOKEN}?rid={run_id(base)}", f"start?rid={run_id(base)}"])


def test_a_failed_run_is_told_as_failed(runner: Runner, receiver: Receiver) -> None:
    assert runner.run("--branch", "missing").exit_code == 2
    wait_for(lambda: len(receiver.paths) == 2, 10)
    assert any("/fail?rid=" in path for path in receiver.paths)


def test_a_dry_run_tells_nothing(runner: Runner, receiver: Receiver) -> None:
    runner.succeed("--dry-run")
    assert receiver.connections == 0


@pytest.mark.parametrize(
    "behave", [hang, cut, trickle, answer(500), None], ids=["hang", "cut", "drip", "500", "refused"]
)
def test_a_dead_watcher_changes_neither_exit_code_nor_streams(
    behave: Behaviour | None, runner: Runner, receiver: Receiver, base: Base
) -> None:
    if behave is not None:
        receiver.then(behave)
    else:
        runner.settings["JOBCTL_HEARTBEAT_URLS"] = f"ingest-branch={refusing_url()}"
    ended: Ended = runner.succeed()
    assert (ended.stdout, ended.stderr) == (b"", b"")
    assert base.last_status() == "completed"
    assert TOKEN not in runner.log_file.read_text()
