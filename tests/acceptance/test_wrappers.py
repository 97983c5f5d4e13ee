"""The wrappers in scripts/: in an emptied environment, at a path with spaces, and under the shipped logrotate file."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.main import get_command

from bench_logrotate import LOGROTATE, Logrotate, texts_of
from bench_postgres import wait_for
from bench_runs import Base
from jobctl.cli.app import app
from jobctl.cli.command_shapes import shapes_below
from jobctl.schedule.plan import PLAN
from jobctl.settings import WELL_KNOWN

PROJECT = Path(__file__).parents[2]
SHELL = "/bin/sh"
SAYS_ALL = 'printf "%s|" "$@"; echo; pwd; env | sort; echo "and on stderr" >&2; exit 3'
JOBCTL = f'exec {shlex.quote(sys.executable)} -m jobctl "$@"'


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """What a clone has of it, at a path with spaces."""
    place = tmp_path / "a  place"
    shutil.copytree(PROJECT / "scripts", place / "scripts")
    (place / ".venv/bin").mkdir(parents=True)
    return place


def install(place: Path, body: str) -> None:
    program = place / ".venv/bin/jobctl"
    program.write_text(f"#!{SHELL}\n{body}\n")
    program.chmod(0o755)


def env_file(directory: Path, text: str) -> Path:
    path = directory / "the env file"
    path.write_text(text)
    path.chmod(0o600)
    return path


def run(place: Path, *words: str, **environment: str) -> "subprocess.CompletedProcess[bytes]":
    """Whatever is said to either stream was to go to the log."""
    done = subprocess.run(
        [place / "scripts/ingest-branch.sh", *words], env=environment, capture_output=True, check=False, cwd="/"
    )
    assert (done.stdout, done.stderr) == (b"", b""), done
    return done


def test_there_is_a_wrapper_for_each_job_that_is_there() -> None:
    there = shapes_below(get_command(app))
    wanted = {f"{entry.job}.sh" for entry in PLAN if entry.job in there}
    assert {path.name for path in (PROJECT / "scripts").glob("*.sh")} == {*wanted, "job.sh", "lib.sh"}
    for name in wanted:
        assert f'/job.sh" {name.removesuffix(".sh")} "$@"' in (PROJECT / "scripts" / name).read_text()


def test_words_streams_directory_and_exit_code_are_the_jobs_own(place: Path, tmp_path: Path) -> None:
    install(place, SAYS_ALL)
    log = tmp_path / "a log"
    for _ in range(2):
        assert run(place, "--branch", "a b", "", JOB_LOG=str(log)).returncode == 3
    said = log.read_text().splitlines()
    assert said[0] == "ingest-branch|--branch|a b||"
    assert said[1] == str(place.resolve())
    assert said.count("and on stderr") == 2
    assert log.stat().st_mode & 0o777 == 0o600


def test_what_is_no_setting_is_taken_from_the_env_file_to_the_letter_and_settings_are_left_to_jobctl(
    place: Path, tmp_path: Path
) -> None:
    install(place, SAYS_ALL)
    path = env_file(
        tmp_path,
        "# HTTPS_PROXY=http://comment\n"
        "HTTPS_PROXY=http://user:pa$HOME`id`@proxy\n"
        "export PGSSLROOTCERT='/a path/root.crt'\n"
        'QUOTED="$(touch here)"\n'
        "HELD=of the file\n"
        "DATABASE_URL=postgresql://u:pa$$word@h/d\nJOBCTL_LEASE_S=60\n"
        "no assignment\n1=2\nA B=c\n"
        "LAST=without an end",
    )
    log = tmp_path / "log"
    run(place, JOB_LOG=str(log), JOBCTL_ENV_FILE=str(path), HELD="of the environment")
    said = dict(line.split("=", 1) for line in log.read_text().splitlines() if "=" in line)
    assert {name: value for name, value in said.items() if name not in ("PWD", "OLDPWD", "PATH", "_", "SHLVL")} == {
        "HTTPS_PROXY": "http://user:pa$HOME`id`@proxy",
        "PGSSLROOTCERT": "/a path/root.crt",
        "QUOTED": "$(touch here)",
        "HELD": "of the environment",
        "LAST": "without an end",
        "JOBCTL_ENV_FILE": str(path),
        "JOB_LOG": str(log),
    }


def test_the_names_that_are_left_to_jobctl_are_those_of_its_settings() -> None:
    text = (PROJECT / "scripts/job.sh").read_text()
    named = {name for line in re.findall(r"^ +([A-Z_*| ]+)\) ;;$", text, re.MULTILINE) for name in line.split(" | ")}
    assert named == {"JOBCTL_*", *(name.upper() for name in WELL_KNOWN)}


def test_an_env_file_that_is_named_and_not_there_fails_the_job(place: Path, tmp_path: Path) -> None:
    install(place, JOBCTL)
    log = tmp_path / "log"
    assert run(place, JOB_LOG=str(log), JOBCTL_ENV_FILE="/nonexistent/env").returncode == 78
    assert "/nonexistent/env does not exist" in log.read_text()


@pytest.mark.skipif(Path("/var/log/jobctl").exists(), reason="not on this platform: /var/log/jobctl is in use here")
def test_without_a_log_directory_the_log_is_below_the_data(place: Path, tmp_path: Path) -> None:
    install(place, SAYS_ALL)
    run(place, HOME=str(tmp_path))
    assert (tmp_path / ".local/share/jobctl/output/ingest-branch.log").exists()
    path = env_file(tmp_path, f"JOBCTL_DATA_DIR='{tmp_path}/the data'\n")
    run(place, JOBCTL_ENV_FILE=str(path))
    assert (tmp_path / "the data/output/ingest-branch.log").exists()
    run(place, JOBCTL_ENV_FILE=str(path), JOBCTL_DATA_DIR=str(tmp_path / "stronger"))
    assert (tmp_path / "stronger/output/ingest-branch.log").exists()


def test_a_log_that_cannot_be_written_is_told_to_cron(place: Path) -> None:
    install(place, SAYS_ALL)
    done = subprocess.run(
        [place / "scripts/ingest-branch.sh"], env={"JOB_LOG": "/nonexistent/log"}, capture_output=True, check=False
    )
    assert done.returncode != 0 and b"/nonexistent/log" in done.stderr


@pytest.mark.slow
@pytest.mark.skipif(LOGROTATE is None, reason="logrotate is not installed")
def test_no_line_of_any_log_is_lost_or_torn_while_runs_go_on_and_logs_are_rotated(
    place: Path, tmp_path: Path, base: Base
) -> None:
    """The JSON log, the log of the wrappers, and the output of a wrapped command that prints all the time."""
    logrotate = Logrotate(tmp_path, keep=12)
    install(place, JOBCTL)
    stop = tmp_path / "stop"
    log, job_log = (logrotate.logs / name for name in ("jobctl.log", "ingest-branch.log"))
    output = logrotate.output / "numbers.log"
    path = env_file(tmp_path, f"DATABASE_URL={base.url}\nJOBCTL_LOG_FILE={log}\nJOBCTL_OUTPUT_DIR={logrotate.output}\n")
    environment = {"JOBCTL_ENV_FILE": str(path), "JOB_LOG": str(job_log), "PATH": os.environ["PATH"]}
    prints = f"i=0; while [ ! -e {shlex.quote(str(stop))} ]; do i=$((i + 1)); echo line $i; done"
    long_run = subprocess.Popen(
        [place / ".venv/bin/jobctl", "run", "numbers", "--", SHELL, "-c", prints],
        env=environment,
        stdout=subprocess.DEVNULL,
    )
    ingest = [place / "scripts/ingest-branch.sh", "--json"]
    runs = 0
    try:
        for _ in range(8):
            wait_for(lambda: output.exists() and output.stat().st_size > 100_000, 60)
            during = subprocess.Popen(ingest, env=environment)
            wait_for(job_log.exists, 60)  # its log is open, and is moved away under it
            logrotate.rotate()
            assert during.wait(60) == 0
            assert subprocess.run(ingest, env=environment, check=False).returncode == 0
            runs += 2
    finally:
        stop.touch()
        assert long_run.wait(60) == 0
    assert len(list(logrotate.logs.glob("*.gz"))) > 8  # what was rotated twice is compressed
    wrapped = [json.loads(line) for text in texts_of(job_log) for line in text.splitlines()]
    assert len(wrapped) == len({line["run_id"] for line in wrapped}) == runs
    told = [json.loads(line) for text in texts_of(log) for line in text.splitlines()]
    finished = sorted(line["run_id"] for line in told if line["event"] == "run_finished")
    in_history = {str(run_id) for (run_id,) in base.all("SELECT run_id FROM ops.job_history")}
    assert finished == sorted(in_history | {line["run_id"] for line in wrapped})
    header, *lines = "".join(texts_of(output)).splitlines()
    assert header.startswith("=== ")
    numbers = [line for line in lines if not line.startswith("===")]
    assert numbers == [f"line {number}" for number in range(1, len(numbers) + 1)]
