"""How tasks, tries and the answers about them look to a program (JSON objects) and to a person (tables)."""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from jobctl.cli.render import print_table, print_text
from jobctl.durations import format_duration
from jobctl.errors import UsageError

if TYPE_CHECKING:
    from jobctl.monitor.queue.why import Answer
    from jobctl.queue.listing import Attempt, Listed, Shown

SHOWN_ERROR = 80


def unknown_task(task_id: int) -> UsageError:
    return UsageError(f"there is no task {task_id}", hint="it may have been purged; see: jobctl queue list")


def answer_object(answer: "Answer", at: datetime) -> dict[str, Any]:
    return {
        "task_id": answer.task_id,
        "state": answer.state,
        "code": answer.code,
        "text": answer.text,
        "at": at,
        "reasons": [reason._asdict() for reason in answer.reasons],
    }


def print_tasks(tasks: "Sequence[Listed]") -> None:
    if not tasks:
        print_text("No such tasks.")
        return
    print_table(
        "",
        ["id", "type", "state", "user", "priority", "tries", "crashes", "due", "ended", "error"],
        [
            [
                task.task_id,
                task.type,
                task.state,
                task.user_id,
                task.priority or "",
                task.attempts,
                task.crashes or "",
                task.scheduled_at if task.state in ("queued", "blocked") else None,
                task.finished_at,
                _error(task.error_class, task.error_message),
            ]
            for task in tasks
        ],
    )


def print_task(task: "Shown", tries: "Sequence[Attempt]") -> None:
    """Plain lines, since a payload may be long."""
    from json import dumps

    told = task._asdict()
    for name, value in told.items():
        if value is None or value == "" or (name.startswith("forgiven") and not value):
            continue
        text = dumps(value, ensure_ascii=False) if name in ("payload", "checkpoint") else _plain(value)
        print_text(f"{name.replace('_', ' '):<18}{text}")
    if tries:
        print_table(
            "Tries",
            ["try", "outcome", "worker", "waited", "ran", "ended", "error"],
            [
                [
                    each.attempt,
                    each.outcome,
                    each.worker,
                    _span(each.due_at, each.claimed_at),
                    _span(each.claimed_at, each.finished_at),
                    each.finished_at,
                    _error(each.error_class, each.error_message),
                ]
                for each in tries
            ],
        )


def shortened(text: str) -> str:
    return text if len(text) <= SHOWN_ERROR else text[: SHOWN_ERROR - 1] + "…"


def _error(error_class: str | None, message: str | None) -> str:
    return shortened(": ".join(part for part in (error_class, message) if part))


def _span(begin: datetime, end: datetime) -> str:
    return format_duration(max(0.0, (end - begin).total_seconds()))


def _plain(value: object) -> str:
    return f"{value:%Y-%m-%d %H:%M:%S} UTC" if isinstance(value, datetime) else str(value)
