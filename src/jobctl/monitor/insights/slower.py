"""Which jobs take longer than they used to, since when, and with which version that began. Pure.

Runs are parted in two where that explains their durations best: where the sum of distances from the medians of both
parts is least. Medians and MAD, because one run that hung is not a trend and must not hide one. What is told is a
change that lasts: enough runs on both sides, half as long again at least, beyond what the runs before it varied by, and
the very last ones are still as slow.
"""

from collections.abc import Sequence
from datetime import datetime
from statistics import median
from typing import Final, NamedTuple

from jobctl.durations import format_duration
from jobctl.monitor.insights.finding import Finding, subject_of

LEAST_BEFORE: Final = 20
LEAST_AFTER: Final = 5
LEAST_FACTOR: Final = 1.5
LEAST_SHIFT_S: Final = 0.5
MADS: Final = 3.0
TO_DEVIATION: Final = 1.4826  # of a normal distribution, the standard deviation in MADs
NEAR: Final = 2  # runs between a new version and the change that is put down to it
SAME_RATE: Final = 1.2


class Done(NamedTuple):
    """A completed run. `amount` is what it worked on (records read, tasks claimed, requests made), where it counts."""

    started_at: datetime
    duration_s: float
    version: str
    amount: int | None = None


def slower(job: str, scope: str, runs: Sequence[Done]) -> Finding | None:
    """`runs` oldest first. None: not slower, or too few to tell."""
    if len(runs) < LEAST_BEFORE + LEAST_AFTER:
        return None
    durations = [run.duration_s for run in runs]
    if median(durations[-2 * LEAST_AFTER :]) < LEAST_FACTOR * median(durations[:LEAST_BEFORE]):
        return None
    at = _split(durations)
    if at < LEAST_BEFORE:
        return None
    before, after = median(durations[:at]), median(durations[at:])
    mad = median(abs(value - before) for value in durations[:at])
    least = max(LEAST_FACTOR * before, before + max(MADS * TO_DEVIATION * mad, LEAST_SHIFT_S))
    if after < least or median(durations[-LEAST_AFTER:]) < least:
        return None
    factor = after / before if before > 0 else float(len(runs))
    subject, new = subject_of(job, scope), _version_at(runs, at)
    more = _more_work(runs, at)
    with_version = f"with version {new[1]} (before it {new[0]})" if new else "without a change of version"
    because = f"; it has {more:.1f} times as much to do since then" if more and factor / more <= SAME_RATE else ""
    return Finding(
        code="more-work" if because else "slower",
        severity="low" if because else "high" if factor >= 2 * LEAST_FACTOR else "medium",
        subject=subject,
        what=f"{subject} takes {format_duration(after)}, {factor:.1f} times as long as before, since "
        f"{runs[at].started_at:%Y-%m-%d %H:%M} UTC {with_version}{because}",
        evidence={
            "median_before_s": round(before, 3),
            "median_since_s": round(after, 3),
            "mad_before_s": round(mad, 3),
            "factor": round(factor, 2),
            "runs_before": at,
            "runs_since": len(runs) - at,
            "since": runs[at].started_at,
            "version": runs[at].version,
            "version_before": new[0] if new else runs[at - 1].version,
            "is_since_version": new is not None,
            "work_factor": round(more, 2) if more else None,
        },
        basis=f"medians of {at} runs before and {len(runs) - at} since; {LEAST_BEFORE} and {LEAST_AFTER} are enough",
        do=_what_to_do(job, new, is_more_work=bool(because)),
        weight=factor,
    )


def _what_to_do(job: str, new: tuple[str, str] | None, *, is_more_work: bool) -> str:
    if is_more_work:
        return f"give it the time: JOBCTL_MAX_RUNTIME_S and [schedules.{job}] in jobctl.toml; jobctl schedule list"
    if new:
        return f"install {new[0]} on one host and compare: jobctl {job} --dry-run -v; tell the maintainers"
    return "look at what else changed then: jobctl db status, jobctl doctor, jobctl queue stats"


def _split(values: Sequence[float]) -> int:
    """Where the later part begins."""

    def distance(at: int) -> float:
        parts = (values[:at], values[at:])
        return sum(abs(value - middle) for part, middle in ((part, median(part)) for part in parts) for value in part)

    return min(range(LEAST_AFTER, len(values) - LEAST_AFTER + 1), key=distance)


def _version_at(runs: Sequence[Done], at: int) -> tuple[str, str] | None:
    """The versions before and from a change of version near the split."""
    places = range(max(1, at - NEAR), min(len(runs), at + NEAR + 1))
    changed = [place for place in places if runs[place].version != runs[place - 1].version]
    if not changed:
        return None
    nearest = min(changed, key=lambda place: abs(place - at))
    return runs[nearest - 1].version, runs[nearest].version


def _more_work(runs: Sequence[Done], at: int) -> float | None:
    """How many times as much there is to do since then."""
    before = [run.amount for run in runs[:at] if run.amount]
    since = [run.amount for run in runs[at:] if run.amount]
    if len(before) < LEAST_BEFORE or len(since) < LEAST_AFTER:
        return None
    return median(since) / median(before)
