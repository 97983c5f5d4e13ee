"""How the last runs of a job and scope went: streak, usual durations, when a running one should end. Pure.

What is a good run and what a bad one is said by the alerts (alerts/conditions.py), and so is what a percentile is.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal, NamedTuple

from jobctl.alerts.conditions import ended_badly, percentile
from jobctl.monitor.runs.facts import Ran

MOST_RUNS = 50  # that are looked at: as many as the alerts judge by
SHOWN_RUNS = 20


class Streak(NamedTuple):
    """How many of the last runs ended alike in a row; `is_more`: all that were looked at did, and there are more.
    Skipped ones, and those that somebody ended on purpose, do not count."""

    outcome: Literal["good", "bad"] | None
    length: int
    is_more: bool


class Durations(NamedTuple):
    """Of the completed ones among the last runs; None where there is none. `last_ms` are the last runs, the oldest
    first, None for one that did not complete."""

    runs: int
    p50_ms: int | None
    p95_ms: int | None
    last_ms: tuple[int | None, ...]


def is_bad(run: Ran) -> bool:
    return ended_badly(run.status, run.exit_code or 0)


def streak(runs: Sequence[Ran]) -> Streak:
    """The newest first."""
    judged = [is_bad(run) for run in runs if run.status == "completed" or is_bad(run)]
    if not judged:
        return Streak(None, 0, False)
    length = next((nth for nth, bad in enumerate(judged) if bad != judged[0]), len(judged))
    return Streak("bad" if judged[0] else "good", length, length == len(judged) and len(runs) >= MOST_RUNS)


def durations(runs: Sequence[Ran]) -> Durations:
    """The newest first."""
    took = [run.duration_ms for run in runs if run.status == "completed" and run.duration_ms is not None]
    last = [
        run.duration_ms if run.status == "completed" else None
        for run in runs
        if run.finished_at is not None and run.status != "skipped"
    ][:SHOWN_RUNS]
    if not took:
        return Durations(0, None, None, tuple(reversed(last)))
    return Durations(len(took), round(percentile(took, 0.5)), round(percentile(took, 0.95)), tuple(reversed(last)))


def last_success(runs: Sequence[Ran]) -> datetime | None:
    """When the last one that completed began, among these."""
    return next((run.started_at for run in runs if run.status == "completed"), None)


def expected_end(started_at: datetime, usual: Durations) -> tuple[datetime | None, datetime | None]:
    """When half of them, and when 95 of 100 would have ended."""
    if usual.p50_ms is None or usual.p95_ms is None:
        return None, None
    return started_at + timedelta(milliseconds=usual.p50_ms), started_at + timedelta(milliseconds=usual.p95_ms)
