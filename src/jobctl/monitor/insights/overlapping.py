"""Schedules that ask for a run while the one before it still goes on, or will soon. Pure."""

from typing import Final, NamedTuple

from jobctl.durations import format_duration
from jobctl.monitor.insights.finding import Finding, subject_of

LEAST_SKIPPED: Final = 5
LEAST_SHARE: Final = 0.1
LEAST_RUNS: Final = 20
NEAR_SHARE: Final = 0.8  # of the interval, that a run may take


class Starts(NamedTuple):
    """Of a job and scope in the window. `skipped` found another run at work; `interval_s` lies between two slots."""

    job: str
    scope: str
    runs: int
    skipped: int
    p95_s: float | None
    interval_s: float | None


def overlapping(starts: Starts) -> Finding | None:
    every = starts.runs + starts.skipped
    share = starts.skipped / every if every else 0.0
    subject = subject_of(starts.job, starts.scope)
    evidence = {
        "starts": every,
        "skipped": starts.skipped,
        "skipped_share": round(share, 3),
        "p95_s": None if starts.p95_s is None else round(starts.p95_s, 3),
        "interval_s": starts.interval_s,
    }
    apart = "" if starts.p95_s is None else f" of at least {format_duration(round(starts.p95_s / NEAR_SHARE))}"
    do = f"an interval{apart}: at = ... below [schedules.{starts.job}] in jobctl.toml, then jobctl schedule install"
    if starts.skipped >= LEAST_SKIPPED and share >= LEAST_SHARE:
        return Finding(
            "overlapping",
            "medium",
            subject,
            f"{starts.skipped:,} of {every:,} starts of {subject} found the run before still at work and were skipped",
            evidence,
            f"{every:,} starts; {LEAST_SKIPPED} skipped ones and {LEAST_SHARE:.0%} are enough",
            do,
            weight=share,
        )
    if starts.p95_s is None or not starts.interval_s or starts.runs < LEAST_RUNS:
        return None
    used = starts.p95_s / starts.interval_s
    if used < NEAR_SHARE:
        return None
    return Finding(
        "nearly-overlapping",
        "low",
        subject,
        f"95 of 100 runs of {subject} take up to {format_duration(starts.p95_s)}, {used:.0%} of the "
        f"{format_duration(starts.interval_s)} between two starts",
        evidence,
        f"{starts.runs:,} runs; {LEAST_RUNS} are enough",
        do,
        weight=used,
    )
