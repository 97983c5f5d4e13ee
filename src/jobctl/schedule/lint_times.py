"""Faults of when a line fires: never, too often, not when it seems, or twice with another line. Pure."""

import re
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, timedelta
from itertools import combinations, islice, pairwise, takewhile
from zoneinfo import ZoneInfo

from jobctl.durations import format_duration, parse_duration
from jobctl.schedule.clock_changes import ClockChange, clock_changes
from jobctl.schedule.command_line import RUN, JobWords, jobctl_words
from jobctl.schedule.crontab_text import Entry
from jobctl.schedule.expression import AT_BOOT, Expression, ExpressionError
from jobctl.schedule.fields import match_wall_clock
from jobctl.schedule.finding import Case, Finding
from jobctl.schedule.lint_lines import IGNORED, is_broken

LOOK_AHEAD = timedelta(days=8)
MOST_SLOTS = 400
MOST_MEETINGS = 60
YEAR = timedelta(days=366)
FOREIGN = re.compile(r".*[?#].*|[0-9]*L|LW|[0-9]+W|H(/.*|\(.*)?", re.IGNORECASE)


def lint_times(case: Case) -> Iterator[Finding]:
    timed: list[tuple[Entry, Expression]] = []
    changes = clock_changes(ZoneInfo(case.known.zone), case.known.now, case.known.now + YEAR)
    for entry in case.crontab.entries:
        if is_broken(entry, case.crontab):
            continue
        if entry.schedule == AT_BOOT:
            yield from _at_boot(case, entry)
            continue
        try:
            expression = entry.expression()
        except ExpressionError as error:
            yield _unreadable(entry, str(error))
            continue
        timed.append((entry, expression))
        yield from _surprising(entry, expression)
        yield from _clock(case, entry, expression, changes)
        yield from _runtime(case, entry, expression)
    yield from _pairs(case, timed)


def _unreadable(entry: Entry, problem: str) -> Finding:
    if "never comes" in problem:
        return Finding(
            "never",
            "error",
            entry.number,
            problem,
            "the line never runs, and nothing says so",
            "name a day that exists",
        )
    if not entry.schedule.startswith("@") and any(map(FOREIGN.fullmatch, entry.schedule.split())):
        return Finding(
            "foreign-syntax",
            "error",
            entry.number,
            problem,
            f"L, W, #, H and ? belong to other schedulers; {IGNORED}, or reads something else",
            "write plain numbers, names, *, lists, ranges and steps",
        )
    return Finding(
        "expression",
        "error",
        entry.number,
        problem,
        f"{IGNORED}, or never starts the line",
        "write minute 0-59, hour 0-23, day 1-31, month 1-12, day of week 0-7, ranges with the smaller value first",
    )


def _at_boot(case: Case, entry: Entry) -> Iterator[Finding]:
    words = jobctl_words(entry.program)
    if words is not None and words.job in {RUN, *case.known.planned_jobs}:
        yield Finding(
            "reboot",
            "error",
            entry.number,
            f"{words.job} is started at boot only",
            "there is no slot that could be missed or caught up, and a machine that stays up never runs it",
            "give it five fields; missed slots are caught up by the schedule's catch_up",
        )


def _surprising(entry: Entry, expression: Expression) -> Iterator[Finding]:
    minute, hour, day, _, weekday = expression.fields
    if not day.startswith("*") and not weekday.startswith("*"):
        yield Finding(
            "either-day",
            "warning",
            entry.number,
            f"day of month {day} and day of week {weekday} are both given",
            "cron runs the line on each day that matches either of them, not only where both do",
            "restrict one of them, and test the other in the command: [ $(date +\\%u) = 1 ] && ...",
        )
    if minute in ("*", "*/1") and re.fullmatch(r"[0-9]+(,[0-9]+)*", hour):
        yield Finding(
            "every-minute",
            "warning",
            entry.number,
            f"the line runs in each minute of hour {hour}, sixty times",
            "a * in the first field means every minute, not once in the hour",
            f"write the minute: 0 {hour} ...; where each minute is meant, 0-59",
        )


