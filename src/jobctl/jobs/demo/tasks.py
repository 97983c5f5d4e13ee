"""The queue: tasks in each state with their tries. Pure.

Nobody has a handler of these types, so that no worker ever takes one up. Counters and tries add up as the queue's own
views ask for (queue.attempts_add_up): each claim has its fence, and a failed try that is not the last is a row, too.
"""

import json
from datetime import datetime, timedelta
from random import Random
from typing import Any, Final, NamedTuple

from jobctl.jobs.demo.plan import BRANCH, HOST, Plan, Row
from jobctl.jobs.demo.rhythm import about, moments
from jobctl.jobs.demo.stories import FIRST_NAMES

KEPT: Final = timedelta(days=14)  # finished ones, as retry-failed keeps them
MOST_TRIES: Final = 3


class Type(NamedTuple):
    name: str
    per_week: float
    takes_s: float
    fails: float
    error_class: str
    message: str


TYPES: Final = (
    Type("demo-crawl", 420, 14, 0.07, "Timeout", "www.example.com did not answer within 30 s"),
    Type("demo-enrich", 240, 3, 0.03, "ValueError", "no company of this name in the register"),
    Type("demo-notify", 110, 0.6, 0.02, "ConnectError", "hooks.example.com: connection refused"),
)
COLUMNS: Final = {
    "queue.tasks": (
        *("task_id", "type", "dedupe_key", "payload", "state", "priority", "scheduled_at", "created_at", "updated_at"),
        *("user_id", "organization_id", "site_url", "attempts", "crashes", "fence", "lease_until", "claimed_at"),
        *("worker", "error_class", "error_message", "is_recoverable", "handler_version", "finished_at"),
    ),
    "queue.attempts": (
        *("task_id", "fence", "type", "user_id", "attempt", "host", "worker", "due_at", "claimed_at", "finished_at"),
        *("outcome", "error_class", "error_message", "is_recoverable", "handler_version", "memory_bytes", "result"),
    ),
}


class _Try(NamedTuple):
    due_at: datetime
    claimed_at: datetime
    finished_at: datetime
    outcome: str


class _Task(NamedTuple):
    """`tries` are those that ended; one that runs has `claimed_at`."""

    type: Type
    created_at: datetime
    state: str
    scheduled_at: datetime
    tries: tuple[_Try, ...]
    claimed_at: datetime | None = None
    said: str = ""


def rows(plan: Plan) -> dict[str, list[Row]]:
    found = sorted(_drawn(plan), key=lambda task: (task.created_at, task.type.name))
    claims = [(each.claimed_at, nth, at) for nth, task in enumerate(found) for at, each in enumerate(task.tries)]
    claims += [(task.claimed_at, nth, -1) for nth, task in enumerate(found) if task.claimed_at is not None]
    fences = {(nth, at): fence for fence, (_, nth, at) in enumerate(sorted(claims), 1)}
    made: dict[str, list[Row]] = {table: [] for table in COLUMNS}
    random = plan.random("tasks", "rows")
    for nth, task in enumerate(found):
        _add(random, made, nth, task, fences)
    return made


def _drawn(plan: Plan) -> list[_Task]:
    tasks: list[_Task] = []
    for type_ in TYPES:
        random = plan.random("tasks", type_.name)
        tasks += [
            _ended(plan, random, type_, at) for at in moments(random, plan.as_of - KEPT, plan.as_of, type_.per_week)
        ]
        tasks += [_failed(random, type_, at) for at in moments(random, plan.ago(60), plan.as_of - KEPT, 1.5)]
        recent = plan.as_of - timedelta(minutes=1)
        tasks += [_waiting(random, type_, recent - timedelta(seconds=random.randrange(3_000))) for _ in range(12)]
    random = plan.random("tasks", "now")
    notify = TYPES[-1]
    tasks += [_failed(random, notify, plan.as_of - timedelta(minutes=3 + 4 * nth)) for nth in range(12)]
    for nth in range(4):
        claimed_at = plan.as_of - timedelta(seconds=8 + 5 * nth)
        created_at = claimed_at - timedelta(minutes=2)
        tasks.append(_Task(TYPES[0], created_at, "running", created_at, (), claimed_at))
    for nth in range(6):
        at = plan.ago(2 + nth / 7)
        tasks.append(_Task(TYPES[1], at, "blocked", at, (), said="held back by demo: the register is closed"))
    return tasks


