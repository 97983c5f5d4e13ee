"""Tasks of the type `command` as real processes: what they are given, how they end, and what is left of them."""

import json
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from bench_handlers import GaveBack, TryContext, a_task, settings_of
from bench_postgres import wait_for
from jobctl.jobs.work.command import FINAL, command
from jobctl.queue.handler import NotRecoverable, Recoverable

SECRET = "c4n4ry-c4n4ry"
Result = Mapping[str, Any] | None


class Bench:
    """Runs scripts as the command `x`. Each process of a run carries the bench's directory in its environment."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def context(self, script: str, more: str = "", *, timeout_s: float = 60.0, shell: bool = True) -> TryContext:
        path = self.directory / "script"
        path.write_text(script if script.startswith("#!") else f"#!/bin/sh\n{script}\n")
        path.chmod(0o700)
        toml = f'kill_grace_s = 4\n[queue.commands.x]\nargv = ["{path}", "one word", "$HOME; ls"]\n{more}'
        return TryContext(settings_of(self.directory, toml, GITHUB_TOKEN=SECRET), timeout_s)

    def run(self, script: str, more: str = "", payload: Mapping[str, Any] | None = None, **limits: Any) -> Result:
        return command(
            a_task("command", {"command": "x", **(payload or {})}, attempt=3), self.context(script, more, **limits)
        )

    def file(self, name: str) -> Path:
        return self.directory / name

    def left(self, task_id: int | None = None) -> list[int]:
        """Processes that were started by this bench, or by one task of it, and are not dead."""
        marks = {f"BENCH={self.directory}".encode()}
        if task_id is not None:
            marks.add(f"JOBCTL_TASK_ID={task_id}".encode())
        found: list[int] = []
        for each in Path("/proc").iterdir():
            if each.name.isdigit() and int(each.name) != os.getpid():
                with suppress(OSError):
                    if marks <= set((each / "environ").read_bytes().split(b"\0")):
                        found.append(int(each.name))
        return found


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setenv("BENCH", str(tmp_path))
    monkeypatch.setenv("GITHUB_TOKEN", SECRET)
    monkeypatch.setenv("JOBCTL_ENDPOINT_TOKENS", f"crm={SECRET}")
    monkeypatch.setenv("JOBCTL_SLOT", "2026-11-21T00:00:00Z")
    monkeypatch.delenv("JOBCTL_TEST_PG_BIN", raising=False)  # the tests' own
    return Bench(tmp_path)


# What it is given ----------------------------------------------------------------------------------------------------


def test_the_payload_comes_on_stdin_and_never_on_the_command_line(bench: Bench) -> None:
    payload = {"a": "$(id); `id` \n\0 ü", "argv": ["--evil"], "deep": {"x": [1, None]}}
    bench.run(f'cat > "{bench.file("in")}"; printf "%s|" "$@" > "{bench.file("words")}"', payload=payload)
    assert json.loads(bench.file("in").read_bytes()) == {"command": "x", **payload}
    assert bench.file("words").read_text() == "one word|$HOME; ls|"


def test_task_and_try_are_in_the_environment_and_our_secrets_are_not(bench: Bench) -> None:
    bench.run(f'env > "{bench.file("env")}"; env > "{bench.file("env")}"')
    parts = (line.partition("=") for line in bench.file("env").read_text().splitlines())
    found = {name: value for name, _, value in parts}
    assert {name: found.get(name) for name in found if name.startswith("JOBCTL_")} == {
        "JOBCTL_TASK_ID": "7",
        "JOBCTL_TASK_TYPE": "command",
        "JOBCTL_TASK_ATTEMPT": "3",
        "JOBCTL_TASK_USER": "user-1",
    }
    assert SECRET not in bench.file("env").read_text()
    assert found["PATH"] == os.environ["PATH"]


def test_a_secret_that_its_settings_name_is_given(bench: Bench) -> None:
    bench.run(f'env > "{bench.file("env")}"', 'environment = ["GITHUB_TOKEN"]')
    assert f"GITHUB_TOKEN={SECRET}\n" in bench.file("env").read_text()
    assert "JOBCTL_ENDPOINT_TOKENS" not in bench.file("env").read_text()


def test_a_command_that_does_not_read_a_large_payload_is_none_the_worse(bench: Bench) -> None:
    assert bench.run("echo fine", payload={"x": "y" * 1_000_000}) == {"output": "fine\n"}


def test_a_command_that_reads_a_large_payload_while_it_prints_gets_all_of_it(bench: Bench) -> None:
    result = bench.run("cat", payload={"x": "y" * 1_000_000, "n": 1})
    assert result is not None and "bytes cut" in result["output"]


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        ({}, "names no command"),
        ({"command": ["/bin/sh"]}, "names no command"),
        ({"command": "/bin/sh"}, "'/bin/sh', which the settings do not have"),
        ({"command": "y"}, "'y', which the settings do not have: write"),
        ({"command": "x\r\n"}, "which the settings do not have"),
    ],
)
def test_only_what_the_settings_list_is_started(bench: Bench, payload: Mapping[str, Any], said: str) -> None:
    context = bench.context(f'touch "{bench.file("ran")}"')
    with pytest.raises(NotRecoverable, match=said):
        command(a_task("command", payload), context)
    assert not bench.file("ran").exists()


# How its end is read -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("printed", "result"),
    [
        ("", {"output": ""}),
        ("one\ntwo", {"output": "one\ntwo\n"}),
        ('chatter\n{"rows": 3}', {"rows": 3}),
        ('{"rows": 3}\nchatter', {"output": '{"rows": 3}\nchatter\n'}),
        ("[1, 2]", {"output": "[1, 2]\n"}),
        ('{"rows": NaN}', {"rows": "nan"}),
        ('{"broken": ', {"output": '{"broken": \n'}),
    ],
)
def test_the_last_line_is_the_result_if_it_is_an_object_and_else_the_end_of_what_was_printed(
    bench: Bench, printed: str, result: Result
) -> None:
    bench.file("out").write_text(printed + "\n" * bool(printed))
    assert bench.run(f'cat "{bench.file("out")}"; echo noise >&2') == result


@pytest.mark.parametrize("code", [1, 2, 3, 69, 70, 74, 75, 76, 100, 255])
def test_an_exit_code_that_may_pass_is_tried_again(bench: Bench, code: int) -> None:
    with pytest.raises(Recoverable, match=f"^command x: exit code {code}: it broke$"):
        bench.run(f"echo done; echo it broke >&2; exit {code}")


@pytest.mark.parametrize("code", sorted(FINAL))
def test_an_exit_code_that_says_so_is_final(bench: Bench, code: int) -> None:
    with pytest.raises(NotRecoverable, match=f"^command x: exit code {code}: half$"):
        bench.run(f"printf 'full\\n\\033[1mhalf\\n'; exit {code}")


def test_a_signal_that_ends_it_is_tried_again(bench: Bench) -> None:
    with pytest.raises(Recoverable, match="command x: ended by SIGSEGV"):
        bench.run("kill -SEGV $$")


def test_what_cannot_be_started_is_final_and_named(bench: Bench) -> None:
    toml = '[queue.commands.x]\nargv = ["{}"]'
    for path, said in (("/nonexistent/x", "No such file"), ("/etc/hostname", "Permission denied|Exec format")):
        with pytest.raises(NotRecoverable, match=f"{path} cannot be started: ({said})"):
            command(a_task("command", {"command": "x"}), TryContext(settings_of(bench.directory, toml.format(path))))
    with pytest.raises(NotRecoverable, match="No such file"):
        bench.run("#!/nonexistent/interpreter\n")


def test_no_secret_is_in_result_or_error(bench: Bench) -> None:
    line = f"token {SECRET} password=p4ss-c4n4ry"
    told = [
        repr(bench.run(f"echo '{line}'")),
        repr(bench.run(f"""echo '{{"password": "{SECRET}", "x": "{SECRET}"}}'""")),
    ]
    for code in (1, 64):
        with pytest.raises((Recoverable, NotRecoverable)) as raised:
            bench.run(f"echo '{line}' >&2; exit {code}")
        told.append(repr(raised.value))
    for text in told:
        assert "c4n4ry" not in text and "***" in text


@pytest.mark.parametrize("printed", ["yes", "yes '\0' | tr y '\\0'", """printf '{"x": "%s"}' "$(seq 20000)" """])
def test_what_is_printed_without_end_is_bounded(bench: Bench, printed: str) -> None:
    result = bench.run(f"{printed} | head -c 3000000")
    assert result is not None and 1_000 < len(json.dumps(result)) <= 40_000


# How it is ended -----------------------------------------------------------------------------------------------------

STUBBORN = """#!{python}
import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
for _ in range(3):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
            time.sleep(600)
        os._exit(0)
