"""`jobctl run` as cron and an operator use it: real processes, a real database, and none of it."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from bench_postgres import fresh_bench, is_root, wait_for
from bench_runs import SOURCE, Base, NewRunner, size
from bench_user import as_ordinary_user, give_to_ordinary_user
from bench_wrapped import DOWN, SHORT, Wrapper, below, row, worker_of


@pytest.fixture
def wrapper(new_runner: NewRunner, base: Base) -> Wrapper:
    return Wrapper(new_runner(base.url))


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
        ("exit 143", 143, "exit code 143"),
        ("kill -9 $$", 137, "ended by SIGKILL"),
    ],
)
def test_the_exit_code_is_passed_on_and_the_run_is_failed(
    wrapper: Wrapper, base: Base, script: str, exit_code: int, says: str
) -> None:
    ended = wrapper.run("x", "--", "sh", "-c", script)
    assert ended.exit_code == exit_code
    assert ended.stdout == b""
    assert ended.stderr.count(b"\n") == 1 and ended.stderr.decode().startswith(f"jobctl run x: {says}")
    assert row(base)[1:4] == ("failed", exit_code, "CommandFailed")


def test_a_word_of_a_command_may_be_no_text(wrapper: Wrapper, base: Base) -> None:
    """The name of a file is bytes."""
    ended = wrapper.run("x", "--", "sh", "-c", 'printf %s "$1" | wc -c', "sh", os.fsdecode(b"caf\xe9"))
    assert ended.exit_code == 0, ended.said
    assert row(base)[-1].strip() == "4"
    command = base.conn.execute("SELECT command FROM ops.job_history").fetchone()
    assert command is not None and command[0].endswith(r"'caf\xe9'")


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
        (("--ok-exit", "0,256", "x", "--", "true"), "no exit code"),
        (("x", "--retries", "3", "--", "true"), "options go before NAME"),
    ],
)
def test_wrong_usage_is_exit_2_and_says_the_way_out(wrapper: Wrapper, words: tuple[str, ...], says: str) -> None:
    ended = wrapper.run(*words)
    assert ended.exit_code == 2 and says in ended.stderr.decode()


@pytest.mark.parametrize(
    ("words", "exit_code"),
    [
        (("--ok-exit", "0", "--ok-exit", "4", "x", "--", "sh", "-c", "exit 4"), 0),
        (("--ok-exit", "0,3,4", "x", "--", "sh", "-c", "exit 4"), 0),
        (("--ok-exit", "4", "x", "--", "true"), 1),
        (("--fail-on", "A", "--fail-on", "B", "x", "--", "echo", "B"), 1),
        (("--require", "A", "--require", "B", "x", "--", "echo", "B"), 1),
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


def test_no_attempt_is_waited_for_that_would_come_after_the_limit(wrapper: Wrapper, base: Base) -> None:
    words = ("--max-runtime", "20s", "--retries", "3", "--retry-wait", "30s")
    ended = wrapper.run(*words, "x", "--", "sh", "-c", "exit 9", settings=SHORT)
    assert ended.exit_code == 9, ended.said
    assert base.one("SELECT notes ->> 0 FROM ops.job_history") == "no time was left for another attempt"


def test_a_command_reads_what_is_given_to_jobctl(wrapper: Wrapper, base: Base) -> None:
    process = wrapper.start("x", "--", "cat", stdin=subprocess.PIPE)
    process.communicate(b"as behind a % in a crontab", timeout=60)
    assert row(base)[-1] == "as behind a % in a crontab"


def test_both_streams_are_kept_in_the_order_in_which_they_were_written(wrapper: Wrapper, base: Base) -> None:
    script = "for n in 1 2 3 4 5 6 7 8 9; do echo $n; echo e$n >&2; done"
    assert wrapper.run("x", "--", "sh", "-c", script).exit_code == 0
    assert row(base)[-1].split() == [word for n in range(1, 10) for word in (str(n), f"e{n}")]


def test_each_stream_is_passed_on_to_its_own_when_somebody_looks(wrapper: Wrapper) -> None:
    ended = wrapper.run("-v", "x", "--", "sh", "-c", "echo out; echo err >&2")
    assert ended.stdout.startswith(b"out\n") and ended.stderr == b"err\n"


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


def test_a_failure_whose_last_line_has_a_nul_in_it_is_told_like_any_other(wrapper: Wrapper, base: Base) -> None:
    ended = wrapper.run("x", "--", "sh", "-c", r"printf 'a\000b\n'; exit 5")
    assert ended.exit_code == 5, ended.said
    assert row(base)[1:5] == ("failed", 5, "CommandFailed", "exit code 5: a b")


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


# Each tree has all of it: sessions of their own, forked twice, deaf to SIGTERM, holders of the pipe, stopped ones.
TREE = """
import os, signal, subprocess, sys, time

def twice_forked(deaf):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            if deaf:
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
            time.sleep(600)
        os._exit(0)

