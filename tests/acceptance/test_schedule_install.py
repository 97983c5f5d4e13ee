"""`schedule install|diff|remove|verify`, the files of deploy/, and the wrappers. `crontab` is a program that keeps a
file: the real one would change this machine; under real cron the same text is run elsewhere."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from typer.main import get_command

from bench_runs import Base
from jobctl.cli.app import app
from jobctl.cli.command_shapes import shapes_below
from jobctl.cli.crontab_place import deployed_files
from jobctl.schedule.command_line import jobctl_words
from jobctl.schedule.crontab_text import read_crontab
from jobctl.schedule.expression import parse
from jobctl.schedule.installed import unit_values
from jobctl.schedule.on_calendar import on_calendar
from jobctl.settings import ENV_NAMES, SECRETS
from jobctl.settings_reading.load import load

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
FOREIGN = "# mine\nMAILTO=me\n5 4 * * * /usr/bin/backup --all"  # without a last line end
PROGRAM = """#!/bin/sh
file='{file}'
case "$*" in
-l) if [ -e "$file" ]; then cat "$file"; else echo "no crontab for me" >&2; exit 1; fi ;;
-) cat >"$file" ;;
-r) rm "$file" ;;
*) exit 2 ;;
esac
"""
SHAPES = shapes_below(get_command(app))


class Host:
    def __init__(self, directory: Path, database_url: str) -> None:
        self.crontab = directory / "crontab.txt"
        self.data = directory / "data"
        programs = directory / "bin"
        programs.mkdir()
        (programs / "crontab").write_text(PROGRAM.format(file=self.crontab))
        (programs / "crontab").chmod(0o755)
        self.environment = {
            "PATH": f"{programs}:{os.environ['PATH']}",
            "HOME": str(directory),
            "DATABASE_URL": database_url,
            "JOBCTL_DATA_DIR": str(self.data),
        }

    def schedule(self, *words: str, code: int | None = 0) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "jobctl", "schedule", *words],
            env=self.environment,
            cwd=self.environment["HOME"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert code is None or done.returncode == code, done
        return done.stdout + done.stderr


@pytest.fixture
def host(tmp_path: Path, base: Base) -> Host:
    return Host(tmp_path, base.url)


def test_a_crontab_of_others_has_the_block_put_in_and_taken_out_again(host: Host, base: Base) -> None:
    host.crontab.write_text(FOREIGN)
    assert "+# BEGIN jobctl" in host.schedule("diff", code=1)
    assert "installed in" in host.schedule("install")
    text = host.crontab.read_text()
    assert text.startswith(FOREIGN + "\n# BEGIN jobctl")
    assert [(entry.schedule, jobctl_words(entry.program)) for entry in read_crontab(text, is_system=False).entries][1][
        0
    ] == "0 * * * *"
    assert host.schedule("diff") == ""
    assert "nothing changed" in host.schedule("install")
    assert base.all("SELECT job, expression FROM ops.schedules WHERE removed_at IS NULL ORDER BY job") == [
        ("ingest-branch", "0 * * * *"),
        ("metrics", "20 * * * *"),
        ("report", "0 9 * * 1"),
        ("retry-failed", "40 * * * *"),
        ("sync", "0 2 * * *"),
        ("work", "*/5 * * * *"),
    ]
    (backup,) = (host.data / "crontabs").iterdir()
    assert backup.read_text() == FOREIGN and backup.stat().st_mode & 0o777 == 0o600
    assert "removed from" in host.schedule("remove")
    assert host.crontab.read_text() == FOREIGN
    assert base.one("SELECT count(*) FROM ops.schedules WHERE removed_at IS NULL") == 0


def test_an_empty_crontab_is_gone_again_after_remove(host: Host) -> None:
    host.schedule("install")
    assert host.crontab.exists()
    host.schedule("remove")
    assert not host.crontab.exists()


def test_a_block_that_was_edited_by_hand_is_replaced_only_with_force(host: Host) -> None:
    host.schedule("install")
    edited = host.crontab.read_text().replace("0 * * * *", "7 * * * *")
    host.crontab.write_text(edited)
    said = host.schedule("install", code=78)
    assert "edited by hand" in said and "--force" in said
    assert host.crontab.read_text() == edited
    host.schedule("install", "--force")
    assert "7 * * * *" not in host.crontab.read_text()


def test_a_block_that_is_cut_in_half_is_refused(host: Host) -> None:
    host.crontab.write_text("# BEGIN jobctl\n0 * * * * x\n")
    assert "cut in half" in host.schedule("install", code=78)


def test_dry_run_prints_the_text_and_writes_nothing(host: Host) -> None:
    assert "# END jobctl" in host.schedule("install", "--dry-run")
    assert json.loads(host.schedule("install", "--dry-run", "--json"))["changed"] is True
    assert not host.crontab.exists()


def test_verify_fails_until_the_crontab_is_installed(host: Host) -> None:
    before = json.loads(host.schedule("verify", "--json", code=1))["items"]
    host.schedule("install")
    after = json.loads(host.schedule("verify", "--json", code=None))[
        "items"
    ]  # whether a cron runs is the machine's affair
    assert [item["status"] for item in (before[0], after[0])] == ["failed", "ok"]
    assert any(item["check"] == "cron.alive" for item in after)


def test_what_was_deployed_is_what_is_rendered() -> None:
    for name, text in deployed_files(SHAPES).items():
        assert (DEPLOY / name).read_text() == text, f"deploy/{name}: run jobctl schedule render deploy"
    assert {path.name for path in (DEPLOY / "systemd").iterdir()} == {
        name.removeprefix("systemd/") for name in deployed_files(SHAPES) if name.startswith("systemd/")
    }


PAGE_COMMAND = re.compile(r"(?:^\$ |bin/|\|\| )jobctl ([a-z].*?)(?= \|\||$)")


def commands_of_deploy() -> list[str]:
    """The words behind `jobctl` in each line that starts it."""
    entries = read_crontab((DEPLOY / "crontab").read_text(), is_system=False).entries
    found = [" ".join(words.words) for entry in entries if (words := jobctl_words(entry.program)) is not None]
    for path in sorted((DEPLOY / "systemd").glob("*.service")):
        values = unit_values(path.read_text())
        starts = [command for key in ("ExecStart", "ExecStop") for command in values.get(("Service", key), [])]
        found += [
            " ".join(words.words) for command in starts if (words := jobctl_words(command.lstrip("-"))) is not None
        ]
    page = (ROOT / "docs" / "install.md").read_text().splitlines()
    return [*found, *(match[1] for line in page for match in PAGE_COMMAND.finditer(line))]


def test_deploy_starts_jobctl_at_all() -> None:
    assert len(commands_of_deploy()) > 8


@pytest.mark.parametrize("command", commands_of_deploy())
def test_every_command_of_deploy_is_one_that_there_is(command: str) -> None:
    given = shlex.split(command)
    shape = SHAPES.get(" ".join(given[:2])) or SHAPES.get(given[0])
    assert shape is not None, given
    assert {word for word in given if word.startswith("-")} <= set(shape.options), given


def test_the_timers_of_deploy_are_made_from_the_expressions_that_they_name() -> None:
    timers = sorted((DEPLOY / "systemd").glob("*.timer"))
    assert timers
    for path in timers:
        timer = unit_values(path.read_text())
        (expression,) = timer["Timer", "X-Jobctl-Cron"]
        assert tuple(timer["Timer", "OnCalendar"]) == on_calendar(parse(expression))


ENV_LINE = re.compile(r"^#?([A-Z][A-Z0-9_]*)=(.*)$", re.MULTILINE)


def test_the_example_of_an_env_file_has_no_name_that_is_none_and_is_in_order_as_it_stands(tmp_path: Path) -> None:
    text = (DEPLOY / "env.example").read_text()
    named = [name for name, _ in ENV_LINE.findall(text)]
    assert set(named) <= set(ENV_NAMES.values())
    told = {ENV_NAMES[name] for name in SECRETS} - {"RESEND_API_KEY", "SENDGRID_API_KEY", "CRON_SECRET"}
    assert told <= set(named)
    path = tmp_path / "env"
    path.write_text(text)
    path.chmod(0o600)
    assert load(environ={"HOME": str(tmp_path)}, env_file=path).settings.log_file == Path("/var/log/jobctl/jobctl.log")
