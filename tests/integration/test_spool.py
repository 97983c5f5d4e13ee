"""Runs that are kept on disk survive the death of whoever writes them, at any moment, whole or not at all."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from uuid import uuid4

import psycopg

from bench_runs import SOURCE
from jobctl import clock
from jobctl.runtime import history, spool
from jobctl.runtime.identity import Identity
from jobctl.runtime.outcome import COMPLETED, FAILED, ErrorReport, ScopeReport

WRITER = """
import sys
from pathlib import Path
from uuid import uuid4
from jobctl import clock
from jobctl.runtime import spool
from jobctl.runtime.identity import Identity
from jobctl.runtime.outcome import COMPLETED, ScopeReport

while True:
    identity = Identity(uuid4(), "run", "c", "h", "u", 1, "0", "jobctl run")
    now = clock.utc_now()
    path = spool.keep(Path(sys.argv[1]), identity, [ScopeReport("x", COMPLETED, now, now, 5, output="x" * 20_000)])
    print(path.name, flush=True)
"""


def identity() -> Identity:
    return Identity(uuid4(), "run", "c", "host", "user", 1, "0.1", "jobctl run", clock.utc_now())


def test_a_writer_killed_at_any_moment_leaves_whole_files_and_all_that_it_told_of(
    tmp_path: Path, conn: psycopg.Connection
) -> None:
    directory, told = tmp_path / "spool", list[str]()
    for _ in range(8):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(directory)],
            env={**os.environ, "PYTHONPATH": str(SOURCE)},
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        told.append(process.stdout.readline().strip())
        time.sleep(random.uniform(0, 0.05))
        process.send_signal(signal.SIGKILL)
        rest, _ = process.communicate()
        told += rest.splitlines()
    there = {path.name for path in directory.glob("*.json")}
    assert set(told) <= there
    for path in directory.glob("*.json"):
        json.loads(path.read_text())
    assert spool.replay(conn, directory, lambda *_, **__: None) == len(there)
    row = conn.execute("SELECT count(*) FROM ops.job_history WHERE replayed_at IS NOT NULL").fetchone()
    assert row == (len(there),)


def test_what_was_kept_comes_back_as_it_was(tmp_path: Path, conn: psycopg.Connection) -> None:
    who, now = identity(), clock.utc_now()
    error = ErrorReport("CommandFailed", "exit code 7: x", "look", 7)
    report = ScopeReport(
        "x", FAILED, now, now, 1_234, {"attempts": 2}, {"m": 0.5}, ("a note",), error=error, evidence={"a": 1},
        peak_memory_bytes=99, output="said ü\n",
    )  # fmt: skip
    assert spool.keep(tmp_path, who, [report]) is not None
    told: list[ScopeReport] = []

    def alert(_: psycopg.Connection, scope: ScopeReport, **__: object) -> None:
        told.append(scope)

    assert spool.replay(conn, tmp_path, alert) == 1
    row = conn.execute(
        "SELECT run_id, job, scope, status, exit_code, started_at, finished_at, duration_ms, counts, metrics, notes,"
        " error_class, error_message, error_hint, evidence, peak_memory_bytes, output, slot_at, host"
        " FROM ops.job_history"
    ).fetchone()
    assert row == (
        who.run_id, "run", "x", "failed", 7, now, now, 1_234, {"attempts": 2}, {"m": 0.5}, ["a note"],
        "CommandFailed", "exit code 7: x", "look", {"a": 1}, 99, "said ü\n", who.slot_at, "host",
    )  # fmt: skip
    assert [scope.exit_code for scope in told] == [7]


def test_a_second_replay_of_the_same_file_changes_nothing_and_tells_nobody(
    tmp_path: Path, conn: psycopg.Connection
) -> None:
    who, now = identity(), clock.utc_now()
    path = spool.keep(tmp_path, who, [ScopeReport("x", COMPLETED, now, now, 5)])
    assert path is not None
    text, told = path.read_text(), list[object]()
    for _ in range(2):  # as after a death between commit and removal
        path.write_text(text)
        spool.replay(conn, tmp_path, lambda *given, **_: told.append(given))
    assert len(told) == 1
    assert history.status_of(conn, who.run_id, "x") == "completed"


def test_a_row_that_tells_of_a_real_end_is_never_overwritten(tmp_path: Path, conn: psycopg.Connection) -> None:
    who, now = identity(), clock.utc_now()
    history.record(conn, who, ScopeReport("x", COMPLETED, now, now, 5), worker_pid=1)
    late = ErrorReport("DatabaseUnavailable", "away", "", 75)
    spool.keep(tmp_path, who, [ScopeReport("x", FAILED, now, now, 5, error=late)])
    spool.replay(conn, tmp_path, lambda *_, **__: None)
    assert history.status_of(conn, who.run_id, "x") == "completed"


def test_what_a_death_while_writing_left_is_removed_in_time(tmp_path: Path) -> None:
    old, young = tmp_path / ".new-old", tmp_path / ".new-young"
    for path in (old, young):
        path.write_text("{")
    os.utime(old, (0, 0))
    now = clock.utc_now()
    spool.keep(tmp_path, identity(), [ScopeReport("x", COMPLETED, now, now, 5)])
    assert (old.exists(), young.exists()) == (False, True)
