"""Faults of what a crontab assigns: cron expands nothing, takes values as they stand, and knows few names. Pure."""

import re
from collections.abc import Iterator
from datetime import timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from jobctl.schedule.crontab_text import Assignment
from jobctl.schedule.finding import Case, Finding
from jobctl.schedule.secret_shapes import has_secret, names_secret

EXPANDED_BY_SHELLS = re.compile(r"\$\{?[A-Za-z_]|\$\(|`|(?:^|:)~(?:/|$)")
ZONE_OF_OTHER_CRONS = frozenset({"CRON_TZ", "RANDOM_DELAY", "START_HOURS_RANGE"})
FILES = frozenset({"JOBCTL_ENV_FILE", "JOBCTL_CONFIG", "JOBCTL_LOG_FILE"})
TO_BE_READ = frozenset({"JOBCTL_ENV_FILE", "JOBCTL_CONFIG"})
UNSAFE_ADDRESS = re.compile(r"[^A-Za-z0-9@!:%\-.,_+]")
HALF_A_YEAR = timedelta(days=182)
COMMENT = re.compile(r"\s#\s?\S")


def lint_environment(case: Case) -> Iterator[Finding]:
    entries = case.crontab.entries
    for line in case.crontab.assignments:
        yield from _expansion(line)
        yield from _zone(case, line)
        yield from _files(case, line)
        yield from _shell_and_mail(case, line)
        if _is_unquoted(line) and COMMENT.search(line.value):
            yield Finding(
                "inline-comment",
                "warning",
                line.number,
                f"a comment stands behind the value of {line.name}",
                "cron takes it for a part of the value",
                "put the comment on a line of its own",
            )
        if line.value and (names_secret(line.name, line.value) or has_secret(line.value)):
            yield secret(line.number, f"the value of {line.name}")
        if entries and line.number > entries[-1].number:
            yield Finding(
                "late-assignment",
                "warning",
                line.number,
                f"{line.name} is set below all entries",
                "an assignment holds only for the lines below it",
                "move it above the entries it is meant for",
            )


def secret(number: int, where: str) -> Finding:
    """The same words for assignments and commands; the secret itself is never shown."""
    return Finding(
        "secret",
        "error",
        number,
        f"there is a secret in {where}",
        "it is shown by crontab -l and in backups, in a command also by ps to every user and in cron's log",
        "put it into the file that JOBCTL_ENV_FILE names (mode 0600)",
    )


def _is_unquoted(line: Assignment) -> bool:
    return not line.text.rstrip().endswith(("'", '"'))


def _expansion(line: Assignment) -> Iterator[Finding]:
    found = EXPANDED_BY_SHELLS.search(line.value)
    if found and not names_secret(line.name, line.value):
        yield Finding(
            "no-expansion",
            "error",
            line.number,
            f"{line.name} has {found[0].strip(':')!r} in its value",
            "cron expands nothing in an assignment: programs get the value as it stands",
            "write the value out in full",
        )


def _zone(case: Case, line: Assignment) -> Iterator[Finding]:
    if line.name in ZONE_OF_OTHER_CRONS:
        yield Finding(
            "foreign-setting",
            "error",
            line.number,
            f"{line.name} means nothing to Debian's cron",
            f"it is known to other crons only; this one reads all times in the machine's zone, {case.known.zone}",
            f"take it away and write the times in {case.known.zone}",
        )
    elif line.name == "TZ" and not _is_same_zone(line.value.lstrip(":"), case):
        yield Finding(
            "zone",
            "warning",
            line.number,
            f"TZ={line.value} changes what programs show, not when cron starts them",
            f"cron reads the times of every crontab in the machine's zone, {case.known.zone}",
            f"write the times in {case.known.zone}, or set the zone on the command: TZ={line.value} jobctl ...",
        )


def _is_same_zone(name: str, case: Case) -> bool:
    """Also under another name (`UTC`, `Etc/UTC`): the clocks show the same in winter and in summer."""
    try:
        zones = (ZoneInfo(name), ZoneInfo(case.known.zone))
    except (OSError, ValueError, ZoneInfoNotFoundError):
        return False
    days = (case.known.now, case.known.now + HALF_A_YEAR)
    return all(day.astimezone(zones[0]).utcoffset() == day.astimezone(zones[1]).utcoffset() for day in days)


def _files(case: Case, line: Assignment) -> Iterator[Finding]:
    if line.name not in FILES or line.value in ("", "-") or EXPANDED_BY_SHELLS.search(line.value):
        return
    if not line.value.startswith("/"):
        yield Finding(
            "relative-file",
            "error",
            line.number,
            f"{line.name} names {line.value!r}, a relative path",
            "cron starts in the user's home directory, so that another file is meant, or none",
            "write the path from / on",
        )
    elif line.name in TO_BE_READ and case.known.exists is not None and not case.known.exists(line.value):
        yield Finding(
            "missing-file",
            "error",
            line.number,
            f"{line.name} names {line.value}, which does not exist",
            "every command would end with exit 78",
            "create it (deploy/env.example shows what belongs in it) or name another",
        )


def _shell_and_mail(case: Case, line: Assignment) -> Iterator[Finding]:
    if line.name == "SHELL":
        if not line.value.startswith("/"):
            yield _shell(line, "is no absolute path")
        elif case.known.exists is not None and not case.known.exists(line.value):
            yield _shell(line, "does not exist")
    elif line.name in ("MAILTO", "MAILFROM") and UNSAFE_ADDRESS.search(line.value):
        yield Finding(
            "mail-address",
            "warning",
            line.number,
            f"{line.name} has a character in it that cron refuses",
            "cron then sends no mail at all and logs UNSAFE MAIL",
            "part several addresses by commas, without spaces, and leave names away",
        )
    elif line.name == "PATH":
        odd = next((part for part in line.value.split(":") if not part.startswith("/")), None)
        if odd is not None and not EXPANDED_BY_SHELLS.search(odd):
            yield Finding(
                "path",
                "warning",
                line.number,
                f"PATH has {odd!r} in it" if odd else "PATH has an empty part",
                "it stands for a directory that depends on where the command is started",
                "name directories from / on",
            )


def _shell(line: Assignment, problem: str) -> Finding:
    return Finding(
        "shell",
        "error",
        line.number,
        f"SHELL={line.value} {problem}",
        "cron starts that very program for each line, so that no line runs",
        "write SHELL=/bin/sh or SHELL=/bin/bash",
    )
