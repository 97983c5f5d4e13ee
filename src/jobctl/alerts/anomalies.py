"""A run beside its like: the completed runs of the same weekday and hour. How long, how much, how many failures. Pure.

What is usual and what is far off is usual.py's; which runs are its like, same_hour.py's. Here is what of a run is
compared, and the evidence in words.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, tzinfo
from typing import Final, NamedTuple

from jobctl.alerts import causes
from jobctl.alerts.conditions.judge import Judge, Settings, span, subject_of
from jobctl.alerts.conditions.run_fact import RunFact, told_of
from jobctl.alerts.same_hour import WEEKDAYS, days_ago
from jobctl.alerts.usual import Compared, Usual, compare, usual
from jobctl.alerts.verdict import About, Verdict, between
from jobctl.settings_conditions import ConditionSettings

DURATION: Final = "anomaly-duration"
ROWS: Final = "anomaly-rows"
ERRORS: Final = "anomaly-errors"

LEAST: Final[Mapping[str, str]] = {DURATION: "least_s", ROWS: "least_rows", ERRORS: "least_share"}
LEAST_SPREAD: Final[Mapping[str, float]] = {DURATION: 1.0, ROWS: 1.0, ERRORS: 0.01}
LEAST_RUNS: Final = 3  # fewer have no middle

# What the counts of a job call its rows.
COUNTED: Final[Mapping[str, tuple[str, ...]]] = {
    "ingest-branch": ("read",),
    "sync": ("issues_inserted", "issues_updated", "issues_unchanged"),
    "work": ("claimed",),
}


class Failing(NamedTuple):
    """What the counts of a job call its failures, of what they are a share, and how that is said."""

    failed: tuple[str, ...]
    of: str
    said: str


FAILING: Final[Mapping[str, Failing]] = {
    "ingest-branch": Failing(("rejected",), "read", "records were rejected"),
    "sync": Failing(("failed", "forbidden", "gone"), "projects", "projects failed"),
    "work": Failing(("failed", "retried"), "claimed", "tries failed"),
}


class Past(NamedTuple):
    """A completed run of a former day, at the same hour."""

    started_at: datetime
    duration_ms: int
    counts: Mapping[str, int]


def weeks_wanted(last: RunFact, job: str, scope: str, settings: Settings) -> float:
    """How much of the past is to be read. 0: nothing of this is on, or what this run did is so little that it is far
    from nothing. Most runs are as short as that, and then nothing is asked."""
    wanted = [0.0]
    for condition in (DURATION, ROWS, ERRORS):
        found = settings.get(condition)
        if found is not None and found.enabled and found.main_for(job, scope):
            value = _value(condition, last, job, found)
            if value is not None and not _is_little(condition, value, found):
                wanted.append(found.of("weeks"))
    return max(wanted)


def of_run(
    last: RunFact, past: Sequence[Past], job: str, scope: str, settings: Settings, zone: tzinfo
) -> list[Verdict]:
    """What the past of its weekday and hour says of a run that completed."""
    judge = Judge(settings, subject_of(job, scope), last.finished_at, About(job, scope, last.run_id, last.host))
    like = [(days_ago(each.started_at, last.started_at, zone), each) for each in past]
    for condition, cause, words in (
        (DURATION, causes.own("slow", job, scope), _of_duration),
        (ROWS, causes.own("rows", job, scope), _of_rows),
        (ERRORS, causes.own("run", job, scope, "Degraded"), _of_errors),
    ):
        found = judge.of(condition)
        score = found.main_for(job, scope) if found is not None else 0
        value = _value(condition, last, job, found) if found is not None and score else None
        if found is None or value is None:
            continue
        if _is_little(condition, value, found):
            judge.say(condition, False)
            continue
        compared = _compared(condition, value, like, job, found, score)
        if compared is not None:
            now, ever = words(compared, last, job)
            title = f"{subject_of(job, scope)}{now}; {_when(last.started_at, compared.usual, zone)} {ever}"
            way = "more" if compared.distance > 0 else "less"
            far = f"{abs(compared.distance) / compared.usual.spread:,.1f} spreads {way} than usual"
            facts = (("anomaly", far), *told_of(last))
            judge.say(condition, compared.is_firing, title=title, facts=facts, cause=cause)
    return judge.verdicts


def _compared(
    condition: str,
    value: float,
    like: Sequence[tuple[int, Past]],
    job: str,
    settings: ConditionSettings,
    score: float,
) -> Compared | None:
    """`like`: each with how many days ago it was. None: there is not enough to compare it with."""
    oldest = 7 * max(1, int(settings.of("weeks")))
    known = [
        (days % 7 == 0, of)
        for days, each in like
        if days <= oldest and (of := _value(condition, each, job, settings)) is not None
    ]
    at_least = max(LEAST_RUNS, int(settings.of("runs")))
    found = usual(known, at_least=at_least, least_spread=LEAST_SPREAD[condition])
    if found is None:
        return None
    least = settings.of(LEAST[condition])
    return compare(value, known, found, score=score, least=least, is_two_sided=condition == ROWS)


def _is_little(condition: str, value: float, settings: ConditionSettings) -> bool:
    """Whatever is usual, it is not far above it: usual is nothing at the least."""
    return condition != ROWS and between(value, settings.of(LEAST[condition])) is False


def _value(condition: str, run: RunFact | Past, job: str, settings: ConditionSettings) -> float | None:
    """None: its job has none, or it is a share of too little."""
    if condition == DURATION:
        return run.duration_ms / 1000
    if condition == ROWS:
        names = COUNTED.get(job)
        return float(sum(run.counts.get(name, 0) for name in names)) if names else None
    failing = FAILING.get(job)
    if failing is None:
        return None
    of = run.counts.get(failing.of, 0)
    failed = sum(run.counts.get(name, 0) for name in failing.failed)
    return failed / of if of and of >= settings.of("of_rows") else None


# In words ------------------------------------------------------------------------------------------------------------


def _when(at: datetime, usual: Usual, zone: tzinfo) -> str:
    local = at.astimezone(zone)
    return (f"{WEEKDAYS[local.weekday()]} " if usual.is_of_weekday else "") + f"at {local:%H}:00"


def _median_of(usual: Usual, spread: str) -> str:
    return f"(median of {usual.runs:,} runs{'' if usual.is_of_weekday else ' on all days'}, spread {spread})"


def _of_duration(found: Compared, _last: RunFact, _job: str) -> tuple[str, str]:
    usual = found.usual
    return f" took {span(found.value)}", f"it takes {span(usual.median)} {_median_of(usual, span(usual.spread))}"


def _of_rows(found: Compared, _last: RunFact, _job: str) -> tuple[str, str]:
    usual = found.usual
    return f" had {found.value:,.0f} rows", f"it has {usual.median:,.0f} {_median_of(usual, f'{usual.spread:,.0f}')}"


def _of_errors(found: Compared, last: RunFact, job: str) -> tuple[str, str]:
    usual, failing = found.usual, FAILING[job]
    now = f": {found.value:.1%} of {last.counts.get(failing.of, 0):,} {failing.said}"
    return now, f"it is {usual.median:.1%} {_median_of(usual, f'{usual.spread:.1%}')}"
