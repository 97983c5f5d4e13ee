"""The plan as the text of a crontab, for a user's own or for /etc/cron.d. Pure.

Each line stands by itself: absolute paths, SHELL, PATH and MAILTO said anew, so that nothing depends on what stands
above it or on the shell of a person. A job whose command this version does not have yet is a comment, and becomes a
line when the text is made again by a version that has it.
"""

import shlex
import textwrap
from collections.abc import Collection, Iterator, Sequence

from jobctl.schedule.command_line import SCHEDULED
from jobctl.schedule.crontab_text import read_assignment
from jobctl.schedule.plan import JobSchedule
from jobctl.schedule.target import Target

SHELL = "/bin/sh"
PATH = "/usr/local/bin:/usr/bin:/bin"
WIDTH = 110
LONGEST_COMMAND = 990  # cron reads 999 characters, and passes over the whole file for one line that is longer


def crontab_body(
    plan: Sequence[JobSchedule], target: Target, commands: Collection[str], *, with_user: bool = False
) -> str:
    """The lines between the marks. `commands` are those of this version; `with_user` for /etc/cron.d.

    Raises ValueError for a command that cron could not read."""
    lines = [
        f"# Cron reads the times in the zone of this machine, here {target.zone}; TZ is for the commands alone.",
        "# Change times, options and owners in jobctl.toml, then: jobctl schedule install",
        *_assignments(target),
    ]
    for entry in plan:
        lines += ["", *_entry(entry, target, is_there=entry.job in commands, with_user=with_user)]
    return "".join(line + "\n" for line in lines)


def command_words(entry: JobSchedule, target: Target) -> tuple[str, ...]:
    """What is started, in a crontab and in a unit alike."""
    return (target.command, entry.job, SCHEDULED, *entry.options)


def cron_command(words: Sequence[str]) -> str:
    """As it stands in a crontab: quoted for the shell, then kept from cron, for which `%` ends a command."""
    text = shlex.join(words)
    if not text.isprintable():
        raise ValueError(f"{text!r} has a character in it that a crontab cannot carry")
    kept = text.replace("\\", "\\\\").replace("%", "\\%")
    if len(kept.encode()) > LONGEST_COMMAND:
        raise ValueError(f"the command of {words[1]} is longer than the {LONGEST_COMMAND} characters that cron reads")
    return kept


def comment(text: str) -> list[str]:
    wrapped = textwrap.wrap(text, WIDTH, break_long_words=False, break_on_hyphens=False)
    return [f"# {line}" for line in wrapped]


def _assignments(target: Target) -> Iterator[str]:
    variables = {"SHELL": SHELL, "PATH": PATH, "MAILTO": target.mailto, **target.variables()}
    return (_assignment(name, value) for name, value in variables.items())


def _assignment(name: str, value: str) -> str:
    """In the plainest form that cron reads back as this value."""
    for written in (f"{name}={value}", f'{name}="{value}"', f"{name}='{value}'"):
        if read_assignment(written) == (name, value):
            return written
    raise ValueError(f"{name} cannot be set to {value!r} in a crontab")


def _entry(entry: JobSchedule, target: Target, *, is_there: bool, with_user: bool) -> Iterator[str]:
    state = "" if is_there else ", planned: this version has no such command yet"
    yield from comment(f"{entry.job}{state}. {entry.at.in_words()}.")
    yield from comment(entry.why)
    user = f"{target.os_user}  " if with_user else ""
    yield f"{'' if is_there else '# '}{entry.at}  {user}{cron_command(command_words(entry, target))}"