def _clock(case: Case, entry: Entry, expression: Expression, changes: list[ClockChange]) -> Iterator[Finding]:
    if expression.fields[1].startswith("*"):
        return
    for change in changes:
        hit = next((moment for moment in change.minutes() if match_wall_clock(expression, moment).is_matched), None)
        if hit is None:
            continue
        day = f"{hit:%Y-%m-%d %H:%M} in {case.known.zone}"
        if expression.is_at_fixed_times:
            what = f"{day} is a time that the clocks skip" if change.is_gap else f"{day} comes twice"
            moved = (
                "cron runs the line when the gap ends" if change.is_gap else "cron runs the line the first time only"
            )
            yield Finding(
                "clock-change", "note", entry.number, what, moved, "choose a time before 01:00 or after 03:00"
            )
        else:
            what = f"the runs of {day} are left out" if change.is_gap else f"the runs of {day} come twice"
            why = "with a * in the minute cron goes by the wall clock when the clocks change"
            yield Finding(
                "clock-change", "warning", entry.number, what, why, "choose another hour, or write the minutes out"
            )


def _runtime(case: Case, entry: Entry, expression: Expression) -> Iterator[Finding]:
    """A run that may last longer than until the next start makes that start a skip."""
    words = jobctl_words(entry.program)
    if words is None:
        return
    given = value_of(words, "--max-runtime")
    try:
        limit = parse_duration(given) if given is not None else case.known.max_runtime_s.get(words.job)
    except ValueError:
        return  # told as an option's bad value
    interval = _shortest_interval(case, expression)
    if limit is not None and interval is not None and limit > interval:
        yield Finding(
            "max-runtime",
            "error" if given is not None else "warning",
            entry.number,
            f"{words.job} may run {format_duration(limit)}, but the next start is {format_duration(interval)} later",
            "the next start finds the lock held and is skipped",
            f"give --max-runtime {format_duration(max(interval - 60, 30))}, or start it less often",
        )


def value_of(words: JobWords, option: str) -> str | None:
    """The value of an option of jobctl's own, None where it was not given."""
    own = words.words[: words.words.index("--")] if "--" in words.words else words.words
    for word, following in pairwise([*own, ""]):
        if word == option:
            return following
        if word.startswith(option + "="):
            return word.partition("=")[2]
    return None


def _shortest_interval(case: Case, expression: Expression) -> int | None:
    """Seconds between two slots, at least; by a clock that never changes, so that one day a year does not decide."""
    end = case.known.now + LOOK_AHEAD
    coming = expression.after(case.known.now, UTC)
    slots = list(islice(coming, 2))
    slots += islice(takewhile(lambda slot: slot <= end, coming), MOST_SLOTS)
    return min((int((later - earlier).total_seconds()) for earlier, later in pairwise(slots)), default=None)


def _pairs(case: Case, timed: list[tuple[Entry, Expression]]) -> Iterator[Finding]:
    """Lines that are there twice, and lines that are kept apart by a lock although they start in one minute."""
    lines: dict[tuple[str, str, str], list[Entry]] = defaultdict(list)
    for entry, expression in timed:
        lines[(expression.text, entry.user or "", " ".join(entry.command.split()))].append(entry)
    doubled: set[int] = set()
    for first, *others in lines.values():
        for other in others:
            doubled.add(other.number)
            yield Finding(
                "duplicate",
                "error",
                other.number,
                f"the line is the same as line {first.number}",
                "cron starts the command twice in the same minute",
                "take one of them away",
            )
    jobs = [
        (entry, expression, words)
        for entry, expression in timed
        if entry.number not in doubled and (words := jobctl_words(entry.program)) is not None
    ]
    for (first, one, words), (other, two, others_words) in combinations(jobs, 2):
        if _lock_each_other(words, others_words) and _meet(case, one, two):
            yield Finding(
                "same-minute",
                "error",
                other.number,
                f"starts {_named(others_words)} in a minute in which line {first.number} starts it too",
                "they take the same lock: one of the two is skipped each time",
                "take one line away, or start it in another minute",
            )


def _lock_each_other(one: JobWords, two: JobWords) -> bool:
    if one.job != two.job:
        return False
    scopes = [set(words.scope.split(",")) for words in (one, two)]
    everything = one.job != RUN and {""} in scopes
    return everything or bool(scopes[0] & scopes[1])


def _named(words: JobWords) -> str:
    return f"{words.job} {words.scope}".strip()


def _meet(case: Case, one: Expression, two: Expression) -> bool:
    """Whether a coming slot of either is one of the other's too; the rarer of the two decides."""
    zone = ZoneInfo(case.known.zone)
    end = case.known.now + YEAR
    for each, other in ((one, two), (two, one)):
        coming = takewhile(lambda slot: slot <= end, each.after(case.known.now, zone))
        if any(other.last_until(slot, zone) == slot for slot in islice(coming, MOST_MEETINGS)):
            return True
    return False
