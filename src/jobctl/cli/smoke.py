"""`scripts/smoke`: run each job once as cron would, and judge what it says and leaves; then look at all of it the way a
monitor outside does. For CI, and after a deploy.

As cron would: with no environment but cron's own variables and those of the crontab that has the job's line, in the
home directory, through the crontab's shell, with nothing on its standard input and no terminal. A job that no crontab
has yet gets cron's variables alone; `--set` adds to them what the crontab's first lines will say.
"""

import argparse
import json
import os
import pwd
import shlex
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

from jobctl.cli import render
from jobctl.errors import EXIT_DEGRADED, EXIT_DONE, EXIT_FAILED, EXIT_USAGE, JobctlError

if TYPE_CHECKING:
    from jobctl.settings import Settings

# Keys that the object of every job has (docs/json.md).
KEYS = frozenset(
    {
        *("job", "run_id", "correlation_id", "status", "degraded", "dry_run", "exit_code", "started_at"),
        *("finished_at", "duration_ms", "counts", "notes", "scopes", "error"),
    }
)
SCOPE_KEYS = frozenset({"scope", "status", "exit_code", "counts", "error"})
WRAPPED = ("run", "smoke", "--", "true")
NOT_INSTALLED = "no crontab"
# What only looks, with a key that its object must have.
LOOKS = {
    "status": ("health", ("status", "--json", "--fail-on", "never")),
    "insights": ("items", ("insights", "--json")),
    "export": ("items", ("export", "prometheus", "--json")),
}


@dataclass(frozen=True, slots=True)
class Environment:
    """What cron would give the job, and the crontab that says so."""

    source: str
    variables: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Ended:
    """`exit_code` is None when it could not be started; then `stderr` says why."""

    exit_code: int | None
    stdout: str
    stderr: str
    took_s: float


@dataclass
class Verdict:
    job: str
    source: str
    ended: Ended
    faults: list[str] = field(default_factory=list[str])
    status: str = ""
    degraded: bool = False

    @property
    def word(self) -> str:
        return "FAILED" if self.faults else "ok, degraded" if self.degraded else "ok"


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="scripts/smoke",
        description="Run each job once as cron would, and judge exit code, output and history.",
        epilog="Example: scripts/smoke --set JOBCTL_ENV_FILE=/etc/jobctl/env; after a deploy: scripts/smoke --for-real",
    )
    parser.add_argument("jobs", nargs="*", metavar="JOB", help="which jobs; without any, or with all: each one")
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--dry-run", action="store_true", help="write and send nothing (the default)")
    kind.add_argument("--for-real", action="store_true", help="real runs, with their rows in the history")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="a variable, as a line of the crontab sets it"
    )
    asked = parser.parse_args()
    there = (*jobs(), *LOOKS)
    unknown = sorted({*asked.jobs} - {*there, "all"})
    if unknown:
        render.note(f"scripts/smoke: no such job: {', '.join(unknown)} (there are: {', '.join(there)})")
        return EXIT_USAGE
    if any("=" not in pair for pair in asked.set):
        render.note("scripts/smoke: --set wants NAME=VALUE")
        return EXIT_USAGE
    variables = dict(pair.split("=", 1) for pair in asked.set)
    chosen = [job for job in there if not asked.jobs or "all" in asked.jobs or job in asked.jobs]
    verdicts = [
        _look(job, variables) if job in LOOKS else _smoke(job, variables, dry_run=not asked.for_real) for job in chosen
    ]
    _print(verdicts, dry_run=not asked.for_real)
    return EXIT_FAILED if any(verdict.faults for verdict in verdicts) else EXIT_DONE


def jobs() -> tuple[str, ...]:
    """The jobs that this version has."""
    from jobctl.cli.app import app
    from jobctl.schedule.plan import PLAN

    names = {command.name for command in (*app.registered_commands, *app.registered_groups)}
    return tuple(job for job in (*(entry.job for entry in PLAN), WRAPPED[0]) if job in names)


def words_of(job: str, variables: Mapping[str, str]) -> tuple[str, ...]:
    """What the line of the plan has behind `jobctl`, with the team's changes of it."""
    if job == WRAPPED[0]:
        return WRAPPED
    from jobctl.schedule.from_settings import planned_from
    from jobctl.schedule.plan import PLAN

    try:
        plan = planned_from(_settings(variables))
    except (OSError, JobctlError):  # the job will meet it, too, and tell
        plan = PLAN
    return next((job, *entry.options) for entry in plan if entry.job == job)


def environment_of(job: str) -> Environment:
    """That of the line that cron has for this user and job, of the first where it has several."""
    from jobctl.accounts import current_user
    from jobctl.schedule.command_line import jobctl_words
    from jobctl.schedule.crontab_text import read_crontab
    from jobctl.schedule.installed import system_crontabs, user_crontab

    user = current_user()
    texts = [("crontab", user_crontab(user))]
    for path in system_crontabs():
        try:
            texts.append((str(path), path.read_text(encoding="utf-8", errors="replace")))
        except OSError:
            continue
    for source, text in texts:
        crontab = read_crontab(text or "", is_system=source != "crontab")
        for entry in crontab.entries:
            words = jobctl_words(entry.program)
            if words is not None and words.job == job and entry.user in (None, user):
                return Environment(source, {**_cron_variables(), **crontab.environment_of(entry)})
    return Environment(NOT_INSTALLED, _cron_variables())