open("{started}", "w").close()
time.sleep(600)
"""


def stubborn(bench: Bench) -> str:
    """A tree that ignores SIGTERM, of which most have left the session and lost their parents."""
    return STUBBORN.format(python=sys.executable, started=bench.file("started"))


def in_thread(work: Callable[[], object]) -> "tuple[threading.Thread, list[object]]":
    """Handlers run in threads. What it gave or raised comes into the list."""
    ended: list[object] = []

    def run() -> None:
        try:
            ended.append(work())
        except Exception as error:  # noqa: BLE001 - it is what the test looks at
            ended.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, ended


def in_fork(context: TryContext) -> int:
    """A worker of its own, which can be killed; its pid."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the threads of the test's runner stay behind
        pid = os.fork()
    if pid == 0:
        with suppress(BaseException):
            command(a_task("command", {"command": "x"}), context)
        os._exit(0)
    return pid


def test_its_own_timeout_ends_the_whole_tree_and_it_is_tried_again(bench: Bench) -> None:
    with pytest.raises(TimeoutError, match="command x: ended at its timeout of 1s"):
        bench.run(stubborn(bench), "timeout_s = 1")
    assert bench.file("started").exists()
    assert bench.left() == []


def test_before_the_end_of_the_try_the_whole_tree_is_gone(bench: Bench) -> None:
    """The next try, on whatever host, meets nothing of this one."""
    context = bench.context(stubborn(bench), timeout_s=5)
    with pytest.raises(TimeoutError, match="ended at its type's timeout of 5m"):
        command(a_task("command", {"command": "x"}), context)
    assert bench.file("started").exists()
    assert bench.left() == []
    assert context.seconds_left() > 0


