"""`jobctl run` as cron and an operator use it: real processes, a real database, and none of it."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench_postgres import wait_for
from bench_runs import Base, Ended, NewRunner, Runner, processes_with, size

DOWN = "postgresql://jobctl@127.0.0.1:1/none?connect_timeout=1"


class Wrapper:
    """Starts `jobctl run` in the runner's directory and environment."""

    def __init__(self, runner: Runner) -> None:
        self.runner = runner
        runner.settings["JOBCTL_DATA_DIR"] = str(runner.directory / "data")
        runner.settings["JOBCTL_KILL_GRACE_S"] = "3"

    def start(self, *words: str, token: str = "", **settings: str) -> "subprocess.Popen[bytes]":
        environment = self.runner.environment() | settings | ({"TORTURE_TOKEN": token} if token else {})
        return subprocess.Popen(
            [sys.executable, "-m", "jobctl", "run", *words],
            env=environment,
            cwd=self.runner.directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def run(self, *words: str, **settings: str) -> Ended:
        process = self.start(*words, **settings)
        out, err = process.communicate(timeout=60)
        return Ended(process.returncode, out, err)

    @property
    def output_file(self) -> Path:
        return self.runner.directory / "data" / "output" / "x.log"

    @property
    def spooled(self) -> list[Path]:
        return sorted((self.runner.directory / "data" / "spool").glob("*.json"))


@pytest.fixture
def wrapper(new_runner: NewRunner, base: Base) -> Wrapper:
    return Wrapper(new_runner(base.url))


def row(base: Base) -> tuple[Any, ...]:
    (found,) = base.all(
        "SELECT scope, status, exit_code, error_class, error_message, output FROM ops.job_history WHERE job = 'run'"
        " ORDER BY started_at DESC LIMIT 1"
    )
    return found


def test_a_command_that_goes_well_is_silent_and_kept(wrapper: Wrapper, base: Base) -> None:
    ended = wrapper.run("x", "--", "sh", "-c", "echo out; echo err >&2")
    assert (ended.exit_code, ended.stdout, ended.stderr) == (0, b"", b""), ended.said
    scope, status, exit_code, *_, output = row(base)
    assert (scope, status, exit_code) == ("x", "completed", 0)
    assert sorted(output.split()) == ["err", "out"]
    assert "out\n" in wrapper.output_file.read_text()
    assert wrapper.output_file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("script", "exit_code", "says"),
    [
        ("echo about to fail; exit 7", 7, "exit code 7: about to fail"),
        ("exit 3", 3, "exit code 3"),
        ("exit 124", 124, "exit code 124"),
        ("exit 143", 143, "ended by SIGTERM"),
        ("kill -9 $$", 137, "ended by SIGKILL"),
    ],
)
def test_the_exit_code_is_passed_on_and_the_run_is_failed(
    wrapper: Wrapper, base: Base, script: str, exit_code: int, says: str
) -> None:
    ended = wrapper.run("x", "--", "sh", "-c", script)
    assert ended.exit_code == exit_code
    assert ended.stdout == b""
    assert ended.stderr.count(b"\n") == 1 and says in ended.stderr.decode()
    assert row(base)[1:4] == ("failed", exit_code, "CommandFailed")


def test_a_command_that_cannot_be_started_says_why(wrapper: Wrapper) -> None:
    missing = wrapper.run("x", "--", "/nonexistent/program")
    assert missing.exit_code == 127 and b"was not found" in missing.stderr
    not_executable = wrapper.runner.directory / "text"
    not_executable.write_text("no program")
    assert wrapper.run("x", "--", str(not_executable)).exit_code == 126


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("x",), "two dashes"),
        (("x", "true"), "two dashes"),
        (("x", "--"), "no command"),
        (("a/b", "--", "true"), "is no name"),
        (("--require", "(", "x", "--", "true"), "regular expression"),
    ],
)
def test_wrong_usage_is_exit_2_and_says_the_way_out(wrapper: Wrapper, words: tuple[str, ...], says: str) -> None:
    ended = wrapper.run(*words)
    assert ended.exit_code == 2 and says in ended.stderr.decode()


@pytest.mark.parametrize(
    ("words", "exit_code"),
    [
        (("--ok-exit", "0", "--ok-exit", "4", "x", "--", "sh", "-c", "exit 4"), 0),
        (("--fail-on", "ERR[0-9]", "x", "--", "echo", "an ERR7 came"), 1),
        (("--fail-on", "ERR[0-9]", "x", "--", "echo", "an ERR came"), 0),
        (("--require", "all done", "x", "--", "printf", "all done"), 0),
        (("--require", "all done", "x", "--", "echo", "half done"), 1),
        (("--min-runtime", "30s", "x", "--", "true"), 1),
    ],
)
def test_what_success_is_may_be_said(wrapper: Wrapper, words: tuple[str, ...], exit_code: int) -> None:
    assert wrapper.run(*words).exit_code == exit_code


