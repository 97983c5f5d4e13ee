"""Put right what went wrong in the queue.

Cron asks hourly: is any task held by a worker that is gone, does any ask for what nobody needs, has any failed for a
reason that time may mend, must somebody hear of what failed, does a weekly mail wait, are there rows past their time,
and is anything due? Read: queue.attempts, core.items. Written: queue.tasks, queue.attempts, ops.outbox,
ops.report_mails, ops.checkpoints, and what handlers write.

Running it twice is safe: every change names the state that it leaves and asks for it again of the locked row, so a task
that was recovered, cancelled or requeued is none of the next run's. So is ending it anywhere: each batch commits with
the counts of what was done so far.

One run at a time works on the whole database. A step that fails keeps no other from being done.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import psycopg

from jobctl import clock
from jobctl.errors import JobctlError
from jobctl.jobs import look_around
from jobctl.jobs.retry_failed import draining, steps
from jobctl.jobs.retry_failed.progress import Progress
from jobctl.queue.causes import Cause
from jobctl.queue.prune import Cutoffs
from jobctl.queue.rates import TypeTries
from jobctl.queue.rescue import Rescued
from jobctl.redact import Redactor
from jobctl.reports import sending
from jobctl.runtime.outcome import Outcome
from jobctl.runtime.run import Run
from jobctl.settings import Settings

COUNTS = (
    *("stuck_recovered", "stuck_failed", "stale_cancelled", "requeued", "superseded", "withheld"),
    *("failures_last_hour", "alerts", "pruned", "pruned_attempts", "drained"),
)
MOST_TOLD = 20  # stuck tasks that the report lists; the events have them all
PRUNING_SHARE = 0.5  # of the time that is left then


@dataclass(frozen=True, slots=True)
class Options:
    """Without `types`, tasks of all of them. `task_ids` are those of an operator's word: they get another try, and
    nothing else is done. `ends_at` is by clock.monotonic; `draw` gives random numbers from 0 to below 1."""

    settings: Settings
    redactor: Redactor
    ends_at: float
    types: Sequence[str] = ()
    since: datetime | None = None
    task_ids: Sequence[int] = ()
    reset_attempts: bool = False
    draw: Callable[[], float] = random.random


def retry_failed(run: Run, options: Options) -> Outcome:
    """Recover, cancel, requeue, tell, prune, and work off what is due."""
    work = _RetryFailed(run, options)
    try:
        if options.task_ids:
            work.do_as_told()
        else:
            work.do_all()
    except JobctlError as stopped:
        if stopped is not run.stop.reason:
            raise
        return work.outcome()._replace(error=stopped)
    return work.outcome()


class _RetryFailed:
    """One run, with what it has found so far."""

    def __init__(self, run: Run, options: Options) -> None:
        self._run = run
        self._options = options
        self._queue = options.settings.queue_settings
        self._types = list(options.types) or None
        self._progress = Progress(run, COUNTS)
        self._stuck: list[Rescued] = []
        self._rates: list[TypeTries] | None = None
        self._causes: list[Cause] = []

    def do_all(self) -> None:
        step = self._progress.step
        here = draining.types_here(self._progress, self._types)
        with self._progress.together():
            step("recover", self._recover)
            step("cancel stale", self._cancel_stale)
            step("look", self._look)
            step("requeue", self._requeue)
            if self._rates is not None:  # else there is nothing to tell, and nothing to be over
                step("alert", self._alert)
            if here and self._run.dry_run:
                step("drain", lambda conn: draining.count_due(self._progress, conn, here))
        if not self._run.dry_run:
            step("look around", self._look_around)
        step("prune", self._prune)
        if here and not self._run.dry_run:
            self._progress.step_alone("drain", lambda: self._drain(here))

    def do_as_told(self) -> None:
        with self._progress.together():
            self._progress.step(
                "requeue", lambda conn: steps.requeue_as_told(self._progress, conn, self._options.task_ids)
            )

    def _recover(self, conn: psycopg.Connection) -> None:
        self._stuck = steps.recover(self._progress, conn, self._queue, self._types, self._options.draw)

    def _cancel_stale(self, conn: psycopg.Connection) -> None:
        """Before the requeue: what nobody needs gets no other round."""
        if self._types is None or "embed" in self._types:
            current = self._options.settings.embed_model_version
            steps.cancel_stale(self._progress, conn, current=current, since=self._since)

    def _look(self, conn: psycopg.Connection) -> None:
        self._rates, self._causes = steps.look(self._progress, conn, self._queue, self._types)

    def _requeue(self, conn: psycopg.Connection) -> None:
        """Where the rates could not be read, each type is taken to be down, and only asked."""
        round_ = steps.Round(self._queue, self._since, self._types, self._options.reset_attempts)
        steps.requeue(self._progress, conn, round_, self._rates, self._options.draw)

    def _alert(self, conn: psycopg.Connection) -> None:
        alerts = self._options.settings.alert_settings
        steps.alert(self._progress, conn, self._causes, alerts, is_whole=self._types is None)

    def _send_mails(self) -> None:
        """What the report's own run could not send; usually none waits."""
        run, options = self._run, self._options
        sent = sending.send_due(options.settings, run.database, options.redactor, stopping=run.stop.event, waits_s=())
        if sent.left:
            self._progress.notes.append(f"{sent.left:,} weekly mails wait" + (f": {sent.problem}" * bool(sent.problem)))

    def _look_around(self, conn: psycopg.Connection) -> None:
        """What no run's end tells: disks, backlog, branches, rates, and the team's own rules. Weekly mails that wait
        are tried before, so that what is told of them is true; whatever that meets, the look is taken."""
        try:
            self._send_mails()
        finally:
            look_around.look_around(self._run, conn, self._options.settings, self._options.redactor)

    def _prune(self, conn: psycopg.Connection) -> None:
        until = clock.monotonic() + PRUNING_SHARE * (self._options.ends_at - clock.monotonic())
        finished = self._run.now - timedelta(seconds=self._queue.keep_finished_s)
        cutoffs = Cutoffs(finished, self._kept_from)
        tries_stay = "attempts" in self._options.settings.archive_settings.takes
        steps.prune(self._progress, conn, cutoffs, self._types, until=until, tries_stay=tries_stay)

    def _drain(self, types: Sequence[str]) -> None:
        options = self._options
        draining.drain(self._progress, options.settings, options.redactor, types, ends_at=options.ends_at)

    @property
    def _kept_from(self) -> datetime:
        return self._run.now - timedelta(seconds=self._queue.keep_failed_s)

    @property
    def _since(self) -> datetime:
        """What failed before is about to be pruned, and gets no other round."""
        since = self._options.since
        return self._kept_from if since is None else max(since, self._kept_from)

    def outcome(self) -> Outcome:
        progress = self._progress
        every_step_failed = 0 < progress.steps == len(progress.failures)
        return Outcome(
            counts=dict(progress.counts),
            notes=[*(cause.message for cause in self._causes), *progress.notes],
            degraded=bool(self._causes or progress.is_incomplete),
            error=progress.failures[0].error if every_step_failed else None,
            evidence={"stuck": [steps.told(each) for each in self._stuck[:MOST_TOLD]]} if self._stuck else None,
            is_told=bool(self._causes) and not progress.is_incomplete,
        )
