"""One call of a handler, with one task or a batch: carried out in a thread, every way of ending told.

A batch that raises as a whole is not failed as a whole, for one bad task must not use up the tries of the others: its
tasks are called again one by one, still within the same try. Only what concerns them all (a server away, a snooze)
counts for all.
"""

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple, cast

from jobctl import clock, log
from jobctl.jobs.work.context import Connections, GivenBack, TryContext
from jobctl.jobs.work.faults import Redact, concerns_all, fault_of
from jobctl.jobs.work.handlers import Registered
from jobctl.queue import storable, verdict
from jobctl.queue.handler import Snooze
from jobctl.queue.lease import TaskLost
from jobctl.queue.task import Ending, Task
from jobctl.redact import Redactor
from jobctl.settings import Settings

LOG = log.get_logger()


class Call:
    """Tasks of one type that are handed to their handler together. Its time begins when it does."""

    __slots__ = ("context", "handler", "tasks")

    def __init__(self, tasks: Sequence[Task], handler: Registered) -> None:
        self.tasks = tasks
        self.handler = handler
        self.context: TryContext | None = None


class Again(NamedTuple):
    """These have to be called one by one."""

    calls: Sequence[Call]


class ServerClock:
    """The database's time, from the last claim on: hosts' own clocks may differ, and pauses are compared with it."""

    def __init__(self) -> None:
        self._known: tuple[datetime, float] | None = None

    def learn(self, now: datetime, at: float) -> None:
        self._known = (now, at)

    def now(self) -> datetime:
        known = self._known
        return clock.utc_now() if known is None else known[0] + timedelta(seconds=clock.monotonic() - known[1])