def test_a_failed_command_is_tried_again_and_each_try_is_an_event(wrapper: Wrapper, base: Base) -> None:
    script = "echo x >> tries; test $(wc -l < tries) -ge 3"
    ended = wrapper.run("--retries", "3", "--retry-wait", "1s", "x", "--", "sh", "-c", script)
    assert ended.exit_code == 0, ended.said
    assert base.one("SELECT counts ->> 'attempts' FROM ops.job_history") == "3"
    assert base.one("SELECT count(*) FROM ops.sync_events WHERE event = 'attempt_failed'") == 2


def test_the_end_of_a_long_output_is_kept_with_a_mark_and_the_file_has_all(wrapper: Wrapper, base: Base) -> None:
    wrapper.run("x", "--", "sh", "-c", "seq 1 20000")
    output = row(base)[-1]
    assert output.startswith("[... ") and "bytes cut" in output.splitlines()[0]
    assert output.endswith("19999\n20000\n") and len(output) < 17_000
    assert wrapper.output_file.read_text().splitlines()[1:] == [str(n) for n in range(1, 20001)]


def test_bytes_that_are_no_text_and_nul_are_kept_as_far_as_they_can_be(wrapper: Wrapper, base: Base) -> None:
    ended = wrapper.run("x", "--", "printf", r"a\000b\377c")
    assert ended.exit_code == 0, ended.said
    assert row(base)[-1] == "a\ufffdb\ufffdc"


def test_a_second_start_is_skipped_while_the_first_holds_the_lock(wrapper: Wrapper, base: Base) -> None:
    first = wrapper.start("x", "--", "sleep", "30")
    try:
        wait_for(lambda: base.one("SELECT count(*) FROM ops.job_history WHERE status = 'running'") == 1, 20)
        second = wrapper.run("x", "--", "sh", "-c", "touch second")
        assert (second.exit_code, second.stderr) == (0, b"")
        assert not (wrapper.runner.directory / "second").exists()
        assert wrapper.run("other", "--", "true").exit_code == 0
    finally:
        first.terminate()
        first.communicate(timeout=20)
    assert first.returncode == 143


def test_a_signal_is_forwarded_and_the_run_is_interrupted(wrapper: Wrapper, base: Base) -> None:
    script = "trap 'echo got it; exit 0' INT; echo ready > ready; while :; do sleep 0.1; done"
    process = wrapper.start("x", "--", "sh", "-c", script)
    wait_for((wrapper.runner.directory / "ready").exists, 20)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    assert process.returncode == 130
    assert row(base)[1] == "interrupted" and "got it" in row(base)[-1]


TREE = """
import os, signal, subprocess, sys, time
kind = int(sys.argv[1]) % 4
if kind == 0:  # a session of its own
    subprocess.Popen(["sleep", "600"], start_new_session=True)
elif kind == 1:  # forked twice, its parent gone
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            time.sleep(600)
        os._exit(0)
elif kind == 2:  # does not heed SIGTERM, and neither does its child
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    subprocess.Popen([sys.executable, "-c", "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(600)"])
else:  # holds the pipe, silently
    subprocess.Popen(["sleep", "600"])
open("ready", "w").close()
if int(sys.argv[1]) % 8 < 4:
    time.sleep(600)
"""


@pytest.mark.parametrize("number", range(size(8, 100)))
def test_nothing_of_a_tree_survives_the_limit_or_the_commands_own_end(wrapper: Wrapper, number: int) -> None:
    """Half of the trees run into the limit, half end and leave somebody behind."""
    token = f"tree-{os.getpid()}-{number}"
    limits = {"JOBCTL_LEASE_S": "2", "JOBCTL_HEARTBEAT_S": "0.3", "JOBCTL_LOCK_TIMEOUT_MS": "300"}
    limits |= {"JOBCTL_STATEMENT_TIMEOUT_MS": "1000", "JOBCTL_IDLE_IN_TRANSACTION_TIMEOUT_MS": "1500"}
    words = ("--max-runtime", "4s", "x", "--", sys.executable, "-c", TREE, str(number))
    process = wrapper.start(*words, token=token, JOBCTL_KILL_GRACE_S="3", **limits)
    process.communicate(timeout=30)
    assert process.returncode == (124 if number % 8 < 4 else 0)
    assert processes_with(token) == []