deaf = "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(600)"
subprocess.Popen(["sleep", "600"])
subprocess.Popen(["sleep", "600"], start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
subprocess.Popen(["env", "-i", "sleep", "600"], start_new_session=True)
subprocess.Popen([sys.executable, "-c", deaf])
subprocess.Popen(["sh", "-c", "kill -STOP $$"])
twice_forked(False)
twice_forked(True)
if sys.argv[2:] == ["deaf"]:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
open(sys.argv[1] + ".ready", "w").close()
if sys.argv[2:] != ["ends"]:
    time.sleep(600)
"""


def in_tree(name: str, *words: str) -> tuple[str, ...]:
    return (name, "--", sys.executable, "-c", TREE, name, *words)


@pytest.mark.slow
def test_nothing_of_a_tree_survives_the_limit_or_the_commands_own_end(
    wrapper: Wrapper, ledger: Callable[[str], None]
) -> None:
    """A third of the trees hears SIGTERM, a third does not, a third ends and leaves everybody behind."""
    trees, limit_s, slowest_s = size(12, 100), 4, 0.0
    limit = ("--json", "--max-runtime", f"{limit_s}s")
    for first in range(0, trees, 4):
        numbers = range(first, min(first + 4, trees))
        kinds = {number: ("hears", "deaf", "ends")[number % 3] for number in numbers}
        started = {
            number: wrapper.start(*limit, *in_tree(f"tree{number}", kinds[number]), settings=SHORT)
            for number in numbers
        }
        for number, process in started.items():
            out, err = process.communicate(timeout=60)
            assert (wrapper.runner.directory / f"tree{number}.ready").exists(), err
            assert process.returncode == (0 if kinds[number] == "ends" else 124), err
            if kinds[number] != "ends":
                slowest_s = max(slowest_s, tree_ended_after_s(wrapper, json.loads(out)) - limit_s)
        assert below(wrapper.runner.directory) == []
    ledger(f"{trees} process trees at their limit or end, 0 survivors, each gone {slowest_s:.1f} s after its limit")


def tree_ended_after_s(wrapper: Wrapper, report: dict[str, Any]) -> float:
    lines = map(json.loads, wrapper.runner.log_file.read_text().splitlines())
    (ended,) = (each for each in lines if each["event"] == "attempt_stopped" and each["run_id"] == report["run_id"])
    began, gone = (datetime.fromisoformat(text) for text in (report["started_at"], ended["time"]))
    return (gone - began).total_seconds()


@pytest.mark.parametrize("who", ["supervisor", "worker"])
def test_whoever_of_us_is_killed_the_other_ends_the_tree(wrapper: Wrapper, base: Base, who: str) -> None:
    process = wrapper.start(*in_tree("x"))
    wait_for((wrapper.runner.directory / "x.ready").exists, 20)
    os.kill(process.pid if who == "supervisor" else worker_of(process), signal.SIGKILL)
    wait_for(lambda: below(wrapper.runner.directory) == [], 20)
    process.communicate(timeout=20)
    status = "interrupted" if who == "supervisor" else "failed"
    wait_for(lambda: row(base)[1] == status, 20)


def test_when_both_of_us_are_killed_the_command_goes_with_the_worker(wrapper: Wrapper) -> None:
    process = wrapper.start("x", "--", "sh", "-c", "touch ready; exec sleep 600")
    wait_for((wrapper.runner.directory / "ready").exists, 20)
    worker = worker_of(process)
    for pid in (process.pid, worker):
        os.kill(pid, signal.SIGSTOP)
    for pid in (process.pid, worker):
        os.kill(pid, signal.SIGKILL)
    process.communicate(timeout=20)
    wait_for(lambda: below(wrapper.runner.directory) == [], 20)
    assert process.returncode == -signal.SIGKILL


def test_an_embedded_server_that_the_run_started_outlives_the_run_however_it_ends(
    new_runner: NewRunner, base: Base
) -> None:
    with fresh_bench() as bench:
        wrapper = Wrapper(new_runner(""))
        embedded = {"JOBCTL_DATA_DIR": str(bench.data_dir), "JOBCTL_RUN_AS_USER": bench.user}
        process = wrapper.start("x", "--", "sh", "-c", "touch ready; sleep 600", settings=embedded)
        wait_for((wrapper.runner.directory / "ready").exists, 60)
        postmaster = bench.postmaster()
        os.kill(worker_of(process), signal.SIGKILL)
        process.communicate(timeout=30)
        assert process.returncode == 1
        assert bench.postmaster() == postmaster and Path(f"/proc/{postmaster}").exists()
        assert below(wrapper.runner.directory) == []


def test_a_command_that_cleans_up_at_its_limit_is_heard_to_the_end(wrapper: Wrapper, base: Base) -> None:
    script = "trap 'seq 1 100000; echo cleaned up; exit 0' TERM; while :; do sleep 0.1; done"
    ended = wrapper.run("--max-runtime", "3s", "x", "--", "sh", "-c", script, settings=SHORT)
    assert ended.exit_code == 124, ended.said
    assert row(base)[1] == "timeout" and row(base)[-1].endswith("99999\n100000\ncleaned up\n")


def test_what_a_command_leaves_behind_is_ended_and_the_report_says_so(wrapper: Wrapper, base: Base) -> None:
    ended = wrapper.run("x", "--", "sh", "-c", "sleep 600 & sleep 600 & echo done")
    assert ended.exit_code == 0, ended.said
    assert base.one("SELECT notes ->> 0 FROM ops.job_history") == "2 processes that the command had left behind: ended"
    assert below(wrapper.runner.directory) == []


def test_a_process_that_is_not_ours_to_end_is_told_of_and_not_waited_for(tmp_path: Path) -> None:
    home = give_to_ordinary_user(tmp_path)
    for directory in (home, *home.parents[:3]):
        if directory.stat().st_uid == os.geteuid():
            directory.chmod(directory.stat().st_mode | 0o111)
    foreign = home / "foreign"  # as sudo does it: another user in earnest, whom the first may not signal
    shutil.copy("/usr/bin/setpriv", foreign)
    foreign.chmod(0o4755)
    if not is_root() or os.statvfs(home).f_flag & os.ST_NOSUID:
        pytest.skip("only root can make a program that runs as somebody else")
    words = ("run", "--when-db-down=run", "--max-runtime", "3s", "x", "--", str(foreign), "--reuid", "0", "sleep", "60")
    ended = as_ordinary_user(
        [sys.executable, "-m", "jobctl", *words], home, PYTHONPATH=str(SOURCE), DATABASE_URL=DOWN,
        JOBCTL_DATA_DIR=str(home / "data"), JOBCTL_LOG_FILE=str(home / "log"), **SHORT,
    )  # fmt: skip
    left = below(home)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert ended.returncode == 124, ended.stderr
    assert len(left) == 1 and '"processes_not_ended"' in (home / "log").read_text()


def test_a_daemon_that_is_meant_to_live_may(wrapper: Wrapper) -> None:
    ended = wrapper.run("--leave-children", "x", "--", "sh", "-c", "sleep 600 & setsid sleep 600 &")
    left = below(wrapper.runner.directory)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert (ended.exit_code, len(left)) == (0, 2), ended.said


def test_secrets_do_not_reach_the_command_unless_they_are_asked_for(wrapper: Wrapper) -> None:
    wrapper.runner.settings["GITHUB_TOKEN"] = "ghp_canary0123456789canary0123456789canary"
    wrapper.run("x", "--", "sh", "-c", "env > env.txt")
    seen = (wrapper.runner.directory / "env.txt").read_text()
    assert "canary" not in seen and "DATABASE_URL" not in seen
    assert "JOBCTL_RUN_ID=" in seen
    wrapper.run("--keep-env", "GITHUB_TOKEN", "x", "--", "sh", "-c", "env > env.txt; echo $GITHUB_TOKEN")
    assert "canary" in (wrapper.runner.directory / "env.txt").read_text()


def test_a_command_that_calls_jobctl_itself_finds_settings_it_understands(wrapper: Wrapper) -> None:
    ended = wrapper.run("x", "--", sys.executable, "-m", "jobctl", "config", "check")
    assert ended.exit_code == 0, ended.said


def test_the_commands_own_options_are_not_taken_for_ours(wrapper: Wrapper) -> None:
    ended = wrapper.run("no/name", "--", "ls", "--json", "-v")
    assert (ended.exit_code, ended.stdout) == (2, b""), ended.said
    assert ended.stderr.count(b"\n") == 1


def test_each_name_has_its_own_file_for_prometheus(wrapper: Wrapper) -> None:
    wrapper.runner.settings["JOBCTL_TEXTFILE_DIR"] = str(wrapper.runner.directory)
    assert wrapper.run("good", "--", "true").exit_code == 0
    assert wrapper.run("bad", "--", "false").exit_code == 1
    told = {path.name: path.read_text() for path in wrapper.runner.directory.glob("*.prom")}
    assert sorted(told) == ["jobctl_run_bad.prom", "jobctl_run_good.prom"]
    assert 'jobctl_run_success{job_name="run",scope="bad"} 0' in told["jobctl_run_bad.prom"]


def test_dry_run_shows_the_command_and_does_not_run_it(wrapper: Wrapper, base: Base) -> None:
    ended = wrapper.run("--dry-run", "--json", "x", "--", "touch", "done")
    assert ended.exit_code == 0
    assert json.loads(ended.stdout)["scopes"][0]["notes"][0] == "would run: touch done"
    assert not (wrapper.runner.directory / "done").exists()
    assert base.one("SELECT count(*) FROM ops.job_history") == 0