def judge(job: str, ended: Ended, *, dry_run: bool) -> tuple[list[str], Mapping[str, Any] | None]:
    """What is wrong with how the run ended, and the object it printed."""
    if ended.exit_code is None:
        return [ended.stderr], None
    faults: list[str] = []
    if ended.exit_code not in (EXIT_DONE, EXIT_DEGRADED):
        faults.append(f"exit code {ended.exit_code}")
    if ended.stderr:
        faults.append(f"stderr, which cron mails: {ended.stderr[:500]}")
    try:
        told = json.loads(ended.stdout)
    except ValueError:
        told = None
    if not isinstance(told, dict):
        return [*faults, f"stdout is not one JSON object: {ended.stdout[:200]!r}"], None
    report = cast(Mapping[str, Any], told)
    if report.get("error"):
        faults.append("{message} ({hint})".format_map(report["error"]))
    if set(report) == {"error"}:
        return faults, None
    faults.extend(_object_faults(report, {"job": job, "dry_run": dry_run, "exit_code": ended.exit_code}))
    return faults, report


def _object_faults(report: Mapping[str, Any], expected: Mapping[str, object]) -> list[str]:
    if missing := KEYS - report.keys():
        return [f"the object lacks {', '.join(sorted(missing))}"]
    scopes = [missing for scope in report["scopes"] if (missing := SCOPE_KEYS - scope.keys())]
    return [
        *(
            f"the object says {key} is {report[key]!r}, not {value!r}"
            for key, value in expected.items()
            if report[key] != value
        ),
        *(f"a scope of the object lacks {', '.join(sorted(missing))}" for missing in scopes),
    ]


def _smoke(job: str, variables: Mapping[str, str], *, dry_run: bool) -> Verdict:
    found = environment_of(job)
    environment = Environment(found.source, {**found.variables, **variables})
    words = words_of(job, environment.variables)
    options = ["--json", *(["--dry-run"] if dry_run else [])]
    ended = _run([words[0], *options, *words[1:]], environment.variables)
    faults, report = judge(job, ended, dry_run=dry_run)
    verdict = Verdict(job, environment.source, ended, faults, degraded=ended.exit_code == EXIT_DEGRADED)
    if report is not None:
        verdict.status = str(report.get("status"))
    if report is not None and not faults:
        verdict.faults.extend(_history_faults(report, environment.variables, dry_run=dry_run))
    return verdict


def _look(name: str, variables: Mapping[str, str]) -> Verdict:
    key, words = LOOKS[name]
    ended = _run(words, {**_cron_variables(), **variables})
    verdict = Verdict(name, NOT_INSTALLED, ended)
    try:
        told: object = json.loads(ended.stdout)
    except ValueError:
        told = None
    if ended.exit_code != EXIT_DONE or ended.stderr:
        verdict.faults.append(f"exit code {ended.exit_code}: {ended.stderr[:500]}")
    if not isinstance(told, dict) or key not in told:
        verdict.faults.append(f"stdout is not an object with {key}: {ended.stdout[:200]!r}")
    return verdict


def _run(words: Sequence[str], variables: Mapping[str, str]) -> Ended:
    """As cron does it, but with the output kept apart."""
    command = shlex.join([str(Path(sys.executable).with_name("jobctl")), *words])
    started = time.monotonic()
    try:
        done = subprocess.run(
            [variables["SHELL"], "-c", command],
            cwd=variables["HOME"],
            env=variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            start_new_session=True,
        )
    except OSError as error:
        took_s = time.monotonic() - started
        return Ended(None, "", f"cron could not start it: {error.strerror}: {error.filename}", took_s)
    out, err = (stream.decode("utf-8", "replace") for stream in (done.stdout, done.stderr))
    return Ended(done.returncode, out, err, time.monotonic() - started)


def _history_faults(report: Mapping[str, Any], variables: Mapping[str, str], *, dry_run: bool) -> list[str]:
    """What the history says differently than the run; of a dry run it says nothing."""
    from jobctl.cli.session import open_database
    from jobctl.runtime import history

    runs: list[Mapping[str, Any]] = report["scopes"]
    if any("outcome" in scope for scope in runs):  # parts of the one run that there was
        runs = [{"scope": "", "status": report["status"]}]
    said = {scope["scope"]: None if dry_run else scope["status"] for scope in runs}
    try:
        with open_database(_settings(variables)).connect() as conn:
            run_id = UUID(report["run_id"])
            rows = {name: history.status_of(conn, run_id, name) for name in said}
    except JobctlError as error:
        return [f"its history cannot be read: {error}"]
    return [
        f"the history has {rows[name] or 'no row'} for {name or 'the run'}, and should have {status or 'none'}"
        for name, status in said.items()
        if rows[name] != status
    ]


def _settings(variables: Mapping[str, str]) -> "Settings":
    """What the job finds; files of settings are looked for from its directory, too."""
    from jobctl.settings_reading.load import load

    os.chdir(variables["HOME"])
    return load(environ=variables).settings


def _cron_variables() -> dict[str, str]:
    who = pwd.getpwuid(os.geteuid())
    return {"SHELL": "/bin/sh", "PATH": "/usr/bin:/bin", "HOME": who.pw_dir, "LOGNAME": who.pw_name}


def _print(verdicts: Sequence[Verdict], *, dry_run: bool) -> None:
    rows = [
        (each.job, each.source, each.ended.exit_code, each.status, f"{each.ended.took_s:.1f} s", each.word)
        for each in verdicts
    ]
    title = "dry runs" if dry_run else "real runs"
    render.print_table(title, ("job", "environment of", "exit", "status", "took", "verdict"), rows)
    for each in verdicts:
        for fault in each.faults:
            render.print_text(f"{each.job}: {render.one_line(fault)}")


if __name__ == "__main__":
    sys.exit(main())
