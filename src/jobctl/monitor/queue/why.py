"""Why a task is where it is, in words, each with its evidence. Pure.

Reasons stand in the order in which they must go away: what the task itself waits for, then what no task of the type or
of all gets past, then limits, then its turn. The first is the answer; the others would hold it afterwards.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import NamedTuple

from jobctl.monitor.queue.facts import Facts, Limit
from jobctl.monitor.queue.words import at, error_text, moment, span, times

QUIET = timedelta(minutes=15)  # without any run of `work` before that is the reason
SUPERSEDED = "Superseded"
CANCELLED = "Cancelled"
SHOWN_RUNS = 5

# The words of `Reason.code`, for programs.
CODES = (
    *("scheduled", "backoff", "put_off", "no_handler", "paused", "no_schedule", "no_worker", "total_limit"),
    *("type_limit", "user_limit", "rate", "suspect", "turn", "ready", "blocked", "running", "lease_over", "taken"),
    *("tries_spent", "not_recoverable", "crash_limit", "failed", "superseded", "cancelled", "succeeded", "twin"),
)


class Reason(NamedTuple):
    """`until` is when it goes away by itself, where that is known."""

    code: str
    text: str
    evidence: Mapping[str, object]
    until: datetime | None = None


class Answer(NamedTuple):
    task_id: int
    state: str
    text: str
    reasons: tuple[Reason, ...]

    @property
    def code(self) -> str:
        return self.reasons[0].code


def why(facts: Facts) -> Answer:
    task = facts.task
    judge, verb = _OF_STATE[task.state]
    reasons = (*judge(facts), *_taken(facts))
    text = f"task {task.task_id} ({task.type}{f', user {task.user_id}' if task.user_id else ''}) {verb}"
    return Answer(task.task_id, task.state, f"{text}: {reasons[0].text}", reasons)


# queued --------------------------------------------------------------------------------------------------------------


def _waiting(facts: Facts) -> Iterator[Reason]:
    found = [*_its_time(facts), *_nobody_to_run_it(facts), *_limits(facts)]
    if facts.task.crashes:
        found.append(
            Reason(
                "suspect",
                f"{times(facts.task.crashes, 'try')} of it took the worker along, so it runs alone: a worker begins "
                "it when nothing else runs beside",
                {"crashes": facts.task.crashes, "crash_limit": facts.policy.crash_limit},
            )
        )
    turn = facts.turn
    if turn is not None and (turn.before or turn.users > 1):
        found.append(
            Reason(
                "turn",
                f"it waits for its turn: {times(turn.before, 'due task')} of its user before it, and users with "
                f"waiting tasks ({turn.users:,}) take turns",
                {"before_of_user": turn.before, "users": turn.users},
            )
        )
    yield from found
    if not found:
        yield Reason("ready", "nothing holds it; the next claim of a worker takes it", {})


def _its_time(facts: Facts) -> Iterator[Reason]:
    task, last = facts.task, facts.last_try
    if task.scheduled_at <= facts.now:
        return
    left = f"{moment(task.scheduled_at)}, in {span(task.scheduled_at - facts.now)}"
    evidence: dict[str, object] = {"scheduled_at": task.scheduled_at}
    if last is not None and last.outcome == "snoozed":
        said = f": {last.error_message}" if last.error_message else ""
        yield Reason("put_off", f"its handler put it off until {left}{said}", evidence, task.scheduled_at)
    elif last is not None and last.outcome in ("failed", "timeout", "crashed"):
        spent, most, what = (
            (task.crashes, facts.policy.crash_limit, "crash")
            if last.outcome == "crashed"
            else (task.attempts - task.crashes, facts.policy.max_attempts, "try")
        )
        error = error_text(last.error_class, last.error_message)
        yield Reason(
            "backoff",
            f"it pauses after {what} {spent} of {most} ({error}) until {left}",
            evidence
            | {"tries": task.attempts - task.crashes, "max_attempts": facts.policy.max_attempts}
            | {"crashes": task.crashes, "crash_limit": facts.policy.crash_limit}
            | {"error_class": last.error_class, "error_message": last.error_message},
            task.scheduled_at,
        )
    else:
        yield Reason("scheduled", f"it is scheduled for {left}", evidence, task.scheduled_at)


def _nobody_to_run_it(facts: Facts) -> Iterator[Reason]:
    workers = facts.workers
    if facts.task.type not in facts.handlers:
        known = ", ".join(sorted(facts.handlers)) or "none"
        yield Reason(
            "no_handler",
            f"no handler of type {facts.task.type!r} is registered on {facts.host} (there are: {known})",
            {"host": facts.host, "handlers": sorted(facts.handlers)},
        )
    if workers.pause:
        yield Reason("paused", f"the job work is {workers.pause} (jobctl resume work)", {"pause": workers.pause})
    if workers.running:
        return
    last = workers.last_started_at
    evidence: dict[str, object] = {
        "last_started_at": last,
        "last_status": workers.last_status or None,
        "last_host": workers.last_host or None,
        "lines": workers.lines,
    }
    if not workers.lines and (last is None or facts.now - last >= QUIET):
        yield Reason("no_schedule", "no crontab or timer that is known starts `jobctl work`", evidence)
    if last is None:
        yield Reason("no_worker", "no worker has ever run on this database (jobctl work)", evidence)
    elif facts.now - last >= QUIET:
        yield Reason(
            "no_worker",
            f"no worker has begun for {span(facts.now - last)}; the last, on {workers.last_host}, began {at(last)} "
            f"and is {workers.last_status}",
            evidence,
        )


def _limits(facts: Facts) -> Iterator[Reason]:
    task = facts.task
    if facts.in_all.is_reached:
        yield Reason("total_limit", f"{_reached(facts.in_all)} in all", _numbers(facts.in_all))
    if facts.of_type.is_reached:
        yield Reason("type_limit", f"{_reached(facts.of_type)} of type {task.type}", _numbers(facts.of_type))
    if task.user_id and facts.of_user.is_reached:
        runs = facts.runs_of_user
        named = ", ".join(f"task {each.task_id} on {each.worker}" for each in runs[:SHOWN_RUNS])
        more = f" and {len(runs) - SHOWN_RUNS} more" if len(runs) > SHOWN_RUNS else ""
        yield Reason(
            "user_limit",
            f"{_reached(facts.of_user)} of user {task.user_id}" + (f" ({named}{more})" if named else ""),
            {**_numbers(facts.of_user), "tasks": [each._asdict() for each in runs]},
        )
    if facts.next_start_at is not None and facts.next_start_at > facts.now:
        yield Reason(
            "rate",
            f"type {task.type} begins {facts.rate_per_minute:g} a minute, the next at {moment(facts.next_start_at)}",
            {"rate_per_minute": facts.rate_per_minute, "next_start_at": facts.next_start_at},
            facts.next_start_at,
        )


def _reached(limit: Limit) -> str:
    return f"the limit is reached: {limit.running:,} of {limit.allowed:,} run"


def _numbers(limit: Limit) -> dict[str, object]:
    return {"running": limit.running, "allowed": limit.allowed}


# The other states ----------------------------------------------------------------------------------------------------


def _blocked(facts: Facts) -> Iterator[Reason]:
    task = facts.task
    yield Reason("blocked", f"an operator blocked it (jobctl queue unblock {task.task_id})", {})
    if facts.twin is not None:
        yield Reason(
            "twin", f"task {facts.twin} waits for the same; unblocked, this one is cancelled", {"task_id": facts.twin}
        )


def _running(facts: Facts) -> Iterator[Reason]:
    task = facts.task
    evidence = {
        "worker": task.worker,
        "claimed_at": task.claimed_at,
        "lease_until": task.lease_until,
        "attempt": task.attempts,
    }
    if task.lease_until is None or task.lease_until > facts.now:
        since = f" since {moment(task.claimed_at)}" if task.claimed_at else ""
        lease = f"; its lease lasts until {moment(task.lease_until)}" if task.lease_until else ""
        yield Reason("running", f"worker {task.worker} runs it{since}, attempt {task.attempts}{lease}", evidence)
    else:
        yield Reason(
            "lease_over",
            f"worker {task.worker} is silent: the lease of attempt {task.attempts} ended {at(task.lease_until)}; the "
            "next `jobctl work` or `jobctl retry-failed` takes the task from it",
            evidence,
        )
    if facts.twin is not None:
        yield Reason(
            "twin",
            f"task {facts.twin} waits for the same; should this try fail, the task is cancelled for it",
            {"task_id": facts.twin},
        )


def _failed(facts: Facts) -> Iterator[Reason]:
    task, policy = facts.task, facts.policy
    tries = task.attempts - task.crashes
    error = error_text(task.error_class, task.error_message)
    evidence = {
        "finished_at": task.finished_at,
        "tries": tries,
        "max_attempts": policy.max_attempts,
        "crashes": task.crashes,
        "crash_limit": policy.crash_limit,
        "error_class": task.error_class,
        "error_message": task.error_message,
    }
    if task.is_recoverable is False:
        yield Reason("not_recoverable", f"{error}; trying again cannot help", evidence)
    elif task.error_class == "WorkerLost" or (task.crashes and task.crashes >= policy.crash_limit):
        text = f"{times(task.crashes, 'try')} of it took the worker along (limit {policy.crash_limit}): {error}"
        yield Reason("crash_limit", text, evidence)
    elif tries >= policy.max_attempts:
        yield Reason("tries_spent", f"{tries} of {policy.max_attempts} tries are spent, the last: {error}", evidence)
    else:
        yield Reason("failed", f"{error}, at try {tries} of {policy.max_attempts}", evidence)
    if facts.twin is not None:
        yield Reason("twin", f"task {facts.twin} waits for the same: a retry would be refused", {"task_id": facts.twin})


def _cancelled(facts: Facts) -> Iterator[Reason]:
    task = facts.task
    ended = task.finished_at or task.updated_at
    evidence = {"at": ended, "error_class": task.error_class, "error_message": task.error_message}
    said = f": {task.error_message}" if task.error_message else ""
    if task.error_class == SUPERSEDED:
        yield Reason("superseded", f"a newer task for the same took its place {at(ended)}{said}", evidence)
    else:
        yield Reason("cancelled", f"it was withdrawn {at(ended)}{said}", evidence)
    if facts.twin is not None:
        yield Reason("twin", f"task {facts.twin} waits for the same", {"task_id": facts.twin})


def _succeeded(facts: Facts) -> Iterator[Reason]:
    task, last = facts.task, facts.last_try
    ended = task.finished_at or task.updated_at
    evidence: dict[str, object] = {"finished_at": ended, "attempt": task.attempts}
    if last is None:
        yield Reason("succeeded", f"{at(ended)}; its tries are no longer kept", evidence)
    else:
        took = last.finished_at - last.claimed_at
        yield Reason(
            "succeeded",
            f"{at(ended)}, attempt {last.attempt} by worker {last.worker} in {span(took)}",
            evidence | {"worker": last.worker, "run_s": took.total_seconds()},
        )


def _taken(facts: Facts) -> Iterator[Reason]:
    """Whatever became of the task since: its latest try was taken from a worker that had gone silent."""
    last = facts.last_try
    if last is not None and last.outcome == "crashed":
        said = f": {last.error_message}" if last.error_message else ""
        yield Reason(
            "taken",
            f"attempt {last.attempt} was taken from worker {last.worker} {at(last.finished_at)}{said}",
            {"worker": last.worker, "attempt": last.attempt, "at": last.finished_at, "found": last.error_message},
        )


_OF_STATE = {
    "queued": (_waiting, "waits"),
    "blocked": (_blocked, "is blocked"),
    "running": (_running, "runs"),
    "failed": (_failed, "failed for good"),
    "cancelled": (_cancelled, "is cancelled"),
    "succeeded": (_succeeded, "succeeded"),
}
