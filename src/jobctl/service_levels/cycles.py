"""Service level goals, as Jira Service Management has them: each issue runs through a cycle for each goal. Pure.

A cycle starts, is paused and resumed, and stops. Its elapsed time is working time without the pauses. It is *breached*
when the elapsed time is longer than the goal; exactly the goal is in time. Open cycles are on track, at risk
(`at_risk_share` of the goal is used up) or breached; completed ones were met or missed.

The cycle of the first response stops with the first answer by somebody else than the author and by no bot; where there
was none, with the resolution, which answers, too. The cycle of the resolution stops when the issue is closed. An issue
that is reopened has not been resolved: its cycle has never stopped.
"""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from jobctl.service_levels.working_time import WorkingTime


class State(StrEnum):
    ON_TRACK = "on_track"
    AT_RISK = "at_risk"
    BREACHED = "breached"
    MET = "met"
    MISSED = "missed"


class Goal(NamedTuple):
    seconds: float
    at_risk_share: float = 0.8


class Pause(NamedTuple):
    """`end` is None while it lasts."""

    start: datetime
    end: datetime | None


class Cycle(NamedTuple):
    """`remaining_s` is negative once the goal is exceeded. `breaches_at` is None when it stands still."""

    start: datetime
    stop: datetime | None
    goal_s: float
    elapsed_s: float
    remaining_s: float
    breaches_at: datetime | None
    is_paused: bool
    is_within_hours: bool
    state: State


def state_of(elapsed_s: float, goal: Goal, *, is_open: bool) -> State:
    if not is_open:
        return State.MET if elapsed_s <= goal.seconds else State.MISSED
    if elapsed_s > goal.seconds:
        return State.BREACHED
    return State.AT_RISK if elapsed_s >= goal.at_risk_share * goal.seconds else State.ON_TRACK


def elapsed_s(working: WorkingTime, start: datetime, end: datetime, pauses: Sequence[Pause] = ()) -> float:
    """Pauses may overlap each other and the cycle's ends."""
    total = working.between(start, end)
    reached = start
    for pause in sorted(pauses, key=lambda each: each.start):
        since, until = max(pause.start, reached), min(pause.end or end, end)
        if until > since:
            total -= working.between(since, until)
            reached = until
    return max(round(total, 3), 0.0)


def cycle(
    working: WorkingTime,
    goal: Goal,
    start: datetime,
    stop: datetime | None,
    now: datetime,
    pauses: Sequence[Pause] = (),
) -> Cycle:
    """As it stands at `now`; a stop after that has not happened yet."""
    stop = None if stop is not None and stop > now else stop
    elapsed = elapsed_s(working, start, stop or now, pauses)
    is_paused = stop is None and any(each.start <= now and (each.end is None or each.end > now) for each in pauses)
    left = round(goal.seconds - elapsed, 3)
    breaches_at = None
    if stop is None and not is_paused:
        breaches_at = working.after(now, left) if left > 0 else _breached_at(working, goal, start, pauses)
    return Cycle(
        start,
        stop,
        goal.seconds,
        elapsed,
        left,
        breaches_at,
        is_paused,
        working.is_within(now),
        state_of(elapsed, goal, is_open=stop is None),
    )


def _breached_at(working: WorkingTime, goal: Goal, start: datetime, pauses: Sequence[Pause]) -> datetime | None:
    """When the goal was up: what each pause took is given back by looking that much further ahead."""
    at = working.after(start, goal.seconds)
    while at is not None:
        missing = goal.seconds - elapsed_s(working, start, at, pauses)
        if missing <= 0:
            return at
        at = working.after(at, missing)
    return None
