"""`--scheduled` as cron starts it. `crontab -l` is answered by a program that prints a file; real cron is elsewhere."""

import os
import sys
from pathlib import Path

import pytest

from bench_runs import Base, NewRunner, Runner

LINE = f"* * * * * {sys.executable} -m jobctl ingest-branch --scheduled"
EVERY_HOUR = LINE.replace("* * * * *", "0 * * * *", 1)


def with_crontab(runner: Runner, text: str) -> None:
    programs = runner.directory / "bin"
    programs.mkdir(exist_ok=True)
    (runner.directory / "crontab.txt").write_text(text)
    program = programs / "crontab"
    program.write_text(f"#!/bin/sh\ncat '{runner.directory / 'crontab.txt'}'\n")
    program.chmod(0o755)
    runner.settings["PATH"] = f"{programs}:{os.environ['PATH']}"


@pytest.fixture
def runner(new_runner: NewRunner, base: Base) -> Runner:
    made = new_runner(base.url)
    with_crontab(made, EVERY_HOUR + "\n")
    return made


def slots(base: Base) -> list[tuple[str, ...]]:
    return base.all("SELECT job, scope, verdict FROM ops.slots ORDER BY slot_at")


def test_a_second_start_for_the_same_slot_does_nothing_and_says_whose_it_was(base: Base, runner: Runner) -> None:
    first = runner.succeed("--scheduled", "--json")
    second = runner.succeed("--scheduled")
    assert (second.stdout, second.stderr) == (b"", b""), second.said
    assert b'"slot_at": "20' in first.stdout
    assert [row[2] for row in slots(base)] in (["ran"], ["late"])
    notes = base.one("SELECT notes ->> 0 FROM ops.job_history WHERE status = 'skipped' AND scope = ''")
    run_id = base.one("SELECT run_id::text FROM ops.slots")
    assert "was answered by run " + run_id in notes


def test_a_start_by_hand_and_a_dry_run_take_no_slot(base: Base, runner: Runner) -> None:
    runner.succeed()
    runner.succeed("--scheduled", "--dry-run")
    assert slots(base) == []
    assert base.one("SELECT count(*) FROM ops.schedules") == 0


def test_a_scheduled_start_writes_down_what_its_crontab_has(base: Base, runner: Runner) -> None:
    runner.succeed("--scheduled")
    rows = base.all("SELECT job, scope, expression, removed_at IS NULL FROM ops.schedules")
    assert rows == [("ingest-branch", "", "0 * * * *", True)]


def test_a_scheduled_start_without_a_line_runs_and_the_log_says_so(base: Base, runner: Runner) -> None:
    with_crontab(runner, "# nothing\n")
    runner.succeed("--scheduled")
    assert slots(base) == []
    assert "line_not_found" in runner.log_file.read_text()


def test_a_paused_job_is_skipped_with_exit_0_until_it_is_resumed(base: Base, runner: Runner) -> None:
    def command(*words: str) -> None:
        import subprocess

        done = subprocess.run(
            [sys.executable, "-m", "jobctl", *words], env=runner.environment(), capture_output=True, check=False
        )
        assert done.returncode == 0, done

    command("pause", "ingest-branch", "--until", "2h", "--reason", "moving the database")
    ended = runner.succeed("--scheduled")
    assert (ended.stdout, ended.stderr) == (b"", b"")
    assert [row[2] for row in slots(base)] == ["paused"]
    assert "moving the database" in base.one("SELECT notes ->> 0 FROM ops.job_history WHERE status = 'skipped'")
    command("resume", "ingest-branch")
    runner.succeed("--scheduled")
    assert [row[2] for row in slots(base)] == ["late"]


def test_missed_slots_are_found_and_the_latest_is_caught_up_by_the_lines_own_command(
    base: Base, runner: Runner, tmp_path: Path
) -> None:
    # The line of `sync` stands in for any other job: what it starts is the command of its line, whatever that is.
    done = tmp_path / "done"
    other = f"*/10 * * * * printenv JOBCTL_SLOT >> {done}; exit 0; jobctl sync --scheduled"
    with_crontab(runner, f"{EVERY_HOUR}\n{other}\n")
    runner.succeed("--scheduled")
    base.conn.execute(
        "UPDATE ops.schedules SET installed_at = now() - interval '1 hour', evaluated_until = now() - interval '1 hour'"
        " WHERE job = 'sync'"
    )
    base.conn.execute("DELETE FROM ops.slots WHERE job = 'ingest-branch'")
    runner.succeed("--scheduled")
    missed = base.all("SELECT slot_at FROM ops.slots WHERE job = 'sync' AND verdict = 'missed' ORDER BY slot_at DESC")
    assert len(missed) in (5, 6)
    assert done.read_text().split() == [missed[0][0].isoformat()]
    assert "slot_missed" in runner.log_file.read_text()