@pytest.mark.parametrize("who", ["supervisor", "worker"])
def test_whoever_of_us_is_killed_the_other_ends_the_tree(wrapper: Wrapper, who: str) -> None:
    token = f"killed-{os.getpid()}-{who}"
    process = wrapper.start("x", "--", sys.executable, "-c", TREE, "1", token=token)
    wait_for((wrapper.runner.directory / "ready").exists, 20)
    workers = [pid for pid in processes_with(token) if b"jobctl" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    worker = next(pid for pid in workers if pid != process.pid)
    os.kill(process.pid if who == "supervisor" else worker, signal.SIGKILL)
    wait_for(lambda: processes_with(token) == [], 20)
    process.communicate(timeout=20)


def test_a_daemon_that_is_meant_to_live_may(wrapper: Wrapper) -> None:
    token = f"daemon-{os.getpid()}"
    process = wrapper.start("--leave-children", "x", "--", sys.executable, "-c", TREE, "4", token=token)
    process.communicate(timeout=30)
    left = processes_with(token)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert (process.returncode, len(left)) == (0, 1)


def test_secrets_do_not_reach_the_command_unless_they_are_asked_for(wrapper: Wrapper) -> None:
    wrapper.runner.settings["GITHUB_TOKEN"] = "ghp_canary0123456789canary0123456789canary"
    wrapper.run("x", "--", "sh", "-c", "env > env.txt")
    seen = (wrapper.runner.directory / "env.txt").read_text()
    assert "canary" not in seen and "DATABASE_URL" not in seen
    assert "JOBCTL_RUN_ID=" in seen
    wrapper.run("--keep-env", "GITHUB_TOKEN", "x", "--", "sh", "-c", "env > env.txt; echo $GITHUB_TOKEN")
    assert "canary" in (wrapper.runner.directory / "env.txt").read_text()


def test_without_the_database_it_is_skipped_with_75_and_the_run_comes_into_history_later(
    wrapper: Wrapper, base: Base
) -> None:
    ended = wrapper.run("x", "--", "touch", "done", DATABASE_URL=DOWN)
    assert ended.exit_code == 75, ended.said
    assert not (wrapper.runner.directory / "done").exists()
    assert len(wrapper.spooled) == 1
    assert wrapper.run("other", "--", "true").exit_code == 0
    rows = base.all("SELECT scope, status, exit_code, replayed_at IS NULL FROM ops.job_history ORDER BY started_at")
    assert rows == [("", "failed", 75, False), ("other", "completed", 0, True)]
    assert wrapper.spooled == []


def test_without_the_database_it_runs_if_told_so_and_is_replayed_in_order(wrapper: Wrapper, base: Base) -> None:
    for number in range(3):
        script = f"echo {number}; exit {number}"
        ended = wrapper.run("--when-db-down=run", "x", "--", "sh", "-c", script, DATABASE_URL=DOWN)
        assert ended.exit_code == number, ended.said
    (wrapper.runner.directory / "data" / "spool" / "00000000-garbage.json").write_text('{"format": 1, "identi')
    assert wrapper.run("other", "--", "true").exit_code == 0
    rows = base.all("SELECT scope, exit_code, output FROM ops.job_history WHERE scope = 'x' ORDER BY started_at")
    assert rows == [("x", 0, "0\n"), ("x", 1, "1\n"), ("x", 2, "2\n")]
    assert [
        path.suffix for path in (wrapper.runner.directory / "data" / "spool").iterdir() if "garbage" in path.name
    ] == [".bad"]


def test_a_run_of_ingest_that_finds_no_database_leaves_no_hole_either(wrapper: Wrapper, base: Base) -> None:
    ended = wrapper.runner.run(url=DOWN)
    assert ended.exit_code == 75
    assert wrapper.runner.run().exit_code == 0
    rows = base.all("SELECT status, exit_code, replayed_at IS NULL FROM ops.job_history ORDER BY started_at")
    assert rows == [("failed", 75, False), ("completed", 0, True)]


def test_without_the_database_two_on_one_host_still_exclude_each_other(wrapper: Wrapper) -> None:
    words = ("--when-db-down=run", "x", "--", "sh", "-c", "echo x >> ready; sleep 20")
    first = wrapper.start(*words, DATABASE_URL=DOWN)
    try:
        wait_for((wrapper.runner.directory / "ready").exists, 20)
        second = wrapper.run(*words, DATABASE_URL=DOWN)
        assert second.exit_code == 0
        assert (wrapper.runner.directory / "ready").read_text() == "x\n"
    finally:
        first.terminate()
        first.communicate(timeout=20)


def test_dry_run_shows_the_command_and_does_not_run_it(wrapper: Wrapper, base: Base) -> None:
    ended = wrapper.run("--dry-run", "--json", "x", "--", "touch", "done")
    assert ended.exit_code == 0
    assert json.loads(ended.stdout)["scopes"][0]["notes"] == ["would run: touch done"]
    assert not (wrapper.runner.directory / "done").exists()
    assert base.one("SELECT count(*) FROM ops.job_history") == 0