def test_the_end_of_the_run_ends_the_whole_tree(bench: Bench) -> None:
    context = bench.context(stubborn(bench), timeout_s=3_600)
    thread, ended = in_thread(lambda: command(a_task("command", {"command": "x"}), context))
    wait_for(bench.file("started").exists)
    wait_for(lambda: len(bench.left()) == 5)  # warden, command, three that left
    context.stop.set()
    thread.join()
    assert isinstance(ended[0], GaveBack)
    assert bench.left() == []


def test_a_command_that_heeds_sigterm_may_clean_up(bench: Bench) -> None:
    script = f"trap 'echo gone > \"{bench.file('clean')}\"; exit 0' TERM; while :; do sleep 0.05; done"
    with pytest.raises(TimeoutError, match="timeout"):
        bench.run(script, "timeout_s = 0.5")
    assert bench.file("clean").read_text() == "gone\n"


def test_a_command_that_is_stopped_may_clean_up_too(bench: Bench) -> None:
    script = f"trap 'echo gone > \"{bench.file('clean')}\"; exit 0' TERM; kill -STOP $$; sleep 600"
    with pytest.raises(TimeoutError, match="timeout"):
        bench.run(script, "timeout_s = 1")
    assert bench.file("clean").read_text() == "gone\n"
    assert bench.left() == []


