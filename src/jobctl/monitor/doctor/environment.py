"""The environment as cron sees it: the command is started in it, and its settings are compared with the shell's.

Cron gives a command HOME, LOGNAME, SHELL and a PATH of two directories, what its crontab sets, and the home directory
to stand in. A setting that only the shell of a person has is not there at night.
"""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from jobctl.monitor.doctor.finding import Finding, NotAsked, failed, ok, warning
from jobctl.monitor.doctor.situation import Situation
from jobctl.settings import ENV_NAMES, SECRETS
from jobctl.settings_reading.load import Loaded

START_LIMIT_S = 6
CHECK = "environment.settings"
START = "environment.start"
NOT_FOR_CRON = frozenset({"slot"})  # said anew at each start


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting as `jobctl config show` tells it; `secret` is what that does not show, to be compared."""

    shown: str
    origin: str
    secret: str | None = None

    @property
    def is_of_shell(self) -> bool:
        return self.origin.startswith("environment")


def check_night(situation: Situation) -> Iterator[Finding]:
    shown = _as_cron(situation, "show")
    if shown.returncode == 0:
        yield ok(START, f"jobctl starts in the environment that cron gives {situation.cron_user.name}")
        if situation.loaded is not None:
            here = _run(command("show"), None, None, {})
            yield from compare(_settings(here.stdout, situation.loaded), _settings(shown.stdout, situation.by_night))
        return
    checked = _as_cron(situation, "check")
    try:
        items: list[dict[str, Any]] = json.loads(checked.stdout)["items"]
    except (ValueError, KeyError):
        yield judge_no_start(checked.returncode, checked.stderr or checked.stdout)
        return
    for item in items:
        yield failed(
            CHECK,
            f"started by cron, {item['message']} ({item['origin']})",
            why="every start by cron ends at once with exit 78",
            mend=str(item["mend"]),
            is_configuration=True,
        )


def judge_no_start(exit_code: int, said: str) -> Finding:
    last = said.strip().splitlines()[-1][:300] if said.strip() else "nothing was said"
    return failed(
        START,
        f"started as cron does it, jobctl ends with exit {exit_code}: {last}",
        why="no job would run at night",
        mend="env -i HOME=$HOME LOGNAME=$LOGNAME SHELL=/bin/sh PATH=/usr/bin:/bin " + " ".join(command("check")),
    )


def compare(by_day: Mapping[str, Setting], by_night: Mapping[str, Setting]) -> list[Finding]:
    """A finding for each setting that is another at night; one `ok` when there is none. Pure."""
    found = [
        _judge(ENV_NAMES[name], day, by_night[name])
        for name, day in by_day.items()
        if name in by_night and name not in NOT_FOR_CRON and _differ(day, by_night[name])
    ]
    return found or [ok(CHECK, "settings are the same by day and, started by cron, at night")]


def _differ(day: Setting, night: Setting) -> bool:
    return (day.shown, day.secret) != (night.shown, night.secret)


def _judge(env_name: str, day: Setting, night: Setting) -> Finding:
    is_lost = day.is_of_shell and not night.is_of_shell
    text = f"{env_name} comes from this shell alone" if is_lost else f"{env_name} is another when cron starts jobctl"
    values = "" if day.shown == night.shown else f": here {day.shown}, under cron {night.shown}"
    why = f"cron does not read a shell's profile; at night the value comes from: {night.origin}"
    mend = f"write {env_name} into the file that JOBCTL_ENV_FILE names in the crontab, such as /etc/jobctl/env"
    if env_name == "DATABASE_URL":
        return failed(CHECK, text + values, why=why, mend=mend, is_configuration=True)
    return warning(CHECK, text + values, why=why, mend=mend)


def command(word: str) -> list[str]:
    """How cron would call it: the program beside the interpreter, or the package by its name, never the module of that
    name that lies in the working directory."""
    program = Path(sys.executable).with_name("jobctl")
    start = [str(program)] if program.is_file() else [sys.executable, "-P", "-m", "jobctl"]
    return [*start, "config", word, "--json"]


def _as_cron(situation: Situation, word: str) -> "subprocess.CompletedProcess[str]":
    user = situation.cron_user
    switch: dict[str, Any] = {}
    if user.uid != situation.me.uid:
        if situation.me.uid != 0:
            raise NotAsked(f"only root and {user.name} can start a command as {user.name}, for whom cron does it")
        switch = {"user": user.uid, "group": user.gid, "extra_groups": list(user.groups)}
    home = user.home if user.home.is_dir() else Path("/")
    return _run(command(word), situation.cron_environment, home, switch)


def _run(
    words: Sequence[str], environ: Mapping[str, str] | None, directory: Path | None, switch: Mapping[str, Any]
) -> "subprocess.CompletedProcess[str]":
    try:
        return subprocess.run(
            words,
            env=environ,
            cwd=directory,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=START_LIMIT_S,
            check=False,
            **switch,
        )
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(words, 124, "", f"no end within {START_LIMIT_S} s")
    except OSError as error:
        return subprocess.CompletedProcess(words, 126, "", f"{error.strerror}: {error.filename}")


def _settings(told: str, loaded: Loaded | None) -> dict[str, Setting]:
    """As the started command told them. The secrets, which it does not tell, are those of `loaded`, which was read with
    the same environment."""
    items: list[dict[str, Any]] = json.loads(told)["items"]
    return {each["setting"]: _setting(each, loaded) for each in items}


def _setting(item: Mapping[str, Any], loaded: Loaded | None) -> Setting:
    secret: object = None
    if item["setting"] in SECRETS and item["is_set"] and loaded is not None:
        value = getattr(loaded.settings, item["setting"])
        secret = value.get_secret_value() if isinstance(value, SecretStr) else None
    return Setting(str(item["shown"]), str(item["origin"]), secret)
