"""Faults of the command on a line: what the shell gets, and whether cron's bare environment can start it. Pure."""

import re
from collections.abc import Iterator, Sequence

from jobctl.schedule.command_line import SHELLS, program_words
from jobctl.schedule.crontab_text import Entry
from jobctl.schedule.finding import Case, Finding
from jobctl.schedule.lint_environment import secret
from jobctl.schedule.lint_lines import is_broken
from jobctl.schedule.secret_shapes import has_secret
from jobctl.schedule.shell_words import SimpleCommand, simple_commands

CRONS_PATH = "/usr/bin:/bin"
PERCENT = re.compile(r"(?<!\\)%")
# Programs that do something with a standard input, so that a `%` in the line may be meant.
READS_INPUT = frozenset(
    {"mail", "mailx", "sendmail", "cat", "tee", "wall", "write", "at", "bc", "psql", "mysql", "sqlite3"}
)
# Programs that lie beside /usr/bin and /bin, or where their installer put them.
ELSEWHERE = re.compile(
    r"jobctl|anacron|badblocks|blkid|brew|bundle|composer|conda|docker-compose|fsck|fstrim|gem|ifconfig|ip6?tables"
    r"|kubectl|logrotate|np[mx]|nvm|poetry|poweroff|pyenv|rbenv|reboot|sendmail|service|shutdown|tune2fs|uv|wp|yarn|zfs|zpool"
)
BASH_ONLY = (
    (re.compile(r"(^|\s)&>"), "&>", "sh starts the command in the background and empties the file"),
    (re.compile(r"(^|[;&|]\s*|\s)\[\[\s"), "[[", "sh has only [, and takes [[ for a program"),
    (re.compile(r"(^|[;&|]\s*)source\s"), "source", "sh calls it . (a dot)"),
    (re.compile(r"<\("), "<(", "sh has no process substitution"),
    (re.compile(r"<<<"), "<<<", "sh has no here-strings"),
)


def lint_commands(case: Case) -> Iterator[Finding]:
    for entry in case.crontab.entries:
        if is_broken(entry, case.crontab):
            continue
        commands = simple_commands(entry.program)
        yield from _percent(entry, commands)
        yield from _start(case, entry, commands)
        yield from _bash(case, entry)
        if _throws_all_away(commands):
            yield Finding(
                "silent",
                "warning",
                entry.number,
                "all output is thrown away, errors too",
                "a failure leaves no trace; jobctl is silent on success and writes one line when it fails",
                "leave 2>&1 away, or append to a log file: >> /var/log/NAME.log 2>&1",
            )
        if has_secret(entry.command):
            yield secret(entry.number, "the command")


def _percent(entry: Entry, commands: Sequence[SimpleCommand]) -> Iterator[Finding]:
    if entry.stdin is None:
        return
    before, after = PERCENT.split(entry.command, maxsplit=1)
    programs = {program_words(command.words)[:1] for command in commands}
    reads_input = any(words and words[0].rpartition("/")[2] in READS_INPUT | SHELLS for words in programs)
    is_cut = _is_open(entry.program) or before.endswith("+") or after.startswith("{")
    if is_cut or not reads_input:
        yield Finding(
            "percent",
            "error" if is_cut else "warning",
            entry.number,
            f"the command ends at its first %: the shell gets {entry.program[-60:].strip()!r}",
            "a bare % ends a command in a crontab, and the rest becomes its standard input",
            "write each % as \\% (also within quotes)",
        )


def _is_open(program: str) -> bool:
    """Whether a quote or substitution was begun and not ended."""
    plain = re.sub(r"\\.", "", program)
    plain = re.sub(r"'[^']*'", "", plain)
    plain = re.sub(r'"[^"]*"', "", plain)
    return any(mark in plain for mark in "'\"") or plain.count("(") > plain.count(")") or plain.count("`") % 2 == 1


def _start(case: Case, entry: Entry, commands: Sequence[SimpleCommand]) -> Iterator[Finding]:
    environment = case.crontab.environment_of(entry)
    path = environment.get("PATH", CRONS_PATH)
    has_moved = False
    for command in commands:
        words = program_words(command.words)
        if not words:
            continue
        program = words[0]
        if program == "cd" and len(words) > 1 and words[1][0] in "/~$":
            has_moved = True
        elif "/" in program and program[0] not in "/~$" and not has_moved:
            yield Finding(
                "relative-command",
                "warning",
                entry.number,
                f"{program!r} is a relative path",
                "cron starts in the home directory of the user, whatever directory the crontab was written in",
                "write the path from / on, or cd to the directory first",
            )
        elif ELSEWHERE.fullmatch(program) and not set(path.split(":")) - set(CRONS_PATH.split(":")):
            yield Finding(
                "path",
                "error" if program == "jobctl" else "warning",
                entry.number,
                f"{program} is looked for in {path} only",
                "cron knows neither the login shell's PATH nor that of a virtual environment",
                f"write the full path of {program}, or set PATH above the line",
            )
        elif "PATH" in environment and "/" not in program and not {"/usr/bin", "/bin"} & set(path.split(":")):
            yield Finding(
                "path",
                "warning",
                entry.number,
                f"PATH leaves out /usr/bin and /bin, and {program} is named without its directory",
                "what the crontab sets stands in place of cron's own PATH",
                f"set PATH={path}:/usr/bin:/bin",
            )
            return


def _bash(case: Case, entry: Entry) -> Iterator[Finding]:
    shell = case.crontab.environment_of(entry).get("SHELL", "/bin/sh")
    if shell.rpartition("/")[2] not in ("sh", "dash"):
        return
    plain = re.sub(r"'[^']*'|\"[^\"]*\"", "''", entry.program)
    for shape, name, why in BASH_ONLY:
        if shape.search(plain):
            yield Finding(
                "bash-only",
                "error",
                entry.number,
                f"{name} is known to bash, but cron starts {shell}",
                why,
                "set SHELL=/bin/bash above the line, or write it for sh",
            )


def _throws_all_away(commands: Sequence[SimpleCommand]) -> bool:
    if not commands:
        return False
    goes_to = {"1": "cron", "2": "cron"}
    for redirection in commands[-1].redirections:
        if not redirection.operator.startswith((">", "&>")):
            continue
        target = redirection.target
        if redirection.operator == ">&" and target in ("1", "2"):
            goes_to[redirection.descriptor or "1"] = goes_to[target]
        elif redirection.operator.startswith("&") or (redirection.operator == ">&" and not redirection.descriptor):
            goes_to = {"1": target, "2": target}
        else:
            goes_to[redirection.descriptor or "1"] = target
    return goes_to["1"] == goes_to["2"] == "/dev/null"
