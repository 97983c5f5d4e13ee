"""What all checks are told: who asks, whom cron runs for, which settings there are by day and by night."""

import socket
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from jobctl.clock import utc_now
from jobctl.monitor.doctor.account import Account, account_named, current_account
from jobctl.monitor.doctor.finding import NotAsked
from jobctl.monitor.doctor.link import Link
from jobctl.schedule.finding import CommandShape
from jobctl.schedule.installed import InstalledLine
from jobctl.settings import Settings
from jobctl.settings_reading.fault import Fault, InvalidSettings
from jobctl.settings_reading.load import Loaded, load

if TYPE_CHECKING:
    from jobctl.monitor.doctor.crontabs import CrontabFile

T = TypeVar("T")

# What Debian's cron gives a command, whatever the shell of the user has.
CRON_SHELL = "/bin/sh"
CRON_PATH = "/usr/bin:/bin"
# crontab(1) may hang on a directory service that does not answer.
CRONTAB_LIMIT_S = 1.5


@dataclass(frozen=True, slots=True)
class Situation:
    """`loaded` are the settings as this process sees them, `by_night` as a command that cron starts will."""

    now: datetime
    me: Account
    cron_user: Account
    crontabs: tuple["CrontabFile", ...]
    lines: tuple[InstalledLine, ...]
    cron_environment: Mapping[str, str]
    loaded: Loaded | None
    by_night: Loaded | None
    faults: tuple[Fault, ...]
    link: Link
    commands: Mapping[str, CommandShape] = field(default_factory=dict[str, CommandShape])
    sends_test: bool = False
    crontab_is_silent: bool = False
    host: str = field(default_factory=socket.gethostname)

    @property
    def settings(self) -> Settings:
        if self.loaded is None:
            raise NotAsked("the settings are faulty")
        return self.loaded.settings

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that settings are read from, by day and by night."""
        read = [loaded.files for loaded in (self.loaded, self.by_night) if loaded is not None]
        return tuple(dict.fromkeys(path for files in read for path in files))


def look_around(
    *,
    user: str | None = None,
    sends_test: bool = False,
    commands: Mapping[str, CommandShape] | None = None,
    now: Callable[[], datetime] = utc_now,
) -> Situation:
    """Take in the situation of this machine. `user` is whom cron runs for; else the installed lines tell.

    `commands` are those of this program, by which lint judges the installed lines."""
    from jobctl.monitor.doctor.crontabs import environment_of_ours, installed_crontabs
    from jobctl.schedule.installed import read_installed

    me = current_account()
    installed = _within(CRONTAB_LIMIT_S, lambda: read_installed(user or me.name))
    lines = tuple(installed or ())
    named = user or next((line.os_user for line in lines), me.name)
    account = account_named(named) or me
    texts = _within(CRONTAB_LIMIT_S, lambda: installed_crontabs(account.name)) if installed is not None else None
    crontabs = tuple(texts or ())
    environment = {
        "HOME": str(account.home),
        "LOGNAME": account.name,
        "SHELL": CRON_SHELL,
        "PATH": CRON_PATH,
        **environment_of_ours(crontabs, account.name),
    }
    loaded, faults = _load(None)
    return Situation(
        now=now(),
        me=me,
        cron_user=account,
        crontabs=crontabs,
        lines=lines,
        cron_environment=environment,
        loaded=loaded,
        by_night=_load(environment)[0],
        faults=faults,
        link=Link(loaded.settings if loaded else None),
        commands=commands or {},
        sends_test=sends_test,
        crontab_is_silent=texts is None,
    )


def _within(limit_s: float, ask: Callable[[], T]) -> T | None:
    """What `ask` gives, or None after the limit; the thread that waits for it is left behind."""
    answers: list[T] = []
    thread = threading.Thread(target=lambda: answers.append(ask()), name="doctor", daemon=True)
    thread.start()
    thread.join(limit_s)
    return answers[0] if answers else None


def _load(environ: Mapping[str, str] | None) -> tuple[Loaded | None, tuple[Fault, ...]]:
    try:
        return load(environ=environ), ()
    except InvalidSettings as error:
        return None, error.faults
