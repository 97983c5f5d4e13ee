"""What becomes of a task when a try of it has ended. Pure: time and chance are values.

    succeeded            the handler returned
    failed, timeout      counted: another try after a pause, or failed for good when it cannot help or all are used up
    snoozed, released    not counted: the task waits again, later or in its old place

Tries that took their worker with them (crashes) have a limit of their own and are not counted here.
"""

import math
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final, Literal, NamedTuple

from jobctl.queue import storable
from jobctl.queue.backoff import pause_s
from jobctl.queue.task import Ending, Task
from jobctl.settings_queue import TypePolicy

SHORTEST_SNOOZE_S: Final = 1.0  # a task that is put off by nothing would be taken again at once, and for ever
LONGEST_SNOOZE_S: Final = 366 * 86_400.0
LONGEST_RETRY_AFTER_S: Final = 86_400.0  # what another side asks for is honoured up to here
SPREAD: Final = 0.2  # of a wait that was asked for: all were told the same


class Fault(NamedTuple):
    """An error as far as it matters for its task, clean enough to be kept."""

    class_: str
    message: str
    is_recoverable: bool = True
    retry_after_s: float = 0.0


def succeeded(
    task: Task,
    result: Mapping[str, Any] | None = None,
    *,
    handler_version: str | None = None,
    memory_bytes: int | None = None,
) -> Ending:
    return Ending(task, "succeeded", "succeeded", None, None, None, None, result, handler_version, memory_bytes)


def failed(
    task: Task,
    fault: Fault,
    policy: TypePolicy,
    *,
    now: datetime,
    share: float,
    outcome: Literal["failed", "timeout"] = "failed",
) -> Ending:
    """`share` is drawn evenly from 0 to 1."""
    tries = task.attempt - task.crashes
    ending = Ending(
        task,
        outcome,
        "failed",
        error_class=storable.text(fault.class_, storable.LONGEST_NAME),
        error_message=storable.text(fault.message),
        is_recoverable=fault.is_recoverable,
    )
    if not fault.is_recoverable or tries >= policy.max_attempts:
        return ending
    pause = pause_s(tries, base_s=policy.backoff_base_s, cap_s=policy.backoff_cap_s, share=share)
    if fault.retry_after_s > 0:
        asked = _within(fault.retry_after_s, 0.0, LONGEST_RETRY_AFTER_S)
        pause = max(pause, asked * (1 + SPREAD * share))
    return ending._replace(state="queued", scheduled_at=now + timedelta(seconds=pause))


def snoozed(task: Task, seconds: float, reason: str, *, now: datetime) -> Ending:
    wait = timedelta(seconds=_within(seconds, SHORTEST_SNOOZE_S, LONGEST_SNOOZE_S))
    message = storable.text(reason)
    return Ending(task, "snoozed", "queued", now + wait, error_class="Snooze", error_message=message)


def released(task: Task, reason: str) -> Ending:
    """Given back untouched: it keeps its turn."""
    message = storable.text(reason)
    return Ending(task, "released", "queued", task.due_at, error_class="Released", error_message=message)


def _within(seconds: float, least: float, most: float) -> float:
    return least if math.isnan(seconds) else min(max(seconds, least), most)
