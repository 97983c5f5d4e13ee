"""The jobctl command inside what a crontab line has the shell do. Pure.

It is found behind assignments (`TZ=UTC jobctl ...`), other commands (`cd /srv && jobctl ...`) and programs that start
programs (`exec`, `nice -n 5`, `flock FILE`, `sh -c '...'`), as `python -m jobctl`, and as one of our scripts, whose
name is that of the job (`scripts/ingest-branch.sh`).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from jobctl.schedule.plan import PLAN
from jobctl.schedule.shell_words import simple_commands

# The job of a wrapped command; its scope is the name it was given.
RUN = "run"
# By which option a job is limited to a scope.
LIMITS = {"work": "--type"}
LIMITS_OTHERS = "--branch"
SCHEDULED = "--scheduled"
# Options of `jobctl run` that take no value, so that its NAME is found behind them. A test holds them to the command.
FLAGS = frozenset({SCHEDULED, "--leave-children", "--dry-run", "--json", "--verbose", "-v", "--quiet", "-q"})

ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=.*", re.DOTALL)
SHELL_WORDS = frozenset({"!", "{", "if", "then", "else", "elif", "do", "while", "until"})
SHELLS = frozenset({"sh", "bash", "dash", "ash", "zsh", "ksh"})
PYTHON = re.compile(r"python(3(\.\d+)?)?")
# Programs that start the program named in their words: options of theirs that take a value, and words before it.
STARTERS: dict[str, tuple[frozenset[str], int]] = {
    "exec": (frozenset({"-a"}), 0),
    "command": (frozenset(), 0),
    "env": (frozenset({"-u", "--unset", "-C", "--chdir"}), 0),
    "nohup": (frozenset(), 0),
    "setsid": (frozenset(), 0),
    "time": (frozenset({"-o", "-f"}), 0),
    "nice": (frozenset({"-n", "--adjustment"}), 0),
    "ionice": (frozenset({"-c", "--class", "-n", "--classdata"}), 0),
    "chrt": (frozenset(), 1),
    "taskset": (frozenset(), 1),
    "stdbuf": (frozenset({"-i", "-o", "-e"}), 0),
    "timeout": (frozenset({"-s", "--signal", "-k", "--kill-after"}), 1),
    "flock": (frozenset({"-w", "--wait", "--timeout", "-E", "--conflict-exit-code"}), 1),
    "sudo": (frozenset({"-u", "--user", "-g", "--group", "-D", "--chdir"}), 0),
    "runuser": (frozenset({"-u", "--user", "-g", "--group"}), 0),
    "systemd-cat": (frozenset({"-t", "--identifier", "-p", "--priority"}), 0),
    "chronic": (frozenset(), 0),
}


@dataclass(frozen=True, slots=True)
class JobWords:
    """`words` are those after `jobctl`, the job first. `scope` is empty where the command is not limited to one."""

    job: str
    scope: str
    words: tuple[str, ...]
    is_scheduled: bool


def jobctl_words(command: str) -> JobWords | None:
    """The first jobctl command in a shell command line, None where there is none."""
    for simple in simple_commands(command):
        words = program_words(simple.words)
        found = _jobctl(words)
        if found is None:
            inner = _inner_command(words)
            if inner is not None and (nested := jobctl_words(inner)) is not None:
                return nested
            continue
        while found and found[0].startswith("-"):
            found = found[1:]
        if found:
            own = _own(found)
            return JobWords(found[0], scope_of(found), found, SCHEDULED in own)
    return None


def program_words(words: Sequence[str]) -> tuple[str, ...]:
    """The words from the program that is really started: without assignments and programs that start programs."""
    rest = tuple(words)
    while rest:
        name = _name(rest[0])
        if ASSIGNMENT.fullmatch(rest[0]) or name in SHELL_WORDS:
            rest = rest[1:]
        elif name in STARTERS:
            started = _behind(rest[1:], *STARTERS[name])
            if not started or started[0] == "-c":
                return rest
            rest = started
        else:
            break
    return rest


def scope_of(words: Sequence[str]) -> str:
    """What the command is limited to: the name of a wrapped command, branches, types of tasks."""
    own = _own(words)
    if own[0] == RUN:
        return next(iter(_positional(own[1:])), "")
    limits = LIMITS.get(own[0], LIMITS_OTHERS)
    spaced = [part for word in own for part in word.split("=", maxsplit=1 if word.startswith(f"{limits}=") else 0)]
    return ",".join(value for option, value in pairwise(spaced) if option == limits)


def _jobctl(words: Sequence[str]) -> tuple[str, ...] | None:
    """The words after `jobctl`, however it is called."""
    if not words:
        return None
    name = _name(words[0])
    rest = tuple(words[1:])
    if name == "jobctl":
        return rest
    if PYTHON.fullmatch(name) and "-m" in rest and rest[rest.index("-m") + 1 :][:1] == ("jobctl",):
        return rest[rest.index("-m") + 2 :]
    if name in SHELLS:
        script = _behind(rest, frozenset({"-o"}), 0)
        return _script(script) if "-c" not in rest[: len(rest) - len(script)] else None
    return _script(words)


def _script(words: Sequence[str]) -> tuple[str, ...] | None:
    if not words or not words[0].endswith(".sh"):
        return None
    directory, _, name = words[0].rpartition("/")
    job = name.removesuffix(".sh")
    is_ours = _name(directory) == "scripts" and job in {RUN, *(entry.job for entry in PLAN)}
    return (job, *words[1:]) if is_ours else None


def _inner_command(words: Sequence[str]) -> str | None:
    """The text that `sh -c TEXT` or `flock FILE -c TEXT` has a shell do."""
    if words and (_name(words[0]) in SHELLS or _name(words[0]) in STARTERS):
        for position, word in enumerate(words[:-1]):
            if re.fullmatch(r"-[a-z]*c", word):
                return words[position + 1]
    return None


def _behind(words: Sequence[str], with_value: frozenset[str], positional: int) -> tuple[str, ...]:
    """What is left behind options and that many other words."""
    position = 0
    while position < len(words) and words[position].startswith("-") and words[position] != "-c":
        position += 2 if words[position] in with_value else 1
    return tuple(words[position + positional :])


def _positional(words: Sequence[str]) -> list[str]:
    found: list[str] = []
    takes_value = False
    for word in words:
        if takes_value:
            takes_value = False
        elif not word.startswith("-"):
            found.append(word)
        else:
            takes_value = "=" not in word and word not in FLAGS
    return found


def _own(words: Sequence[str]) -> tuple[str, ...]:
    """The words of jobctl itself: those before `--`."""
    return tuple(words[: words.index("--")]) if "--" in words else tuple(words)


def _name(word: str) -> str:
    return word.rpartition("/")[2]
