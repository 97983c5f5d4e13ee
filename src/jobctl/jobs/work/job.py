"""Do the tasks that other jobs have left behind.

Cron asks every few minutes: is anything due in the queue that a handler of this host can do, and is there room for it
within the limits? Read: queue.tasks, queue.limits. Written: queue.tasks, one row of queue.attempts for each try that
ended, and whatever the handlers write.

Running it twice is safe, on one host or many: a task is held by lease and fence by one worker at a time, and ends once.
A worker that dies leaves its tasks to the next one, which finds their leases over. What a handler does outside the
database may be begun again then, and is to be made for that; what it writes in `context.effect()` counts only with the
task still in hand.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from time import monotonic

import psycopg

from jobctl.db.sqlstate import is_conflict
from jobctl.did_you_mean import did_you_mean
from jobctl.errors import DatabaseUnavailable, JobctlError, UsageError
from jobctl.jobs.work.handlers import Handlers, installed, unusable_notes
from jobctl.jobs.work.preview import preview
from jobctl.jobs.work.worker import Limits, Worker
from jobctl.queue import left, limits
from jobctl.redact import Redactor
from jobctl.runtime.outcome import Outcome
from jobctl.runtime.run import Run
from jobctl.settings import Settings

TRIES_TO_TELL = 5


@dataclass(frozen=True, slots=True)
class Options:
    """`types` are those asked for; none stands for all that have a handler here."""

    types: Sequence[str] = ()
    batch: int = 20
    concurrency: int = 10
    max_tasks: int | None = None
    until_empty: bool = False
    max_runtime_s: float = 540


def work(run: Run, options: Options, settings: Settings, redactor: Redactor) -> Outcome:
    began = monotonic()
    handlers = installed()
    types = types_of(handlers, options.types)
    if run.dry_run:
        return preview(run, settings.queue_settings, types, handlers, options.max_tasks)
    _tell_limits(run, settings, handlers)
    worker = Worker(run, _limits(run, options, settings, began), settings, redactor, handlers, types)
    worker.work()
    return _outcome(run, options, settings, handlers, worker, monotonic() - began)


def _tell_limits(run: Run, settings: Settings, handlers: Handlers) -> None:
    """What this host's settings say holds for all claims from here on."""
    with run.connect("limits") as conn:
        for attempt in range(1, TRIES_TO_TELL + 1):
            try:
                limits.tell(conn, settings.queue_settings, types=handlers.types)
            except psycopg.Error as error:
                if not is_conflict(error) or attempt == TRIES_TO_TELL:
                    raise
            else:
                return


def types_of(handlers: Handlers, asked: Sequence[str]) -> list[str]:
    for type_ in asked:
        if type_ not in handlers.types:
            meant = did_you_mean(type_, handlers.types)
            there = f"there are: {', '.join(handlers.types)}" if handlers.types else "there are none"
            raise UsageError(
                f"no handler is registered for {type_!r}",
                hint=f"did you mean {meant}?" if meant else f"{there}; docs/handlers.md says how to register one",
            )
    return sorted(set(asked)) if asked else list(handlers.types)


def _limits(run: Run, options: Options, settings: Settings, began: float) -> Limits:
    return Limits(
        batch=options.batch,
        concurrency=options.concurrency,
        max_tasks=options.max_tasks,
        until_empty=options.until_empty,
        ends_at=min(run.stop.ends_at, began + options.max_runtime_s),  # what came before it is the run's time, too
        last_part_s=options.max_runtime_s * (1 - settings.soft_limit_share),
        grace_s=settings.kill_grace_s,
    )


def _notes_on_others(run: Run, types: Sequence[str]) -> list[str]:
    try:
        with run.connect("notes") as conn:
            others = left.due_of_other_types(conn, types)
    except (psycopg.Error, JobctlError):
        return []
    return [
        f"{_tasks(count)} due of type {type_!r}, and no handler here is registered for it"
        for type_, count in others.items()
    ]


def _outcome(
    run: Run, options: Options, settings: Settings, handlers: Handlers, worker: Worker, took_s: float
) -> Outcome:
    tally = worker.tally
    notes = list(worker.notes)
    share = tally.failed_share()
    has_failed = share > settings.degraded_reject_share
    if has_failed:
        notes.append(
            f"{share:.1%} of the tasks failed for good, more than {settings.degraded_reject_share:.0%}; "
            "see: jobctl queue list --state failed"
        )
    if worker.has_stuck:
        notes.append("too many tries hang beyond their time, so this run ended early; see timeout_s of their types")
    notes += unusable_notes(handlers, worker.unusable)
    if not options.types and run.stop.reason is None:
        notes += _notes_on_others(run, handlers.types)
    if not tally.claimed:
        notes.append("nothing was due")
    error: JobctlError | None = run.stop.reason
    if error is None and worker.unsent:
        error = DatabaseUnavailable(
            f"the end of {worker.unsent:,} tries could not be written",
            hint="their leases end, and a later run does those tasks again",
        )
    metrics = {"tasks_per_s": round(tally.done / max(took_s, 1e-9), 1)}
    degraded = has_failed or worker.has_stuck or bool(worker.unusable)
    return Outcome(counts=tally.counts(), metrics=metrics, notes=notes, degraded=degraded, error=error)


def _tasks(count: int) -> str:
    return "1 task is" if count == 1 else f"{count:,} tasks are"
