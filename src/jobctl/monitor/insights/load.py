"""Whether the queue keeps up, what holds it back, and how much it should do at once, from what it was seen to do. Pure.

How many tasks ran at once is the time that tries took, divided by the time that passed (Little). It is judged by the
hour, since a day has hours with nothing to do.
"""

from collections.abc import Sequence
from math import ceil
from typing import Final, NamedTuple

from jobctl.durations import format_duration
from jobctl.monitor.insights.finding import Finding, Value
from jobctl.monitor.queue.projection import project

HOUR_S: Final = 3_600
LEAST_TRIES: Final = 100  # in an hour
LEAST_HOURS: Final = 2
LONG_WAIT_S: Final = 30.0
WAIT_TO_RUN: Final = 3.0
NEAR: Final = 0.8  # of a limit, and it binds: between two tasks there is always a moment
NEAR_RATE: Final = 0.9
ROOM: Final = 1.5
LEAST_DUE: Final = 50
LEAST_OLDEST_S: Final = 900.0  # three times the five minutes in which a worker is started
STALLED_S: Final = 3_600.0
LONG_S: Final = 86_400

CLAIM_S: Final = 1.0  # of work that a claim should bring
USUAL_BATCH: Final = 20
USUAL_CONCURRENCY: Final = 10
MOST_BATCH: Final = 500
LEAST_QUICK: Final = 2_000


class Hour(NamedTuple):
    """Tries of a type that ended in an hour. `busy_s` is the sum of their run times, `users` how many had any; the
    `all_...` are of all types."""

    type: str
    tries: int
    busy_s: float
    wait_p50_s: float
    run_p50_s: float
    users: int
    all_busy_s: float


class Limits(NamedTuple):
    """None: none."""

    of_type: int | None
    in_all: int | None
    each_user: int | None
    rate_per_minute: float | None


def throttled(type_: str, hours: Sequence[Hour], limits: Limits) -> Finding | None:
    """Tasks waited long for their turn: which limit made them, or none."""
    slow = [
        hour
        for hour in hours
        if hour.tries >= LEAST_TRIES and hour.wait_p50_s >= max(LONG_WAIT_S, WAIT_TO_RUN * hour.run_p50_s)
    ]
    if len(slow) < LEAST_HOURS:
        return None
    worst = max(slow, key=lambda hour: hour.wait_p50_s)
    at_once = worst.busy_s / HOUR_S
    what, do = _binding(type_, worst, limits, at_once)
    evidence: dict[str, Value] = {
        "type": type_,
        "hours": len(slow),
        "tries": worst.tries,
        "wait_p50_s": round(worst.wait_p50_s, 3),
        "run_p50_s": round(worst.run_p50_s, 3),
        "at_once": round(at_once, 2),
        "at_once_in_all": round(worst.all_busy_s / HOUR_S, 2),
        "users": worst.users,
        **limits._asdict(),
    }
    return Finding(
        "few-workers" if what.startswith("no limit") else "throttled",
        "medium",
        f"queue {type_}",
        f"half of the tasks of type {type_} waited {format_duration(worst.wait_p50_s)} or longer to run for "
        f"{format_duration(worst.run_p50_s)}: {what}",
        evidence,
        f"{len(slow)} hours with {LEAST_TRIES} tries or more; {LEAST_HOURS} are enough",
        do,
        weight=worst.wait_p50_s / LONG_WAIT_S,
    )