class Caller:
    """Carries out calls. One for all threads."""

    def __init__(
        self,
        settings: Settings,
        redactor: Redactor,
        connections: Connections,
        scope: str,
        is_held: Callable[[Task], bool],
    ) -> None:
        self.clock = ServerClock()
        self.memory_bytes = 0  # of the process, as the worker's loop last saw it
        self._settings = settings
        self._policies = settings.queue_settings
        self._redactor = redactor
        self._redact: Redact = lambda text: redactor.text(text, limit=storable.LONGEST_MESSAGE)
        self._connections = connections
        self._scope = scope
        self._is_held = is_held

    def carry_out(self, call: Call) -> Sequence[Ending | Again]:
        """Raises nothing: also what a handler raises to end the process ends its try alone."""
        try:
            first = call.tasks[0]
            if not (self._is_held(first) and all(map(self._is_held, call.tasks[1:]))):
                # The process was frozen, or somebody cancelled it.
                return [verdict.released(task, "its lease had ended before it began") for task in call.tasks]
            context = self._begin(call)
            about = {"task_id": first.task_id, "task_type": first.type, "attempt": first.attempt}
            if len(call.tasks) > 1:
                about |= {"tasks": len(call.tasks)}
            with log.bound(scope=self._scope, **about):
                if call.handler.batch_size > 1:
                    return self._batch(call, context)
                return [self._single(call, context)]
        except BaseException as error:  # noqa: BLE001 - of our own code: the thread and its tasks must not be lost
            LOG.error("try_broken", error=error)  # noqa: TRY400 - one line, no stack
            return [self.ending_of(task, error) for task in call.tasks]

    def ending_of(self, task: Task, error: BaseException) -> Ending:
        """What an exception makes of the task that it is about."""
        now = self.clock.now()
        if isinstance(error, GivenBack | TaskLost):  # a lost one cannot be given back: the completion will say so
            return verdict.released(task, storable.message_of(error))
        if isinstance(error, Snooze):
            return verdict.snoozed(task, error.seconds, self._redact(str(error)), now=now)
        fault = fault_of(error, self._redact)
        outcome = "timeout" if isinstance(error, TimeoutError) else "failed"
        policy = self._policies.policy_of(task.type)
        ending = verdict.failed(task, fault, policy, now=now, share=random.random(), outcome=outcome)
        tell = LOG.warning if ending.state == "failed" else LOG.info
        tell("try_failed", task_id=task.task_id, task_type=task.type, attempt=task.attempt, state=ending.state,
             error=error)  # fmt: skip
        return ending

    def timed_out(self, call: Call) -> list[Ending]:
        policy = self._policies.policy_of(call.handler.type)
        fault = verdict.Fault("TimedOut", f"the try took longer than the {policy.timeout_s:g} s that its type may take")
        now, share = self.clock.now(), random.random()
        LOG.warning("try_timed_out", task_ids=[task.task_id for task in call.tasks], task_type=call.handler.type)
        return [
            self._noted(verdict.failed(task, fault, policy, now=now, share=share, outcome="timeout"), call)
            for task in call.tasks
        ]

    def _begin(self, call: Call) -> TryContext:
        timeout_s = self._policies.policy_of(call.handler.type).timeout_s
        context = TryContext(call.tasks, timeout_s, self._settings, self._connections, clock.monotonic())
        call.context = context
        return context

    def _single(self, call: Call, context: TryContext) -> Ending:
        (task,) = call.tasks
        try:
            return self._succeeded(task, call.handler.call(task, context), call)
        except BaseException as error:  # noqa: BLE001 - a handler is somebody else's code
            return self._noted(self.ending_of(task, error), call)

    def _batch(self, call: Call, context: TryContext) -> Sequence[Ending | Again]:
        tasks = call.tasks
        try:
            results = _as_many(call.handler.call(tasks, context), len(tasks))
        except (GivenBack, TaskLost, Snooze) as error:
            return [self._noted(self.ending_of(task, error), call) for task in tasks]
        except BaseException as error:  # noqa: BLE001 - a handler is somebody else's code
            if len(tasks) > 1 and not concerns_all(error):
                LOG.warning("batch_called_one_by_one", error=error)
                return [Again([Call([task], call.handler) for task in tasks])]
            return [self._noted(self.ending_of(task, error), call) for task in tasks]
        return [self._of_batch(task, result, call) for task, result in zip(tasks, results, strict=True)]

    def _of_batch(self, task: Task, result: object, call: Call) -> Ending:
        try:
            if isinstance(result, BaseException):
                raise result
            return self._succeeded(task, result, call)
        except BaseException as error:  # noqa: BLE001 - what is wrong with one result concerns one task
            return self._noted(self.ending_of(task, error), call)

    def _succeeded(self, task: Task, result: object, call: Call) -> Ending:
        kept = storable.result_of(result)
        if kept:
            kept = cast(dict[str, Any], self._redactor.deep(kept))
        return verdict.succeeded(task, kept, handler_version=call.handler.version, memory_bytes=self.memory_bytes)

    def _noted(self, ending: Ending, call: Call) -> Ending:
        return ending._replace(handler_version=call.handler.version, memory_bytes=self.memory_bytes)


def calls_of(tasks: Iterable[Task], handler_of: Callable[[str], Registered]) -> Iterator[Call]:
    """The calls that these tasks make. A task of a batch handler whose earlier try failed is called alone: what failed
    then may be its own fault."""
    fresh: dict[str, list[Task]] = {}
    for task in tasks:
        handler = handler_of(task.type)
        if handler.batch_size == 1 or task.attempt > 1:
            yield Call([task], handler)
            continue
        batch = fresh.setdefault(task.type, [])
        batch.append(task)
        if len(batch) == handler.batch_size:
            yield Call(fresh.pop(task.type), handler)
    for type_, batch in fresh.items():
        yield Call(batch, handler_of(type_))


def _as_many(results: object, tasks: int) -> Sequence[object]:
    if isinstance(results, str | bytes) or not isinstance(results, Sequence):
        raise TypeError(f"a batch handler gives a sequence of results, not a {type(results).__name__}")
    given = cast(Sequence[object], results)
    if len(given) != tasks:
        raise ValueError(f"the batch handler gave {len(given)} results for {tasks} tasks")
    return given
