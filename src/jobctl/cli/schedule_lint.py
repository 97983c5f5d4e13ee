"""`jobctl schedule lint`: from a file and where it lies to findings, and how they are shown."""

import stat
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from jobctl.cli import render
from jobctl.errors import ConfigurationError, UsageError

if TYPE_CHECKING:
    from jobctl.schedule.finding import CommandShape, FileFacts, Finding

ETC = Path("/etc")
SPOOL = Path("/var/spool/cron/crontabs")
STDIN = "-"
LARGEST_FILE = 1 << 22


@dataclass(frozen=True, slots=True)
class Checked:
    file: str
    is_system: bool
    zone: str
    findings: "tuple[Finding, ...]"

    def count(self, severity: str) -> int:
        return sum(finding.severity == severity for finding in self.findings)

    def is_in_order(self, *, strict: bool) -> bool:
        return not self.count("error") and not (strict and self.count("warning"))

    def as_json(self, *, strict: bool) -> dict[str, object]:
        items = [
            {
                "code": finding.code,
                "severity": finding.severity,
                "line": finding.line,
                "what": finding.what,
                "why": finding.why,
                "mend": finding.mend,
            }
            for finding in self.findings
        ]
        return {
            "ok": self.is_in_order(strict=strict),
            "items": items,
            "next": None,
            "file": self.file,
            "system": self.is_system,
            "zone": self.zone,
        }


def check(
    file: str,
    commands: "Mapping[str, CommandShape]",
    *,
    is_system: bool | None,
    zone: str | None,
    is_here: bool | None,
) -> Checked:
    from jobctl import clock
    from jobctl.schedule.finding import Known, Place
    from jobctl.schedule.installed import cron_zone
    from jobctl.schedule.lint import lint
    from jobctl.schedule.plan import PLAN

    path = Path(file)
    text = _text(file)
    directory = path.absolute().parent if file != STDIN else None
    is_installed = directory in (ETC, ETC / "cron.d", SPOOL)
    if is_system is None:
        is_system = directory is not None and (directory.name == "cron.d" or path.absolute() == ETC / "crontab")
    if is_here is None:
        is_here = is_installed
    place = Place(
        is_system=is_system,
        cron_d_name=path.name if is_system and directory is not None and directory.name == "cron.d" else None,
        facts=_facts(path) if is_installed else None,
    )
    known = Known(
        zone=_zone(zone or cron_zone()),
        now=clock.utc_now(),
        commands=commands,
        planned_jobs=tuple(entry.job for entry in PLAN),
        max_runtime_s=_limits(),
        users=_users() if is_here else None,
        exists=_exists if is_here else None,
    )
    return Checked(file, is_system, known.zone, lint(text, place, known))


def print_findings(checked: Checked) -> None:
    """Three lines a finding, as a compiler would say them; on a terminal also that there are none."""
    for finding in checked.findings:
        where = f"{checked.file}:{finding.line}" if finding.line else checked.file
        render.print_text(f"{where}: {finding.severity}: {finding.what} [{finding.code}]")
        render.print_text(f"    why:  {finding.why}\n    mend: {finding.mend}")
    counts = ", ".join(
        f"{number} {severity}{'' if number == 1 else 's'}"
        for severity in ("error", "warning", "note")
        if (number := checked.count(severity))
    )
    kind = "system crontab" if checked.is_system else "user crontab"
    if counts or sys.stderr.isatty():
        render.note(f"{checked.file}: {counts or 'nothing to say against it'} (read as a {kind}, zone {checked.zone})")


def _text(file: str) -> str:
    try:
        if file == STDIN:
            data = sys.stdin.buffer.read(LARGEST_FILE + 1)
        else:
            with Path(file).open("rb") as opened:
                data = opened.read(LARGEST_FILE + 1)
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}", hint="name a crontab, or - for stdin") from None
    if len(data) > LARGEST_FILE:
        raise UsageError(f"{file} is larger than 4 MiB", hint="name a crontab")
    return data.decode("utf-8", "replace")


def _zone(name: str) -> str:
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    try:
        return ZoneInfo(name).key
    except (OSError, ValueError, ZoneInfoNotFoundError):
        raise UsageError(
            f"--zone {name!r} is not a time zone this machine knows", hint="such as Europe/Berlin"
        ) from None


def _facts(path: Path) -> "FileFacts":
    import pwd

    from jobctl.schedule.finding import FileFacts

    status = path.stat()
    try:
        owner = pwd.getpwuid(status.st_uid).pw_name
    except KeyError:
        owner = str(status.st_uid)
    return FileFacts(owner, stat.S_IMODE(status.st_mode), status.st_nlink)


def _limits() -> dict[str, int]:
    """Max runtimes of the settings; a crontab can be judged also where the settings are at fault."""
    from jobctl.cli.session import current_settings
    from jobctl.schedule.command_line import RUN
    from jobctl.settings_runtimes import DEFAULT_MAX_RUNTIME_S, OTHER_MAX_RUNTIME_S

    try:
        limits = current_settings().max_runtime_s
    except ConfigurationError:
        limits = DEFAULT_MAX_RUNTIME_S
    return {RUN: OTHER_MAX_RUNTIME_S, **limits}


def _users() -> set[str]:
    import pwd

    return {entry.pw_name for entry in pwd.getpwall()}


def _exists(path: str) -> bool:
    try:
        Path(path).stat()
    except FileNotFoundError:
        return False
    except (OSError, ValueError):
        return True  # a file we may not look for may be there
    return True
