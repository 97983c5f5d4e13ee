"""The supervisor's last word for a worker that left no report: its rows are ended for it, with how it died."""

import signal
import time
from datetime import datetime

import psycopg

from jobctl import clock
from jobctl.errors import Interrupted, JobctlError, MaxRuntimeExceeded
from jobctl.runtime import cancellations, history
from jobctl.runtime.call import JobCall
from jobctl.runtime.outcome import RunReport, ScopeReport
from jobctl.runtime.supervisor import Death


class WorkerDied(JobctlError):
    """The worker process was killed from outside or crashed; nothing it had not committed was kept."""


def after_death(call: JobCall, death: Death, started_at: datetime, started: float) -> RunReport:
    """The worker left no report: write its rows' end for it, and say how it died."""
    error, evidence = _cause_of(call, death)
    reported = call.reported(error)
    status = reported.status
    draft = ScopeReport(call.only_scope, status, started_at, started_at, 0, error=reported, evidence=evidence)
    scopes: list[ScopeReport] = []
    until = time.monotonic() + call.settings.kill_grace_s
    while not call.dry_run:
        try:
            database = call.open_database(call.identity.session_name)
            with database.connect(purpose="close") as conn, conn.transaction():
                asked = cancellations.get(conn, call.identity.run_id) if death.asked_by_signal is not None else None
                if asked is not None and asked.heard_at is not None:  # the signal was the worker's own
                    said = call.redactor.text(f"{asked}; it did not stop in time and was killed", limit=2_000)
                    reported = reported._replace(message=said)
                    evidence = {**evidence, **asked.as_evidence()}
                    draft = draft._replace(error=reported, evidence=evidence)
                ended = history.finish_silent(
                    conn,
                    call.identity.run_id,
                    status=status,
                    exit_code=reported.exit_code,
                    error_class=reported.class_,
                    message=reported.message,
                    hint=reported.hint,
                    evidence=evidence,
                    peak_memory_bytes=death.peak_memory_bytes,
                )
                draft = draft._replace(finished_at=clock.utc_now(), duration_ms=clock.ms_since(started))
                scopes = [draft._replace(scope=scope, counts=counts) for scope, counts in ended]
                if not scopes:  # it died before its first scope, or between two of them
                    history.record(conn, call.identity, draft, worker_pid=death.pid)
                call.alert(conn, *(scopes or [draft]))
            break
        except (psycopg.Error, JobctlError):
            if time.monotonic() > until:
                draft = draft._replace(finished_at=clock.utc_now(), duration_ms=clock.ms_since(started))
                scopes = [draft._replace(is_unheard=True)]
                break
            time.sleep(0.5)
    ended_at = clock.utc_now()
    return RunReport(
        job=call.identity.job,
        run_id=str(call.identity.run_id),
        correlation_id=call.identity.correlation_id,
        dry_run=call.dry_run,
        started_at=started_at,
        finished_at=ended_at,
        duration_ms=clock.ms_since(started),
        scopes=scopes,
        error=reported,
        peak_memory_bytes=death.peak_memory_bytes,
    )


def _cause_of(call: JobCall, death: Death) -> tuple[JobctlError, dict[str, object]]:
    evidence: dict[str, object] = {
        "worker_pid": death.pid,
        "exit_status": death.exit_status,
        "signal": signal.Signals(death.signal_number).name if death.signal_number else None,
        "ran_s": round(death.ran_s, 1),
        "peak_memory_bytes": death.peak_memory_bytes,
    }
    if death.timed_out:
        return (
            MaxRuntimeExceeded(
                f"the run did not stop at its max runtime of {call.max_runtime_s:.0f} s and was killed",
                hint="the next run continues from the checkpoint",
            ),
            evidence,
        )
    if death.asked_by_signal is not None:
        name = signal.Signals(death.asked_by_signal).name
        return (
            Interrupted(
                f"{name} ended the run; it did not stop in time and was killed",
                signal_number=death.asked_by_signal,
                hint="the next run continues from the checkpoint",
            ),
            evidence,
        )
    if death.signal_number is not None:
        hint = "look in the kernel's log for the out-of-memory killer" if death.signal_number == signal.SIGKILL else ""
        return WorkerDied(f"the worker was ended by {evidence['signal']} from outside", hint=hint), evidence
    return WorkerDied(f"the worker ended without a report (exit status {death.exit_status})"), evidence
