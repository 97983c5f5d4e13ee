"""Step 9 of a run (`envelope`), its last part: what must be heard leaves the process; and runs as the conditions of
alerts know them. Without a channel nothing of this is done."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from jobctl.errors import DatabaseUnavailable
from jobctl.runtime.call import JobCall
from jobctl.runtime.expected import Missed
from jobctl.runtime.outcome import RunReport, ScopeReport

if TYPE_CHECKING:
    from jobctl.alerts.verdict import Verdict


def tell(call: JobCall, report: RunReport, unheard: Sequence[ScopeReport]) -> None:
    """After the run of `report`. Raises nothing. Where the database is away, by the local book of this host."""
    last = report.error or (report.scopes[-1].error if report.scopes else None)
    is_away = last is not None and last.class_ == DatabaseUnavailable.__name__
    if unheard or is_away:
        from jobctl.alerts import local

        verdicts = [verdict for scope in unheard for verdict in _of_unheard(call, scope)]
        local.runs_ended(call.settings, call.redactor, verdicts)
    if not unheard and not is_away:  # else it has waited for the database already
        from jobctl.alerts import delivery

        # A name of its own: the next holder of the lock may end the sessions that have this run's.
        session_name = call.identity._replace(job="outbox").session_name
        delivery.deliver(call.settings, call.redactor, lambda: call.open_database(session_name))


def missed_slot(call: JobCall, missed: Missed) -> "Sequence[Verdict]":
    from jobctl.alerts.conditions.slots import of_missed_slot

    return of_missed_slot(
        missed.job,
        missed.scope,
        missed.host,
        call.settings.alert_settings.conditions,
        slot=missed.slot_local,
        reason=missed.reason,
        slot_at=missed.slot_at,
    )


def _of_unheard(call: JobCall, scope: ScopeReport) -> "Sequence[Verdict]":
    """A run that the database has not heard of has no history to be judged by but itself."""
    from jobctl.alerts.conditions.run_fact import RunFact
    from jobctl.alerts.conditions.runs import of_runs

    error = scope.error
    run = RunFact(
        run_id=call.identity.run_id,
        status=scope.status,
        degraded=scope.degraded,
        exit_code=scope.exit_code,
        host=call.identity.host,
        started_at=scope.started_at,
        finished_at=scope.finished_at,
        duration_ms=scope.duration_ms,
        counts=scope.counts,
        notes=scope.notes,
        error_class=error.class_ if error is not None else None,
        error_message=error.message if error is not None else None,
        error_hint=error.hint if error is not None else None,
    )
    settings = call.settings.alert_settings.conditions
    return of_runs([run], call.identity.job, scope.scope, settings, is_told=scope.is_told)
