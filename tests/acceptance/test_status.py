"""`jobctl status` and its like as a person, a monitor outside or a program runs them."""

import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from bench_history import make_event, make_run
from bench_postgres import wait_for
from bench_runs import SHORT_LIMITS, Base, Ended, NewRunner, Runner, Started
from bench_source import Source
from bench_wrapped import DOWN
from jobctl.monitor.runs import running
from jobctl.schedule import registry
from jobctl.schedule.registry import Line

SLEEP = ("--", "sleep", "90")


def told(ended: Ended, code: int = 0) -> dict[str, Any]:
    assert ended.exit_code == code, ended.said
    assert ended.stderr == b"" and ended.stdout.count(b"\n") == 1
    found: dict[str, Any] = json.loads(ended.stdout)
    return found


def asked(runner: Runner, *words: str, **settings: str) -> Ended:
    runner.job = words[0]
    url = settings.pop("url", None)
    return ended_of(runner, words[1:], url, settings)


def ended_of(runner: Runner, words: tuple[str, ...], url: str | None, settings: dict[str, str]) -> Ended:
    """Not by `run`, which adds what only jobs take."""
    environment = runner.environment() | settings | ({"DATABASE_URL": url} if url else {})
    done = subprocess.run(
        [sys.executable, "-m", "jobctl", runner.job, *words],
        env=environment, cwd=runner.directory, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=60,
    )  # fmt: skip
    return Ended(done.returncode, done.stdout, done.stderr)


def wrapped(runner: Runner, name: str) -> Started:
    runner.job = "run"
    return runner.start(name, *SLEEP)


def states(conn: psycopg.Connection) -> dict[str, str]:
    return {each.scope: each.state for each in running.unfinished(conn)}


def test_killed_frozen_skipped_missed_degraded_and_running_runs_are_told_apart_at_once(
    base: Base, new_runner: NewRunner
) -> None:
    runner = new_runner(base.url, **SHORT_LIMITS | {"JOBCTL_DEGRADED_REJECT_SHARE": "0"})
    Source([base.conn], count=20).create()
    runner.job = "ingest-branch"
    assert runner.run().exit_code == 3
    steady, icy, gone = (wrapped(runner, name) for name in ("steady", "icy", "gone"))
    wait_for(lambda: states(base.conn) == dict.fromkeys(("steady", "icy", "gone"), "running"), 60)
    runner.job = "run"
    assert runner.run("steady", *SLEEP).exit_code == 0  # skipped behind the one that runs
    now = datetime.now(UTC)
    line = Line("crontab", "sync", "", "* * * * *", "UTC", "jobctl sync", 120, "latest", 24)
    registry.register(base.conn, "vm9", "ops", [line], now=now - timedelta(hours=1))
    icy.signal(signal.SIGSTOP)
    wait_for(lambda: states(base.conn)["icy"] == "frozen", 60)

    gone.signal(signal.SIGKILL)
    wait_for(lambda: states(base.conn)["gone"] == "dead", 5)  # as soon as the server has heard of it: milliseconds
    found = told(asked(runner, "status", "--json"))

    assert {(each["job"], each["scope"]): each["state"] for each in found["jobs"]} == {
        ("ingest-branch", "places"): "degraded",
        ("run", "gone"): "dead",
        ("run", "icy"): "frozen",
        ("run", "steady"): "running",
        ("sync", ""): "missed",
    }
    assert {each["scope"]: each["state"] for each in found["running"]} == states(base.conn)
    last = {each["scope"]: each["last_run"] for each in found["jobs"]}
    assert (last["steady"]["state"], last["gone"]["state"]) == ("skipped", "dead")
    assert [(each["job"], each["host"], each["is_judged"]) for each in found["missed"]] == [("sync", "vm9", False)]
    assert found["health"]["status"] == "warning"
    assert {each["code"] for each in found["health"]["reasons"]} == {"dead", "frozen", "missed", "incident"}
    assert base.one("SELECT status FROM ops.job_history WHERE scope = 'gone'") == "running"  # nothing was written
    screen = asked(runner, "status", "--fail-on", "warning")
    assert screen.exit_code == 1
    for words in (b"run gone is dead", b"run icy is frozen", b"sync missed", b"degraded", b"steady"):
        assert words in screen.stdout
    assert b"\x1b" not in screen.stdout
    assert steady.is_alive


def test_names_that_a_terminal_would_obey_are_shown_on_the_screen(base: Base, runner: Runner) -> None:
    now = datetime.now(UTC)
    for scope in ("a", "b"):
        make_run(base.conn, now - timedelta(minutes=1), job="\x1b[31mjob", scope=f"\x9b1m{scope}")
    base.conn.execute("INSERT INTO queue.tasks (type, payload) VALUES (%s, '{}')", ("\x1b[31mtype",))
    for words in (("status",), ("status", "--all"), ("stats",), ("runs", "list")):
        said = asked(runner, *words).stdout.decode()
        assert r"\x1b[31m" in said and all(letter.isprintable() or letter == "\n" for letter in said), words


