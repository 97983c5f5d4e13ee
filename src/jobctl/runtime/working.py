"""Step 6 of a run (`envelope`): the job itself; whatever it meets becomes a report."""

from collections.abc import Mapping
from contextlib import suppress

import psycopg

from jobctl import log
from jobctl.db.connection import Database
from jobctl.runtime import events
from jobctl.runtime.call import JobCall
from jobctl.runtime.guard import Grant
from jobctl.runtime.outcome import COMPLETED, ScopeReport
from jobctl.runtime.run import Run
from jobctl.runtime.stop import Stop

LOG = log.get_logger()


def do_the_work(
    call: JobCall,
    database: Database,
    control: psycopg.Connection | None,
    scope: str,
    stop: Stop,
    grant: Grant | None,
    draft: ScopeReport,
) -> ScopeReport:
    """Whatever the job raises becomes the report's error; a lost lock outranks what followed from it."""

    def record_event(level: str, event: str, fields: dict[str, object]) -> None:
        say = {"debug": LOG.debug, "info": LOG.info, "warning": LOG.warning}.get(level, LOG.error)
        say(event, **fields)
        if grant is not None and control is not None:
            with suppress(psycopg.Error):  # an event that cannot be kept is still in the log
                events.add(
                    control,
                    call.identity,
                    scope,
                    level,
                    event,
                    _redacted(call, fields),
                    lock_key=grant.lock_key,
                    fence=grant.fence,
                )

    run = Run(
        identity=call.identity,
        scope=scope,
        database=database,
        stop=stop,
        grant=grant,
        dry_run=call.dry_run,
        now=draft.started_at,
        record_event=record_event,
        progress=call.progress,
        keep_verdicts=call.tell,
    )
    try:
        outcome = call.work(run)
    except Exception as error:  # noqa: BLE001 - whatever a job meets is the run's error, and the run still ends truly
        cause = stop.reason or error
        LOG.error("run_failed", error=cause)  # noqa: TRY400 - one line, without the stack where secrets lie
        reported = call.reported(cause)
        counts = _counts_so_far(control, run)
        return draft._replace(status=reported.status, error=reported, counts=counts)
    ending = draft._replace(
        status=COMPLETED,
        counts=outcome.counts,
        metrics=outcome.metrics,
        notes=tuple(outcome.notes),
        degraded=outcome.degraded,
        evidence=outcome.evidence,
        output=outcome.output,
        is_told=outcome.is_told,
    )
    if outcome.error is None:
        return ending
    LOG.error("run_failed", error=outcome.error)
    reported = call.reported(outcome.error)
    return ending._replace(status=reported.status, error=reported)


def _counts_so_far(control: psycopg.Connection | None, run: Run) -> Mapping[str, int]:
    """What a failed run had already committed, from its own checkpoint."""
    if run.grant is None or control is None:
        return {}
    try:
        checkpoint = run.checkpoint(control)
    except psycopg.Error:
        return {}
    return checkpoint.counts if checkpoint is not None and checkpoint.run_id == run.run_id else {}


def _redacted(call: JobCall, fields: dict[str, object]) -> dict[str, object]:
    clean = call.redactor.deep(fields)
    assert isinstance(clean, dict)
    return clean  # pyright: ignore[reportUnknownVariableType]  # a mapping of text stays one
