"""What this machine's cron (and systemd) was told to start of ours, and the zone in which it reads times.

A line counts as installed as soon as it stands where cron looks, even if cron then ignores its file for a fault in it:
its runs are expected, and that they stay away must be seen. Only files in cron.d whose names cron never looks at
(`jobctl.bak`, `jobctl.dpkg-old`) do not count, nor timers that are not enabled. What may not be read is skipped: an
ordinary user does not see other users' crontabs.
"""

import os
import re
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from jobctl.accounts import current_user
from jobctl.schedule.command_line import jobctl_words
from jobctl.schedule.crontab_text import read_crontab
from jobctl.schedule.expression import Expression, ExpressionError, parse

ETC = Path("/etc")
CRONTAB = ("crontab",)
CRONTAB_LIMIT_S = 10
LARGEST_FILE = 1 << 20
# Names that cron looks at in cron.d, after run-parts(8).
CRON_D_NAME = re.compile(r"[A-Za-z0-9_-]+")
# In our timers, which systemd ignores: the cron expression that OnCalendar was made from.
TIMER_KEY = "X-Jobctl-Cron"


@dataclass(frozen=True, slots=True)
class InstalledLine:
    """`source` is `crontab`, the path of a system crontab, or `systemd`; `command` is the line's, as it stands."""

    source: str
    os_user: str
    expression: Expression
    zone: str
    job: str
    scope: str
    command: str
    is_scheduled: bool


def read_installed(os_user: str, *, etc: Path = ETC, crontab: Sequence[str] = CRONTAB) -> list[InstalledLine]:
    """Our lines in the user's crontab, /etc/crontab, /etc/cron.d (each with the user it names) and our timers."""
    zone = cron_zone(etc)
    lines: list[InstalledLine] = []
    text = user_crontab(os_user, crontab=crontab)
    if text is not None:
        lines.extend(_of_crontab(text, "crontab", os_user, zone))
    for path in system_crontabs(etc):
        text = _read(path)
        if text is not None:
            lines.extend(_of_crontab(text, f"/etc/{path.relative_to(etc)}", None, zone))
    lines.extend(_of_timers(etc / "systemd/system", zone))
    return lines


def user_crontab(os_user: str, *, crontab: Sequence[str] = CRONTAB) -> str | None:
    """The user's crontab; empty where there is none, None where it cannot be read (another user's, no crontab(1))."""
    command = [*crontab, "-l"]
    if os_user != current_user():
        if os.geteuid() != 0:
            return None
        command = [*crontab, "-u", os_user, "-l"]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=CRONTAB_LIMIT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    if done.returncode != 0:
        return "" if b"no crontab for" in done.stderr else None
    return done.stdout.decode("utf-8", "replace")


def system_crontabs(etc: Path = ETC) -> list[Path]:
    """/etc/crontab and the files of cron.d that cron looks at, in their order."""
    try:
        names = sorted(path for path in (etc / "cron.d").iterdir() if CRON_D_NAME.fullmatch(path.name))
    except OSError:
        names = []
    return [path for path in (etc / "crontab", *names) if path.is_file()]


def cron_zone(etc: Path = ETC) -> str:
    """The zone cron works in: that of /etc/localtime, where that does not tell its name /etc/timezone, else UTC."""
    localtime = etc / "localtime"
    try:
        target = str(localtime.resolve(strict=True)) if localtime.is_symlink() else ""
    except (OSError, RuntimeError):
        target = str(localtime.readlink())  # it points to nothing here, but it may name the zone
    named = (target.partition("zoneinfo/")[2], (_read(etc / "timezone") or "").strip())
    return next((zone for zone in named if _is_zone(zone)), "UTC")


def _of_crontab(text: str, source: str, os_user: str | None, zone: str) -> Iterator[InstalledLine]:
    """`os_user` is None for a system crontab, whose entries name their user."""
    for entry in read_crontab(text, is_system=os_user is None).entries:
        line = _line(source, os_user or entry.user or "", entry.schedule, zone, entry.command, entry.program)
        if line is not None:
            yield line


def _line(source: str, os_user: str, schedule: str, zone: str, command: str, program: str) -> InstalledLine | None:
    words = jobctl_words(program)
    if words is None:
        return None
    try:
        expression = parse(schedule)
    except ExpressionError:  # @reboot has no slots; the rest is lint's to tell
        return None
    return InstalledLine(source, os_user, expression, zone, words.job, words.scope, command, words.is_scheduled)


def _of_timers(directory: Path, zone: str) -> Iterator[InstalledLine]:
    try:
        timers = sorted(directory.glob("jobctl-*.timer"))
    except OSError:
        return
    for path in timers:
        if not os.path.lexists(directory / "timers.target.wants" / path.name):
            continue
        timer = unit_values(_read(path) or "")
        schedule = timer.get(("Timer", TIMER_KEY), [""])[-1]
        service = timer.get(("Timer", "Unit"), [path.stem + ".service"])[-1]
        values = unit_values(_read(directory / service) or "")
        command = next(iter(values.get(("Service", "ExecStart"), [])), "")
        os_user = values.get(("Service", "User"), ["root"])[-1]
        program = command.lstrip("-@:+!").replace("%%", "%")
        line = _line("systemd", os_user, schedule, zone, command, program)
        if line is not None:
            yield line


def unit_values(text: str) -> dict[tuple[str, str], list[str]]:
    """The values of a unit file by section and key, in their order; an empty one takes back those before it."""
    values: dict[tuple[str, str], list[str]] = {}
    section = ""
    for line in text.replace("\\\n", " ").splitlines():
        row = line.strip()
        key, equals, value = row.partition("=")
        if row.startswith("[") and row.endswith("]"):
            section = row[1:-1]
        elif equals and row[0] not in "#;":
            known = values.setdefault((section, key.strip()), [])
            if value.strip():
                known.append(value.strip())
            else:
                known.clear()
    return {name: found for name, found in values.items() if found}


def _is_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (OSError, ValueError, ZoneInfoNotFoundError):
        return False
    return bool(name)


def _read(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            return file.read(LARGEST_FILE).decode("utf-8", "replace")
    except OSError:
        return None