def test_while_the_database_is_away_it_says_so_and_tells_what_this_host_knows(runner: Runner) -> None:
    runner.job = "run"
    assert runner.run("backup", *SLEEP, url=DOWN).exit_code == 75
    found = told(asked(runner, "status", "--json", url=DOWN), code=75)
    assert found["health"]["status"] == "unknown"
    assert found["error"]["class"] == "DatabaseUnavailable"
    assert found["kept_here"]["runs"] == 1
    screen = asked(runner, "status", url=DOWN)
    assert screen.exit_code == 75
    assert screen.stderr.startswith(b"jobctl: PostgreSQL cannot be reached") and screen.stderr.count(b"\n") == 1
    assert b"1 runs wait here" in screen.stdout


def test_figures_promises_and_events_for_a_person_and_a_program(base: Base, runner: Runner) -> None:
    now = datetime.now(UTC)
    for hours_ago, status in ((3, "completed"), (2, "failed"), (1, "completed")):
        make_run(base.conn, now - timedelta(hours=hours_ago), status=status, took_s=400, counts={"projects": 1_000})
    first, second = (make_event(base.conn, now, level=level, event="page_lost") for level in ("warning", "error"))
    make_event(base.conn, now)
    found = told(asked(runner, "stats", "--json"))
    assert found["statistics"]["sync"]["successRate"] == pytest.approx(2 / 3)
    assert found["summary"]["recentFailures"] == 1
    for words in (("stats",), ("stats", "--by", "day"), ("stats", "--by", "type")):
        screen = asked(runner, *words)
        assert (screen.exit_code, screen.stderr) == (0, b""), screen.said
        assert max(map(len, screen.stdout.decode().splitlines())) <= 80
        assert b"3 runs since" in screen.stdout and b"2 runs took longer than 5m" in screen.stdout
    assert {each["name"] for each in told(asked(runner, "slo", "--json"))["items"] if each["state"] == "missed"} == {
        "success", "duration",
    }  # fmt: skip
    screen = asked(runner, "slo", "--fail")
    assert screen.exit_code == 1 and b"missed" in screen.stdout
    page = told(asked(runner, "events", "--level", "warning", "--limit", "1", "--json"))
    assert ([each["event_id"] for each in page["items"]], page["next"]) == ([second], second)
    page = told(asked(runner, "events", "--level", "warning", "--cursor", str(second), "--json"))
    assert ([each["event_id"] for each in page["items"]], page["next"]) == ([first], None)
    screen = asked(runner, "events", "--limit", "2")
    assert b"page_lost" in screen.stdout and screen.stderr == b"More: add --cursor %d\n" % second


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("status", "--watch"), b"--watch needs a terminal"),
        (("status", "--fail-on", "bad"), b"is no health"),
        (("stats", "--by", "colour"), b"one of job, type, day"),
        (("events", "--level", "loud"), b"one of debug, info, warning, error"),
        (("events", "--run", "77"), b"there is no run '77'"),
        (("events", "--since", "0001-01-01T00:00:00+14:00"), b"is no time of ours"),
        (("events", "--job", os.fsdecode(b"\xff")), b"is no text"),
    ],
)
def test_what_cannot_be_is_refused_with_the_way_out(runner: Runner, words: tuple[str, ...], said: bytes) -> None:
    ended = asked(runner, *words)
    assert (ended.exit_code, ended.stdout) == (2, b"")
    assert said in ended.stderr


def test_watch_is_live_until_somebody_has_seen_enough(base: Base, runner: Runner) -> None:
    master, slave = pty.openpty()
    environment = runner.environment() | {"TERM": "xterm", "COLUMNS": "80", "LINES": "24"}
    process = subprocess.Popen(
        [sys.executable, "-m", "jobctl", "status", "--watch", "--every", "1s"],
        env=environment, cwd=runner.directory, stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
    )  # fmt: skip
    os.close(slave)
    seen = b""

    def read_until(words: bytes) -> None:
        nonlocal seen
        deadline = time.monotonic() + 60
        while words not in seen:
            assert time.monotonic() < deadline, seen
            if select.select([master], [], [], 1)[0]:
                seen += os.read(master, 1 << 16)

    try:
        read_until(b"Nothing has run yet")
        base.conn.execute(
            "INSERT INTO ops.incidents (cause, severity, title, opened_at, last_seen_at, realert_every_s)"
            " VALUES ('c', 'critical', 'the house is on fire', now(), now(), 60)"
        )
        read_until(b"the house is on fire")
        process.send_signal(signal.SIGINT)
        read_until(b"\x1b[?1049l")  # the terminal has its screen back
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait(10)
        os.close(master)
