"""Faults of jobctl's own commands in a crontab: a job that is not there, an option it does not have. Pure."""

import difflib
from collections.abc import Collection, Iterator, Sequence

from jobctl.durations import parse_duration
from jobctl.schedule.command_line import RUN, SCHEDULED, JobWords, jobctl_words
from jobctl.schedule.crontab_text import Entry
from jobctl.schedule.expression import AT_BOOT
from jobctl.schedule.finding import Case, CommandShape, Finding
from jobctl.schedule.lint_lines import is_broken

DURATIONS = frozenset({"--max-runtime", "--max-age"})
NOTHING_RUNS = "cron starts it, it ends with exit 2, and nothing is done"


def lint_jobctl(case: Case) -> Iterator[Finding]:
    if not case.known.commands:
        return
    for entry in case.crontab.entries:
        words = None if is_broken(entry, case.crontab) else jobctl_words(entry.program)
        if words is not None:
            yield from _command(case, entry, words)


def _command(case: Case, entry: Entry, words: JobWords) -> Iterator[Finding]:
    commands = case.known.commands
    name = next((name for name in (" ".join(words.words[:2]), words.job) if name in commands), None)
    if name is None:
        yield _unknown_job(case, entry, words)
        return
    shape = commands[name]
    rest = words.words[len(name.split()) :]
    yield from _words_after(entry, name, shape, rest)
    is_job = words.job in {RUN, *case.known.planned_jobs}
    if is_job and SCHEDULED in shape.options and not words.is_scheduled and entry.schedule != AT_BOOT:
        yield Finding(
            "not-scheduled",
            "warning",
            entry.number,
            f"{name} is started without {SCHEDULED}",
            "its run answers for no slot: two hosts do it twice, and a pause and a catch-up pass it by",
            f"write {name} {SCHEDULED} ...",
        )


def _unknown_job(case: Case, entry: Entry, words: JobWords) -> Finding:
    names = case.known.commands
    group = any(name.startswith(words.job + " ") for name in names)
    said = " ".join(words.words[:2]) if group else words.job
    if words.job in case.known.planned_jobs:
        mend = "comment the line out until the version that has it is installed"
    else:
        close = _close(said, [*names, *case.known.planned_jobs])
        mend = f"did you mean {close}?" if close else "jobctl --help lists the commands there are"
    what = f"there is no command jobctl {said}" + (" in this version" if words.job in case.known.planned_jobs else "")
    return Finding("unknown-job", "error", entry.number, what, NOTHING_RUNS, mend)


def _words_after(entry: Entry, name: str, shape: CommandShape, words: Sequence[str]) -> Iterator[Finding]:
    """Options and arguments behind the command's name, read as the command would read them."""
    arguments = 0
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word == "--":
            arguments += len(rest)
            break
        if not word.startswith("-") or word == "-":
            arguments += 1
            continue
        option, equals, value = word.partition("=") if word.startswith("--") else (word[:2], "", word[2:])
        if option not in shape.options:
            close = _close(option, shape.options)
            mend = f"did you mean {close}?" if close else f"jobctl {name} --help lists its options"
            yield Finding("unknown-option", "error", entry.number, f"{name} has no option {option}", NOTHING_RUNS, mend)
            return  # whether it takes a value is unknown, so what follows cannot be read
        if not shape.options[option]:
            if value and not equals:
                rest.insert(0, "-" + value)
            continue
        if not value and not equals:
            value = rest.pop(0) if rest and not rest[0].startswith("--") else ""
        yield from _value(entry, name, option, value)
    if shape.arguments is not None and arguments > shape.arguments:
        what = f"{name} takes {shape.arguments or 'no'} words besides its options, and is given {arguments}"
        yield Finding(
            "arguments", "error", entry.number, what, NOTHING_RUNS, f"jobctl {name} --help shows how it is called"
        )


def _value(entry: Entry, name: str, option: str, value: str) -> Iterator[Finding]:
    problem = "needs a value" if not value else ""
    if value and option in DURATIONS:
        try:
            parse_duration(value)
        except ValueError as error:
            problem = f"has {value!r}, which {error}"
    if problem:
        mend = f"jobctl {name} --help tells what belongs there"
        yield Finding("option-value", "error", entry.number, f"{option} of {name} {problem}", NOTHING_RUNS, mend)


def _close(word: str, known: Collection[str]) -> str | None:
    return next(iter(difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)), None)