def _ended(plan: Plan, random: Random, type_: Type, at: datetime) -> _Task:
    """It succeeded, perhaps after failing; or was given up, or cancelled."""
    if random.random() < 0.02:
        return _Task(type_, at, "cancelled", at, (), said="superseded by a newer request that waits")
    tries: list[_Try] = []
    due_at = at
    while True:
        claimed_at = due_at + timedelta(seconds=about(random, 40))
        finished_at = claimed_at + timedelta(seconds=about(random, type_.takes_s, 0.5))
        if finished_at >= plan.as_of:
            return _Task(type_, at, "queued", due_at, tuple(tries))
        outcome = (
            "succeeded" if random.random() >= type_.fails else "timeout" if type_.name == "demo-crawl" else "failed"
        )
        tries.append(_Try(due_at, claimed_at, finished_at, outcome))
        if outcome == "succeeded" or len(tries) == MOST_TRIES:
            return _Task(type_, at, "succeeded" if outcome == "succeeded" else "failed", due_at, tuple(tries))
        due_at = finished_at + timedelta(seconds=60 * 4 ** len(tries))


def _failed(random: Random, type_: Type, at: datetime) -> _Task:
    claimed_at = at + timedelta(seconds=random.uniform(2, 60))
    return _Task(type_, at, "failed", at, (_Try(at, claimed_at, claimed_at + timedelta(seconds=1), "failed"),))


def _waiting(random: Random, type_: Type, at: datetime) -> _Task:
    later = timedelta(minutes=random.randrange(1, 90)) if random.random() < 0.3 else timedelta()
    return _Task(type_, at, "queued", at + later, ())


def _add(random: Random, made: dict[str, list[Row]], nth: int, task: _Task, fences: dict[tuple[int, int], int]) -> None:
    type_, last = task.type, task.tries[-1] if task.tries else None
    worker = f"{HOST}/{1 + nth % 2}"
    is_over = task.state in ("succeeded", "failed", "cancelled")
    finished_at = (last.finished_at if last else task.created_at + timedelta(minutes=5)) if is_over else None
    is_bad = last is not None and last.outcome != "succeeded"
    payload: dict[str, Any] = {"branch": BRANCH, "place": nth % 300, "demo": True}
    fence = fences.get((nth, -1)) or (fences[nth, len(task.tries) - 1] if last else 0)
    user = f"demo-{FIRST_NAMES[(fence or nth) % 9]}"  # those that run at once are of several
    claimed_at = task.claimed_at or (last.claimed_at if last else None)
    made["queue.tasks"].append((
        nth + 1, type_.name, None, json.dumps(payload), task.state, random.choice((0, 0, 0, 1, 5)), task.scheduled_at,
        task.created_at, finished_at or claimed_at or task.created_at, user, "demo", "https://www.example.com",
        len(task.tries) + (task.claimed_at is not None), 0, fence,
        task.claimed_at + timedelta(minutes=30) if task.claimed_at else None, claimed_at,
        worker if claimed_at else None,
        type_.error_class if is_bad else "Superseded" if task.state == "cancelled" else None,
        task.said or (type_.message if is_bad else None), True if is_bad else None, "demo" if last else None,
        finished_at,
    ))  # fmt: skip
    for at, each in enumerate(task.tries):
        good = each.outcome == "succeeded"
        made["queue.attempts"].append((
            nth + 1, fences[nth, at], type_.name, user, at + 1, HOST, worker, each.due_at, each.claimed_at,
            each.finished_at, each.outcome, None if good else type_.error_class, None if good else type_.message,
            None if good else True, "demo", random.randrange(30, 80) << 20, '{"demo": true}' if good else None,
        ))  # fmt: skip