def test_what_it_leaves_behind_is_ended_and_told_and_the_result_stands(bench: Bench) -> None:
    context = bench.context("setsid sleep 600 & setsid sh -c 'sleep 600 & :' ; echo done")
    assert command(a_task("command", {"command": "x"}), context) == {"output": "done\n"}
    ((event, fields),) = context.events
    assert event == "command_left_processes" and fields["left_behind"] in (1, 2) and fields["not_ended"] == 0
    assert bench.left() == []


def test_two_at_once_end_apart(bench: Bench) -> None:
    """What comes of one command is told from what comes of the other, though both leave orphans below one worker."""
    tasks = {
        number: bench.context("sh -c 'setsid sleep 600 &'; touch \"$BENCH/up.$JOBCTL_TASK_ID\"; sleep 600")
        for number in (1, 2)
    }
    threads = {
        number: in_thread(partial(command, a_task("command", {"command": "x"}, task_id=number), context))[0]
        for number, context in tasks.items()
    }
    wait_for(lambda: all(bench.file(f"up.{number}").exists() and len(bench.left(number)) == 4 for number in tasks))
    second = bench.left(2)
    tasks[1].stop.set()
    threads[1].join()
    assert (bench.left(1), bench.left(2)) == ([], second)
    tasks[2].stop.set()
    threads[2].join()
    assert bench.left() == []


def test_a_worker_that_is_killed_takes_its_commands_with_it(bench: Bench) -> None:
    """Also while it cannot do anything about it: the warden sees the end of the pipe."""
    context = bench.context(stubborn(bench))
    pid = in_fork(context)
    wait_for(bench.file("started").exists)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    wait_for(lambda: bench.left() == [])


def test_a_frozen_worker_does_not_keep_its_command_beyond_its_timeout(bench: Bench) -> None:
    context = bench.context(stubborn(bench), "timeout_s = 2")
    pid = in_fork(context)
    wait_for(bench.file("started").exists)
    os.kill(pid, signal.SIGSTOP)
    wait_for(lambda: bench.left() == [])
    os.kill(pid, signal.SIGKILL)
    os.kill(pid, signal.SIGCONT)
    os.waitpid(pid, 0)


def test_a_warden_that_is_killed_takes_its_command_along_and_it_is_tried_again(bench: Bench) -> None:
    context = bench.context('echo $PPID > "$BENCH/warden"; sleep 600 & sleep 600')
    thread, ended = in_thread(lambda: command(a_task("command", {"command": "x"}), context))
    wait_for(lambda: bench.file("warden").exists() and bench.file("warden").read_text().endswith("\n"))
    os.kill(int(bench.file("warden").read_text()), signal.SIGKILL)
    thread.join()
    assert isinstance(ended[0], Recoverable) and "killed from outside" in str(ended[0])
    wait_for(lambda: bench.left() == [])


def test_nothing_is_left_open(bench: Bench) -> None:
    bench.run("echo 1")
    before = len(list(Path("/proc/self/fd").iterdir()))
    for script in ("echo 1", "exit 3", "sleep 600", "#!/nonexistent\n"):
        with suppress(Recoverable, NotRecoverable, TimeoutError):
            bench.run(script, "timeout_s = 0.3")
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_pipe_that_a_stranger_holds_is_not_waited_for(bench: Bench) -> None:
    """A descriptor of the command's stdout that got into a process which is none of its tree."""
    context = bench.context('echo $$ > "$BENCH/pid"; echo done; while ! [ -e "$BENCH/held" ]; do sleep 0.05; done')
    thread, ended = in_thread(lambda: command(a_task("command", {"command": "x"}), context))
    wait_for(lambda: bench.file("pid").exists() and bench.file("pid").read_text().endswith("\n"))
    held = os.open(f"/proc/{bench.file('pid').read_text().strip()}/fd/1", os.O_WRONLY)
    bench.file("held").touch()
    thread.join(30)
    os.close(held)
    thread.join()
    assert ended == [{"output": "done\n"}]
