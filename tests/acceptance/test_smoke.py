"""Every command, as an ordinary user with an emptied environment; each job as `scripts/smoke` runs it."""

import json
import re
import sys
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from bench_postgres import reachable_directory
from bench_runs import Base, Runner
from bench_user import as_ordinary_user, give_to_ordinary_user
from jobctl.cli import smoke
from jobctl.cli.app import app
from jobctl.cli.smoke import Ended, judge

PROJECT = Path(__file__).parents[2]
JOBCTL = str(Path(sys.prefix, "bin/jobctl"))
SMOKE = str(PROJECT / "scripts/smoke")
NOT_OBJECTS = {"db psql", "schedule render"}  # hands everything to psql


def _walk(command: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Each command below, the groups among them, as the library has it, and the words that call it."""
    yield words, command
    for name, below in getattr(command, "commands", {}).items():
        yield from _walk(below, (*words, name))


COMMANDS = dict(_walk(typer.main.get_command(app)))
LEAVES = {words: command for words, command in COMMANDS.items() if not hasattr(command, "commands")}


@pytest.fixture
def home() -> Generator[Path, None, None]:
    with reachable_directory() as path:
        yield give_to_ordinary_user(path)


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: " ".join(words) or "jobctl")
def test_help_has_an_example_and_needs_no_environment(words: tuple[str, ...], home: Path) -> None:
    done = as_ordinary_user([JOBCTL, *words, "--help"], home)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"Usage: jobctl {' '.join(words)}".strip() in done.stdout
    if words in LEAVES:
        assert f"jobctl {' '.join(words)}" in done.stdout.partition("Example")[2], "there is no example"
    assert list(home.iterdir()) == []


def test_each_command_can_print_an_object() -> None:
    without = {
        " ".join(words)
        for words, command in LEAVES.items()
        if not any("--json" in option.opts for option in command.params)
    }
    assert without == NOT_OBJECTS


@pytest.mark.parametrize("job", smoke.jobs())
def test_each_job_passes_the_smoke_as_a_dry_run_and_for_real(job: str, base: Base, runner: Runner, home: Path) -> None:
    database = ("--set", f"DATABASE_URL={base.url}", "--set", f"HOME={home}")
    dry = as_ordinary_user([SMOKE, job, *database], home)
    assert (dry.returncode, dry.stderr) == (0, ""), dry
    assert base.all("SELECT job FROM ops.job_history") == []
    real = as_ordinary_user([SMOKE, "--for-real", job, *database], home)
    assert (real.returncode, real.stderr) == (0, ""), real
    assert base.all("SELECT job, status FROM ops.job_history") == [(job, "completed")]
    assert all(
        "ok" in next(line for line in each.stdout.splitlines() if line.startswith(f"│ {job} ")) for each in (dry, real)
    )


def test_smoke_fails_and_says_why_when_a_job_does(home: Path) -> None:
    away = "postgresql://app@127.0.0.1:1/jobs"
    done = as_ordinary_user([SMOKE, "ingest-branch", "--set", f"DATABASE_URL={away}", "--set", f"HOME={home}"], home)
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.count("FAILED") == 1
    assert "ingest-branch: exit code 75\n" in done.stdout
    assert "ingest-branch: PostgreSQL cannot be reached" in done.stdout
    homeless = as_ordinary_user([SMOKE, "--set", "HOME=/nonexistent"], home)
    assert homeless.returncode == 1
    assert "cron could not start it: No such file or directory: /nonexistent" in homeless.stdout
    unknown = as_ordinary_user([SMOKE, "nix"], home)
    assert (unknown.returncode, unknown.stdout) == (2, "")
    assert "no such job: nix (there are: ingest-branch" in unknown.stderr


def test_smoke_uses_the_options_that_the_team_has_set(base: Base, home: Path) -> None:
    (home / "jobctl.toml").write_text('[schedules.ingest-branch]\noptions = ["--branch", "nowhere"]\n')
    settings = ("--set", f"DATABASE_URL={base.url}", "--set", f"HOME={home}")
    done = as_ordinary_user([SMOKE, "ingest-branch", *settings], home)
    assert done.returncode == 1
    assert "there is no branch 'nowhere'" in done.stdout
    looked = as_ordinary_user([SMOKE, "status", *settings], home)
    assert (looked.returncode, looked.stderr) == (0, ""), looked


WHOLE = dict.fromkeys(smoke.KEYS, "") | {
    "job": "sync",
    "dry_run": True,
    "exit_code": 0,
    "scopes": [dict.fromkeys(smoke.SCOPE_KEYS, "")],
}


@pytest.mark.parametrize(
    ("ended", "says"),
    [
        (Ended(0, json.dumps(WHOLE), "", 0), ""),
        (Ended(1, json.dumps({**WHOLE, "exit_code": 1}), "", 0), "exit code 1"),
        (Ended(0, json.dumps(WHOLE), "a warning\n", 0), "stderr, which cron mails: a warning"),
        (Ended(0, "done\n" + json.dumps(WHOLE), "", 0), "not one JSON object"),
        (Ended(0, "", "", 0), "not one JSON object"),
        (Ended(0, "[]", "", 0), "not one JSON object"),
        (Ended(0, json.dumps({**WHOLE, "dry_run": False}), "", 0), "says dry_run is False"),
        (Ended(0, json.dumps({**WHOLE, "exit_code": 3}), "", 0), "says exit_code is 3"),
        (Ended(0, json.dumps({key: WHOLE[key] for key in WHOLE if key != "counts"}), "", 0), "lacks counts"),
        (Ended(0, json.dumps({**WHOLE, "scopes": [{}]}), "", 0), "a scope of the object lacks counts, error"),
        (Ended(0, json.dumps({"error": {"message": "no", "hint": "yes"}}), "", 0), "no (yes)"),
    ],
)
def test_what_is_wrong_with_a_run_is_named(ended: Ended, says: str) -> None:
    faults, _ = judge("sync", ended, dry_run=True)
    assert (says in " ".join(faults)) if says else faults == []


def test_the_keys_that_are_asked_for_are_those_of_the_json_page() -> None:
    page = (PROJECT / "docs/json.md").read_text(encoding="utf-8")
    _, _, after = page.partition("## A job:")
    told = {
        name
        for row in re.findall(r"^\| (`.*?) \|", after.partition("\n`counts`:")[0], re.MULTILINE)
        for name in re.findall(r"`([a-z_]+)`", row)
    }
    assert told >= smoke.KEYS | smoke.SCOPE_KEYS
