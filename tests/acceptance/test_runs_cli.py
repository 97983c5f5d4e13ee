"""`jobctl runs` and `jobctl explain` beside real runs: followed, cancelled from elsewhere, frozen, killed."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench_past_runs import add_run
from bench_postgres import Bench, wait_for
from bench_runs import SHORT_LIMITS, Base, Ended, NewRunner, Runner, Started
from bench_source import Source, violations
from bench_wire import Proxy, hold_at_begin
from jobctl.db import embedded

ROW = "SELECT status, exit_code, error_message FROM ops.job_history WHERE correlation_id = %s"
BEGAN = "SELECT count(*) FROM ops.job_history WHERE correlation_id = %s AND status = 'running'"
HEARD = "SELECT count(*) FROM ops.cancellations WHERE heard_at IS NOT NULL"


class Operator:
    """Somebody at another terminal: the command, without the runner's log and limits."""

    def __init__(self, base: Base, directory: Path) -> None:
        self.base, self.directory = base, directory

    def begin(self, *words: str, settings: dict[str, str] | None = None) -> "subprocess.Popen[bytes]":
        environment = {
            "PATH": "/usr/bin:/bin", "HOME": str(self.directory), "DATABASE_URL": self.base.url,
            "PYTHONPATH": str(Path(__file__).parents[2] / "src"), "JOBCTL_DATA_DIR": str(self.directory / "own"),
            **(settings or {}),
        }  # fmt: skip
        return subprocess.Popen(
            [Path(sys.executable).with_name("jobctl"), *words], env=environment, cwd=self.directory,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def run(self, *words: str, settings: dict[str, str] | None = None) -> Ended:
        process = self.begin(*words, settings=settings)
        out, err = process.communicate(timeout=60)
        return Ended(process.returncode, out, err)

    def told(self, *words: str, exit_code: int = 0) -> dict[str, Any]:
        ended = self.run(*words, "--json")
        assert ended.exit_code == exit_code, ended.said
        return json.loads(ended.stdout)


@pytest.fixture
def operator(base: Base, tmp_path: Path) -> Operator:
    return Operator(base, tmp_path)


@pytest.fixture
def wrapper(base: Base, new_runner: NewRunner) -> Runner:
    runner = new_runner(base.url, **SHORT_LIMITS)
    runner.job = "run"
    return runner


def begun(base: Base, started: Started) -> Started:
    wait_for(lambda: bool(base.one(BEGAN, started.correlation_id)), 30)
    return started


def test_a_wrapped_command_is_followed_and_cancelled_from_elsewhere_and_all_of_it_is_told(
    base: Base, wrapper: Runner, operator: Operator
) -> None:
    script = "echo begun; trap 'echo tidied; exit 7' TERM; while :; do sleep 0.1; done"
    started = begun(base, wrapper.start("x", "--", "/bin/sh", "-c", script))
    tail = operator.begin("runs", "tail", "x")
    (listed,) = operator.told("runs", "list", "--status", "running")["items"]
    assert (listed["job"], listed["scope"], listed["state"]) == ("run", "x", "running")

    asked = operator.told("runs", "cancel", listed["run_id"][:8], "--reason", "deploy\n17", "--wait")
    assert (asked["state"], asked["exit_code"], asked["reason"], asked["is_heard"]) == (
        "interrupted", 143, "deploy 17", True
    )  # fmt: skip
    assert started.wait().exit_code == 143
    ((status, exit_code, message),) = base.all(ROW, started.correlation_id)
    assert (status, exit_code) == ("interrupted", 143)
    assert message.startswith("cancelled by ") and message.endswith(": deploy 17")

    out, err = tail.communicate(timeout=60)
    assert tail.returncode == 143, err
    assert b"run x: interrupted after" in out

    shown = operator.told("runs", "show", "x")
    (scope,) = shown["scopes"]
    assert "tidied" in scope["output"] and scope["evidence"]["cancel_reason"] == "deploy 17"
    assert scope["evidence"]["command_exit_code"] == 7  # the command's own evidence is kept beside it
    assert {step["step"] for step in shown["steps"]} == {"began", "cancel_requested", "cancel_heard", "ended"}
    assert shown["cancellation"]["heard_at"] is not None
    # The operator keeps no log here; the runner's account does.
    assert "keeps no log file" in shown["log"]["why_not"]
    beside = operator.run("runs", "show", "x", settings={"JOBCTL_LOG_FILE": str(wrapper.log_file)})
    assert b"run_started" in beside.stdout and b"cancelled by" in beside.stdout
    assert operator.told("explain", "x")["cancellation"]["reason"] == "deploy 17"
    again = operator.run("runs", "cancel", "x")
    assert again.exit_code == 2 and b"does not run: it ended" in again.stderr


@pytest.mark.slow
def test_a_command_that_heeds_no_request_is_killed_by_its_own_supervisor(
    base: Base, wrapper: Runner, operator: Operator
) -> None:
    started = begun(base, wrapper.start("x", "--", "/bin/sh", "-c", "trap '' TERM; while :; do sleep 0.1; done"))
    asked = operator.told("runs", "cancel", "x", "--now", "--wait")
    assert asked["state"] == "interrupted" and asked["is_now"]
    started.wait_for_all()
    assert base.all(ROW, started.correlation_id)[0][0] == "interrupted"


def test_a_job_that_is_cancelled_keeps_its_checkpoint_and_the_next_run_goes_on(
    base: Base, runner: Runner, proxy: Proxy, operator: Operator
) -> None:
    Source([base.conn], count=40).create()
    gate = hold_at_begin(proxy, 5)
    started = runner.start(
        "--batch-size", "2", url=proxy.url, settings={"JOBCTL_HEARTBEAT_S": "0.3", "JOBCTL_KILL_GRACE_S": "30"}
    )
    gate.arrive()
    asked = operator.told("runs", "cancel", "ingest-branch", "--reason", "the source sends nonsense")
    assert asked["is_heard"] and asked["state"] == "running"
    wait_for(lambda: bool(base.one(HEARD)), 30)
    gate.open()
    assert started.wait().exit_code == 143
    ((status, _, message),) = base.all(ROW, started.correlation_id)
    assert status == "interrupted" and "the source sends nonsense" in message
    done = base.one("SELECT batch_no FROM ops.checkpoints")
    assert 1 <= done < 20
    runner.succeed()
    assert not violations(base.conn)


@pytest.mark.slow
def test_a_frozen_run_cannot_hear_and_a_dead_one_is_told_to_be_dead(
    base: Base, wrapper: Runner, operator: Operator
) -> None:
    started = begun(base, wrapper.start("x", "--", "sleep", "600"))
    started.worker()
    started.signal(signal.SIGSTOP)
    wait_for(lambda: operator.told("runs", "list", "--limit", "1")["items"][0]["state"] == "frozen", 30)
    asked = operator.told("runs", "cancel", "x", exit_code=1)
    assert not asked["is_heard"] and f"kill -TERM {started.pid}" in asked["said"]
    started.signal(signal.SIGKILL)
    wait_for(lambda: operator.told("runs", "list", "--limit", "1")["items"][0]["state"] == "dead", 30)
    refused = operator.run("runs", "cancel", "x")
    assert refused.exit_code == 2 and b"died without a word" in refused.stderr
    assert operator.run("runs", "tail", "x").exit_code == 1


# Completion ------------------------------------------------------------------------------------------------------


def completed(operator: Operator, line: str, **settings: str) -> list[str]:
    """What bash is offered for the last word of the line; nothing may be said to stderr."""
    words = line.split(" ")
    ended = operator.run(
        settings={
            "_JOBCTL_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1), **settings
        }
    )  # fmt: skip
    assert ended.stderr == b"" and ended.exit_code in (0, 1), ended.said
    return ended.stdout.decode().split()


def test_the_shell_offers_commands_and_the_values_there_are(base: Base, operator: Operator, server: Bench) -> None:
    Source([base.conn], count=1).create()
    slug = base.one("SELECT slug FROM branch.branches")
    assert {"runs", "explain", "ingest-branch", "queue"} <= set(completed(operator, "jobctl "))
    assert completed(operator, "jobctl runs li") == ["list"]
    assert "--correlation-id" in completed(operator, "jobctl runs list --")
    assert "retry-failed" in completed(operator, "jobctl runs list --job ")
    assert completed(operator, "jobctl runs list --status fro") == ["frozen"]
    # Who is not answered in time offers nothing, and this machine may be busy.
    wait_for(lambda: completed(operator, f"jobctl ingest-branch --branch {slug[0]}") == [slug], 30)
    wait_for(lambda: completed(operator, f"jobctl branch show {slug[:2]}") == [slug], 30)
    assert completed(operator, "jobctl runs show la") == ["last"]
    run_id = str(add_run(base.conn))
    wait_for(lambda: completed(operator, f"jobctl explain {run_id[:4]}") == [run_id[:8]], 30)
    wait_for(lambda: completed(operator, f"jobctl explain {run_id[:10]}") == [run_id], 30)


def test_completion_says_nothing_and_starts_nothing_where_there_is_no_database(operator: Operator) -> None:
    nowhere = {"DATABASE_URL": "postgresql://jobctl@127.0.0.1:1/none"}
    assert completed(operator, "jobctl branch show ", **nowhere) == []
    assert "last" in completed(operator, "jobctl runs show ", **nowhere)
    assert completed(operator, "jobctl branch show ", DATABASE_URL="", JOBCTL_LEASE_S="no number") == []
    data = operator.directory / "fresh"
    assert completed(operator, "jobctl branch show ", DATABASE_URL="", JOBCTL_DATA_DIR=str(data)) == []
    assert embedded.status(data).state == "absent" and not os.path.lexists(data)
