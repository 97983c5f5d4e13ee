"""`jobctl schedule` as an operator or CI calls it, in an environment that holds nothing."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bench_crontabs import BROKEN, GOOD, Broken
from bench_runs import Base

Command = Callable[..., "subprocess.CompletedProcess[str]"]
JOBCTL = "/opt/jobctl/bin/jobctl"
CRONTAB = f"""0 * * * *  {JOBCTL} ingest-branch --scheduled
30 2 * * *  {JOBCTL} run backup --scheduled -- /usr/bin/backup
17 * * * *  /usr/bin/something-else
"""
PROJECT = Path(__file__).parents[2]
LINE_KEYS = {
    *("job", "scope", "state", "source", "os_user", "expression", "words", "zone", "owner", "command"),
    *("is_scheduled", "planned_expression"),
}


@pytest.fixture
def crontab(tmp_path: Path) -> Path:
    """A crontab(1) that shows the file which is returned."""
    text = tmp_path / "installed"
    text.write_text(CRONTAB)
    program = tmp_path / "bin/crontab"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\nexec cat {text}\n")
    program.chmod(0o755)
    return text


@pytest.fixture
def jobctl(tmp_path: Path, crontab: Path) -> Command:
    def run(*arguments: str, given: str = "", **environment: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "jobctl", "schedule", *arguments],
            cwd=tmp_path,
            env={"PATH": f"{tmp_path}/bin:/usr/bin:/bin", "JOBCTL_DATA_DIR": f"{tmp_path}/data", **environment},
            input=given,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


def items(done: "subprocess.CompletedProcess[str]") -> list[dict[str, object]]:
    assert (done.returncode, done.stderr) == (0, "")
    shown = json.loads(done.stdout)
    assert set(shown) == {"items", "next"} and shown["next"] is None
    return shown["items"]


def test_list_shows_installed_lines_and_the_rest_of_the_plan_and_needs_no_database(
    jobctl: Command, tmp_path: Path
) -> None:
    lines = items(jobctl("list", "--json"))
    assert all(set(line) == {*LINE_KEYS, "last_run", "history_is_known", "next_at"} for line in lines)
    ours = [(line["job"], line["scope"], line["source"]) for line in lines if line["state"] == "installed"]
    assert ours == [("ingest-branch", "", "crontab"), ("run", "backup", "crontab")]
    assert {line["job"] for line in lines if line["source"] == "plan"} >= {"sync", "report"}
    assert all(line["last_run"] is None and line["history_is_known"] is False for line in lines)
    assert not (tmp_path / "data").exists(), "a look must not start a database"
    shown = jobctl("list")
    assert "last unknown" in shown.stdout and "the database cannot be reached" in shown.stderr
    assert max(map(len, shown.stdout.splitlines())) <= 100


@pytest.mark.parametrize(
    "arguments",
    [
        ("list",),
        ("next", "-n", "1"),
        ("explain", "sync", "--at", "2026-01-13 02:00"),
        ("lint", "-"),
        ("lint", "--help"),
    ],
)
def test_each_command_works_without_any_environment(arguments: tuple[str, ...], tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "jobctl", "schedule", *arguments, *(["--json"] if "--help" not in arguments else [])],
        cwd=tmp_path,
        env={},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "--help" in arguments or isinstance(json.loads(done.stdout), dict)


def test_an_address_where_nobody_answers_is_unknown_and_no_error(jobctl: Command) -> None:
    lines = items(jobctl("list", "--json", DATABASE_URL="postgresql://nobody@127.0.0.1:1/none"))
    assert not any(line["history_is_known"] for line in lines)


def test_list_and_explain_tell_what_history_and_ledger_say(jobctl: Command, base: Base) -> None:
    base.conn.execute(
        "INSERT INTO ops.job_history (run_id, scope, job, correlation_id, status, exit_code, host, os_user,"
        " supervisor_pid, version, command, started_at, finished_at, slot_at) VALUES (gen_random_uuid(), 'airports',"
        " 'ingest-branch', '', 'failed', 1, 'here', 'etl', 1, '0', '', '2026-01-13 02:00:03Z', '2026-01-13 02:01Z',"
        " '2026-01-13 02:00Z')"
    )
    base.conn.execute(
        "INSERT INTO ops.slots (job, slot_at, slot_local, verdict, host, reason)"
        " VALUES ('ingest-branch', '2026-01-13 02:00Z', '2026-01-13 02:00 UTC', 'ran', 'here', 'as said')"
    )
    lines = items(jobctl("list", "--json", DATABASE_URL=base.url))
    last = lines[0]["last_run"]
    assert isinstance(last, dict) and last["status"] == "failed" and last["scope"] == "airports"
    assert lines[1]["last_run"] is None and lines[1]["history_is_known"] is True
    (told,) = items(
        jobctl("explain", "ingest-branch", "--at", "2026-01-13T02:00+00:00", "--json", DATABASE_URL=base.url)
    )
    assert told["fires"] is True and told["history_is_known"] is True
    slot, runs = told["slot"], told["runs"]
    assert isinstance(slot, dict) and slot["verdict"] == "ran"
    assert str(runs).count("'run_id'") == 1
    assert (
        "slot: ran: as said"
        in jobctl("explain", "ingest-branch", "--at", "2026-01-13T02:00+00:00", DATABASE_URL=base.url).stdout
    )


def test_explain_tells_each_field(jobctl: Command) -> None:
    (told,) = items(jobctl("explain", "run", "--scope", "backup", "--at", "2026-01-13 14:30", "--json"))
    extra = {"at", "fires", "reasons", "fields", "before_at", "after_at", "history_is_known", "slot", "runs"}
    assert set(told) == LINE_KEYS | extra
    assert told["fires"] is False
    assert told["reasons"] == ["hour 14 is not in 2"]
    assert "does not fire:\n    hour 14 is not in 2" in jobctl("explain", "run", "--at", "2026-01-13 14:30").stdout


def test_a_job_that_nobody_has_installed_is_explained_from_the_plan(jobctl: Command, tmp_path: Path) -> None:
    (tmp_path / "jobctl.toml").write_text('[schedules.sync]\nat = "15 3 * * *"\n')
    (told,) = items(jobctl("explain", "sync", "--at", "2026-01-13 03:15", "--json"))
    assert (told["source"], told["expression"], told["fires"]) == ("plan", "15 3 * * *", True)


def test_next_lists_starts_in_order_from_a_time_on(jobctl: Command) -> None:
    starts = items(jobctl("next", "--at", "2026-01-13T01:30:00", "-n", "3", "--json"))
    assert [(start["job"], str(start["slot_local"])[:16]) for start in starts] == [
        ("work", "2026-01-13 01:30"),
        ("work", "2026-01-13 01:35"),
        ("retry-failed", "2026-01-13 01:40"),
    ]
    (start,) = items(jobctl("next", "run", "--at", "2026-01-13T02:30", "-n", "1", "--json"))
    assert str(start["slot_local"]).startswith("2026-01-13 02:30"), "the minute itself is a next start"
    assert "run backup" in jobctl("next", "run").stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("next", "snyc"), "did you mean sync?"),
        (("next", "run", "--scope", "nightly"), "its lines are for 'backup'"),
        (("next", "--at", "tomorrow"), "is no time"),
        (("explain", "sync", "--at", "25:00"), "is no time"),
        (("lint", "nowhere"), "cannot be read"),
        (("lint", "-", "--zone", "Mars/Olympus"), "is not a time zone"),
    ],
)
def test_wrong_usage_is_exit_2_and_one_line(jobctl: Command, arguments: tuple[str, ...], says: str) -> None:
    done = jobctl(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert says in done.stderr and done.stderr.count("\n") == 1


def test_lint_of_standard_input_names_the_fault_and_exits_1(jobctl: Command) -> None:
    done = jobctl("lint", "-", given=f"0 * * * * {JOBCTL} ingest-brunch\n")
    assert done.returncode == 1
    assert "-:1: error: there is no command jobctl ingest-brunch [unknown-job]" in done.stdout
    assert "mend: did you mean ingest-branch?" in done.stdout


def test_lint_with_warnings_only_is_exit_0_and_with_strict_1(jobctl: Command) -> None:
    text = "0 1 * * * /usr/local/bin/backup >/dev/null 2>&1\n"
    assert jobctl("lint", "-", given=text).returncode == 0
    done = jobctl("lint", "-", "--strict", "--json", given=text)
    assert done.returncode == 1
    shown = json.loads(done.stdout)
    assert set(shown) == {"ok", "items", "next", "file", "system", "zone"} and shown["ok"] is False
    (finding,) = shown["items"]
    assert set(finding) == {"code", "severity", "line", "what", "why", "mend"}


def test_where_a_file_lies_tells_what_kind_it_is(jobctl: Command, tmp_path: Path) -> None:
    directory = tmp_path / "cron.d"
    directory.mkdir()
    (directory / "jobs").write_text(f"0 * * * * root {JOBCTL} ingest-branch --scheduled\n")
    assert jobctl("lint", "cron.d/jobs").returncode == 0
    assert "[user-field]" in jobctl("lint", "cron.d/jobs", "--user-crontab").stdout
    (directory / "jobs.cron").write_text(f"0 * * * * root {JOBCTL} ingest-branch --scheduled\n")
    assert "[file-name]" in jobctl("lint", "cron.d/jobs.cron").stdout


def test_for_this_machine_users_and_files_are_looked_for(jobctl: Command, tmp_path: Path) -> None:
    text = f"JOBCTL_ENV_FILE=/nowhere/env\n0 * * * * nobody-at-all {JOBCTL} ingest-branch --scheduled\n"
    done = jobctl("lint", "-", "--system", "--here", given=text)
    assert "[missing-file]" in done.stdout and "[unknown-user]" in done.stdout
    assert jobctl("lint", "-", "--system", given=text).returncode == 0


def test_broken_crontabs_are_named_and_good_ones_are_not(jobctl: Command, tmp_path: Path) -> None:
    """The figure of the README: one of each kind through the installed command, and every good one."""
    named: set[str] = set()
    kinds: dict[str, Broken] = {}
    for broken in BROKEN:
        if broken.place.facts is None and "run" not in broken.text and "55m" not in broken.text:
            kinds.setdefault(broken.code, broken)
    directory = tmp_path / "cron.d"
    directory.mkdir()
    for code, broken in kinds.items():
        file = (directory if broken.place.is_system else tmp_path) / (broken.place.cron_d_name or "broken")
        file.write_text(broken.text, encoding="utf-8", newline="")
        done = jobctl("lint", str(file), "--zone", "Europe/Berlin", "--strict")
        assert done.returncode == 1
        if f"[{code}]" in done.stdout:
            named.add(code)
    assert len(kinds) >= 20 and named == set(kinds)
    assert len(GOOD) >= 20
    for file in GOOD:
        if file.name == "jobctl":
            continue  # it has `run`, which this version may not have
        done = jobctl("lint", str(file), "--zone", "Europe/Berlin", "--strict")
        assert done.returncode == 0, done.stdout


def test_json_page_lists_each_key(jobctl: Command) -> None:
    told = (PROJECT / "docs/json.md").read_text(encoding="utf-8").partition("`jobctl schedule --json`")[2]
    (start,) = items(jobctl("next", "-n", "1", "--json"))
    (why,) = items(jobctl("explain", "sync", "--at", "2026-01-13 03:15", "--json"))
    (line, *_) = items(jobctl("list", "--json"))
    for key in {*start, *why, *line}:
        assert f"`{key}`" in told
