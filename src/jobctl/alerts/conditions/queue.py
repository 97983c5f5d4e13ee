"""The queue: what waits in it for too long, and what fails of it. Pure."""

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from jobctl.alerts.conditions.judge import Judge, Settings, span, subject_of
from jobctl.alerts.verdict import About, Verdict, between


class Backlog(NamedTuple):
    """The task of a type that is due for the longest time."""

    type: str
    oldest_s: float
    due: int


def of_backlogs(backlogs: Iterable[Backlog], settings: Settings, now: datetime) -> list[Verdict]:
    verdicts: list[Verdict] = []
    for each in backlogs:
        judge = Judge(settings, f"queue {each.type}", now)
        limit = judge.limit_of("queue-backlog", each.type)
        if not limit:
            continue
        title = f"queue {each.type}: a task is due for {span(each.oldest_s)}, longer than {span(limit)}"
        facts = (("due", f"{each.due:,} tasks of this type"),)
        judge.say("queue-backlog", between(each.oldest_s, limit), title=title, facts=facts)
        verdicts += judge.verdicts
    return verdicts


def of_queue_cause(name: str, about: str, message: str, hint: str, settings: Settings, now: datetime) -> list[Verdict]:
    """What `retry-failed` has found (queue/causes.py). `about` is a type, or nothing for all of them."""
    condition = "queue-failures" if name == "TaskFailures" else "queue-failure-rate"
    subject = subject_of("queue", about)
    judge = Judge(settings, subject, now, About("retry-failed", about))
    title = f"retry-failed {about}".rstrip() + f" degraded: {name}"
    judge.say(condition, True, title=title, facts=(("error", f"{name}: {message}"), ("hint", hint)))
    return judge.verdicts