def _binding(type_: str, hour: Hour, limits: Limits, at_once: float) -> tuple[str, str]:
    below = f"below [queue.types.{type_}] in jobctl.toml"
    rate = limits.rate_per_minute
    if rate is not None and hour.tries / 60 >= NEAR_RATE * rate:
        return f"rate_per_minute = {rate:g} holds them back", f"rate_per_minute = {ceil(rate * ROOM)} {below}"
    if limits.of_type is not None and at_once >= NEAR * limits.of_type:
        return (
            f"the limit of {limits.of_type} at once holds them back",
            f"running = {ceil(limits.of_type * ROOM)} {below}",
        )
    if limits.in_all is not None and hour.all_busy_s / HOUR_S >= NEAR * limits.in_all:
        more = ceil(limits.in_all * ROOM)
        return f"the limit of {limits.in_all} of all types holds them back", f"running = {more} below [queue]"
    of_users = limits.each_user * hour.users if limits.each_user is not None else None
    if of_users and at_once >= NEAR * of_users:
        more = ceil((limits.each_user or 0) * ROOM)
        what = f"{hour.users:,} users with {limits.each_user} at once each hold them back"
        return what, f"per_user = {more} below [queue] in jobctl.toml"
    more = max(2 * USUAL_CONCURRENCY, ceil(at_once * ROOM))
    do = f"jobctl work --type {type_} --concurrency {more} on a line of its own, or workers_per_host below [queue]"
    return f"no limit is near, {at_once:.1f} ran at once: there are too few workers", do


def quick_tasks(type_: str, hours: Sequence[Hour]) -> Finding | None:
    """Tasks so short that workers claim all the time: take more at once."""
    busy = [hour for hour in hours if hour.tries >= LEAST_QUICK]
    if len(busy) < LEAST_HOURS:
        return None
    run_s = sorted(hour.run_p50_s for hour in busy)[len(busy) // 2]
    batch = min(MOST_BATCH, ceil(CLAIM_S * USUAL_CONCURRENCY / max(run_s, 0.001)))
    if batch < 2 * USUAL_BATCH * USUAL_CONCURRENCY:
        return None
    tries = max(hour.tries for hour in busy)
    return Finding(
        "batch-size",
        "low",
        f"queue {type_}",
        f"tasks of type {type_} run for {run_s * 1000:.0f} ms, up to {tries:,} an hour: larger batches claim less "
        "often",
        {"type": type_, "run_p50_s": round(run_s, 4), "tries": tries, "batch": USUAL_BATCH, "recommended": batch},
        f"{len(busy)} hours with {LEAST_QUICK:,} tries or more; {LEAST_HOURS} are enough",
        f"jobctl work --type {type_} --batch {batch}: options = [...] below [schedules.work] in jobctl.toml",
        weight=batch / USUAL_BATCH,
    )


class Backlog(NamedTuple):
    """Tasks of a type that are due, and how many came and were finished in the window."""

    type: str
    due: int
    arrived: int
    left: int
    oldest_s: float
    window_s: float


def backlog(found: Backlog) -> Finding | None:
    outlook = project(found.due, arrived=found.arrived, left=found.left, window_s=found.window_s)
    if found.due < LEAST_DUE or found.oldest_s < LEAST_OLDEST_S:
        return None
    severity, said = "medium", ""
    if found.left == 0:
        severity = "high" if found.oldest_s >= STALLED_S else "medium"
        said = f"none was finished in {format_duration(round(found.window_s))}"
    elif outlook.verdict == "growing":
        per_day = -outlook.net_per_minute * 1_440
        twice_s = round(found.due / -outlook.net_per_minute * 60)
        said = f"{per_day:,.0f} more each day: twice as many in {format_duration(twice_s)}"
    elif outlook.empty_in_s is not None and outlook.empty_in_s >= LONG_S:
        severity, said = "low", f"none will be in {format_duration(round(outlook.empty_in_s))}, at this rate"
    if not said:
        return None
    oldest = format_duration(round(found.oldest_s))
    return Finding(
        "backlog",
        severity,
        f"queue {found.type}",
        f"{found.due:,} tasks of type {found.type} are due, the oldest for {oldest}; {said}",
        {
            "type": found.type,
            "due": found.due,
            "oldest_s": round(found.oldest_s, 1),
            "arrived_per_minute": round(outlook.arrived_per_minute, 3),
            "left_per_minute": round(outlook.left_per_minute, 3),
            "verdict": outlook.verdict,
            "empty_in_s": outlook.empty_in_s,
        },
        f"{found.due:,} due tasks, over {format_duration(round(found.window_s))}; {LEAST_DUE}, of which one waits for "
        f"{format_duration(LEAST_OLDEST_S)}, are enough",
        f"jobctl queue stats --type {found.type}; jobctl work --type {found.type} --until-empty on a further host",
        weight=found.due / LEAST_DUE,
    )
