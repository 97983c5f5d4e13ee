"""What a handler of tasks is, for those who write one.

A handler is a callable registered under its type in the entry points `jobctl.handlers`:

    [project.entry-points."jobctl.handlers"]
    crawl = "my_package.crawl:crawl"

    def crawl(task: Task, context: Context) -> Mapping[str, object] | None:
        page = fetch(task.payload["url"], timeout_s=context.seconds_left())
        with context.effect() as conn:
            conn.execute("INSERT INTO ...")
        return {"bytes": len(page)}

What it returns is kept with the try. It runs in a thread; several tries may run at once. What it raises decides what
becomes of the task: `NotRecoverable` ends it for good, `Snooze` puts it off without spending a try, `Recoverable` and
every other exception lead to another try after a pause, up to the type's number of tries. What it took too long over,
said by a `TimeoutError`, is kept as a `timeout`.

Attributes a handler may carry: `version` (text, kept with each try) and `batch_size` (more than 1: it is called with a
sequence of tasks and gives a sequence of as many results, where an exception in place of a result fails that task).
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, Protocol

import psycopg

from jobctl.queue.task import Task
from jobctl.settings import Settings

GROUP = "jobctl.handlers"  # of entry points

Result = Mapping[str, Any] | None
Handler = Callable[[Task, "Context"], Result]
BatchHandler = Callable[[Sequence[Task], "Context"], Sequence[Result | Exception]]


class Recoverable(Exception):
    """It may go better later; `retry_after_s` is how long at least to wait, where the other side said so."""

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class NotRecoverable(Exception):
    """Trying again cannot help: the task fails for good."""


class Snooze(Exception):
    """Not now: the task waits this long and no try is spent."""

    def __init__(self, seconds: float, reason: str = "") -> None:
        super().__init__(reason or f"put off for {seconds:g} s")
        self.seconds = seconds


class Context(Protocol):
    """What a handler is given beside its task."""

    @property
    def settings(self) -> Settings: ...

    @property
    def deadline(self) -> datetime:
        """When this try times out, in UTC."""
        ...

    def seconds_left(self) -> float:
        """Until the deadline; never negative."""
        ...

    def should_stop(self) -> bool:
        """True once the run must end or the try has timed out or was given away: stop soon, by `check` or by return."""
        ...

    def check(self) -> None:
        """Raise if `should_stop`; what it raises gives the task back without cost when the run is ending."""
        ...

    def effect(self) -> AbstractContextManager[psycopg.Connection]:
        """A transaction that first checks that this worker still holds the task (all tasks of a batch). What a handler
        writes to the database belongs in one, for then it is written once or not at all."""
        ...

    def reading(self) -> AbstractContextManager[psycopg.Connection]:
        """A transaction that can only read, for what a handler needs to know beforehand. It checks nothing."""
        ...

    def save_checkpoint(self, value: Any) -> None:
        """Keep where this try is, as JSON; the next try finds it in `task.checkpoint`."""
        ...

    def event(self, event: str, /, **fields: object) -> None:
        """A line in the log, with task, type and try."""
        ...
