"""Each job and scope as it stands: how it is, how it went lately, and what starts it next."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal, NamedTuple
from zoneinfo import ZoneInfo

from jobctl.monitor.runs import course, states
from jobctl.monitor.runs.course import Durations, Streak
from jobctl.monitor.runs.facts import Missed, Place, Ran, Unfinished
from jobctl.monitor.runs.states import State
from jobctl.schedule.expression import ExpressionError, parse
from jobctl.schedule.pause import Pause
from jobctl.schedule.registry import Schedule


class JobNow(NamedTuple):
    """A job and scope. Its `state` is that of the run that is not finished, where there is one, whoever was skipped
    behind it; else `missed`, or that of its last run. `last` and `state` are None where it is scheduled and has never
    run; `next_at` where nothing starts it."""

    job: str
    scope: str
    state: State | Literal["missed"] | None
    last: Ran | None
    last_success_at: datetime | None
    next_at: datetime | None
    pause: str
    streak: Streak
    durations: Durations
    is_scheduled: bool


def jobs_of(
    places: Sequence[Place],
    schedules: Sequence[Schedule],
    on: Sequence[Pause],
    unfinished: Sequence[Unfinished],
    absent: Sequence[Missed],
    now: datetime,
) -> tuple[JobNow, ...]:
    """What has run and what is scheduled, by job and scope. A line without a scope starts all scopes of its job."""
    have_run = {place.job for place in places}
    runs_of = {(place.job, place.scope): place.runs for place in places}
    never = {(line.job, line.scope) for line in schedules if line.scope or line.job not in have_run}
    runs_of |= dict.fromkeys(never - runs_of.keys(), ())
    truth: dict[tuple[str, str], State] = {(run.job, run.scope): run.state for run in unfinished}  # the latest of each
    is_missed = {(each.job, each.scope) for each in absent}
    found: list[JobNow] = []
    for (job, scope), runs in sorted(runs_of.items()):
        lines = [line for line in schedules if line.job == job and line.scope in ("", scope)]
        state: State | Literal["missed"] | None = truth.get((job, scope))
        if state is None and is_missed & {(job, ""), (job, scope)}:
            state = "missed"
        elif state is None and runs:
            state = state_of(runs[0], None)
        slots = [at for line in lines if (at := next_slot(line.expression, line.zone, now)) is not None]
        found.append(
            JobNow(
                job,
                scope,
                state,
                runs[0] if runs else None,
                course.last_success(runs),
                min(slots, default=None),
                next((str(pause) for pause in on if pause.covers(job, scope, now)), ""),
                course.streak(runs),
                course.durations(runs),
                bool(lines),
            )
        )
    return tuple(found)


def state_of(run: Ran, truth: State | None) -> State:
    """A row that says it runs, and of which the truth is not known any more, has ended between two questions."""
    if run.status in states.UNFINISHED:
        return truth or "running"
    return states.of(run.status, degraded=run.degraded)


def next_slot(expression: str, zone: str, now: datetime) -> datetime | None:
    """None for a line that nobody can read."""
    try:
        return parse(expression).next_after(now, ZoneInfo(zone))
    except (ExpressionError, OSError, ValueError, StopIteration):
        return None
