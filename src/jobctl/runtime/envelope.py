"""What happens around every job. The steps of a run, in order:

    1  identity      who runs: run id, correlation id, host, user; bound to every log line, row and session
    2  supervise     fork the worker; the supervisor keeps limits, signals, exit code and the last word (`supervisor`)
       expect        take the slot this start answers for, or rightly do nothing; see what was missed (`expected`)
    3  guard         lock and fence of the job and scope, or a `skipped` row and exit 0 (`guard`)
    4  recover       rows that say `running` whose lock is gone become `abandoned` (`history.abandon_dead`)
    5  begin         the row `running`; the heartbeat starts (`heartbeat`)
    6  work          the job itself; each transaction with an effect checks the fence (`Run.effect`)
    7  limits        soft limit warns, max runtime ends; both are the supervisor's and the heartbeat's
    8  signals       the batch in flight is finished, the checkpoint kept; `jobctl runs cancel` is one (`cancelling`)
    9  close         the final row, the marker line, the textfile; alerts to the outbox, the outbox sent

A job with several scopes goes through 3 to 9 for each; one scope's failure does not end the others.
"""

import os
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from datetime import datetime
from functools import partial

import psycopg

from jobctl import clock, log
from jobctl.db.connection import Database
from jobctl.errors import EXIT_FAILED, DatabaseUnavailable, JobctlError, UsageError
from jobctl.runtime import events, history, host_lock, markers, pings
from jobctl.runtime.call import JobCall
from jobctl.runtime.closing import closed, finished, peak_memory_bytes, recorded, timed
from jobctl.runtime.guard import Grant, Guard
from jobctl.runtime.heartbeat import Heartbeat
from jobctl.runtime.history import Abandoned
from jobctl.runtime.identity import Who
from jobctl.runtime.last_word import after_death
from jobctl.runtime.outcome import (
    ABANDONED,
    COMPLETED,
    FAILED,
    SKIPPED,
    CatchUp,
    ErrorReport,
    RunReport,
    ScopeReport,
)
from jobctl.runtime.stop import Stop
from jobctl.runtime.supervisor import supervise
from jobctl.runtime.telling import missed_slot
from jobctl.runtime.working import do_the_work

LOG = log.get_logger()


def run_job(call: JobCall) -> RunReport:
    """Run the job under the envelope and give its report. Raises nothing that a run can meet."""
    started_at, started = clock.utc_now(), time.monotonic()
    ping_url = (
        None if call.dry_run else pings.url_of(call.settings.heartbeat_url_of_job(), call.identity.job, call.slot_scope)
    )
    if ping_url is not None:
        pings.began(ping_url, str(call.identity.run_id))
    report = supervise(
        lambda stop: _work(call, stop),
        lambda death: after_death(call, death, started_at, started),
        max_runtime_s=call.max_runtime_s,
        kill_grace_s=call.settings.kill_grace_s,
        contains_children=call.contains_children,
    )
    unheard = _unheard(call, report)
    if unheard:
        from jobctl.runtime import spool

        spool.keep(call.settings.spool_dir, call.identity, unheard)
    if ping_url is not None:
        pings.ended(ping_url, report)
    markers.log_outcome(report, call.only_scope)
    if call.settings.textfile_dir is not None and not call.dry_run:
        markers.write_textfile(report, call.settings.textfile_dir, call.only_scope)
    if not call.dry_run and call.settings.alert_channels():
        from jobctl.runtime import telling

        telling.tell(call, report, unheard)
    return report


def _work(call: JobCall, stop: Stop) -> RunReport:
    """Everything the worker does. Errors become part of the report."""
    started_at, started = clock.utc_now(), time.monotonic()
    scopes: list[ScopeReport] = []
    catch_up: Sequence[CatchUp] = ()
    error: Exception | None = None
    try:
        database = call.open_database(call.identity.session_name)
        with ExitStack() as stack:
            control = stack.enter_context(database.connect(purpose="control"))
            refusal = _expected(call, control)
            if refusal is not None:
                scopes.append(refusal)
                return _report(call, scopes, started_at, started)
            wanted = _wanted(call, control, started_at)
            if not wanted:
                scopes.append(_nothing_to_do(call, control, started_at, started))
            if call.takes_one_scope and wanted:
                scopes.append(_run_first_free(call, database, control, wanted, stop.part()))
                wanted = ()
            for nth, scope in enumerate(wanted):
                if nth:  # a connection of its own: a database that went away under one scope is back for the next
                    stack.close()
                    control = stack.enter_context(database.connect(purpose="control"))
                run_scope = _run_alone_here if call.contains_children else _run_scope
                scopes.append(run_scope(call, database, control, scope, stop.part()))
                if stop.reason is not None:
                    if nth + 1 < len(wanted):
                        error = stop.reason  # the others were not begun, and the run says why
                    break
            catch_up = _afterwards(call, database, scopes)
    except Exception as caught:  # noqa: BLE001 - also what nobody foresaw must be a report, redacted, and no stack trace
        error = caught
    if call.outlives_database and not scopes and not call.dry_run and _is_away(call, error):
        assert error is not None
        scopes, error = [_run_unguarded(call, stop, error)], None
    return _report(call, scopes, started_at, started, error=error, catch_up=catch_up)


def _is_away(call: JobCall, error: Exception | None) -> bool:
    return error is not None and call.reported(error).class_ == DatabaseUnavailable.__name__


def _unheard(call: JobCall, report: RunReport) -> Sequence[ScopeReport]:
    """The rows of a run that are not in the database. One that never reached it has a row all the same."""
    if report.dry_run:
        return ()
    scopes = [scope for scope in report.scopes if scope.is_unheard]
    error = report.error
    if not scopes and error is not None and error.class_ == DatabaseUnavailable.__name__:
        draft = ScopeReport(call.only_scope, FAILED, report.started_at, report.finished_at, report.duration_ms)
        scopes = [draft._replace(error=error)]
    return scopes


def _wanted(call: JobCall, control: psycopg.Connection, started_at: datetime) -> Sequence[str]:
    """The scopes to work on. Without them there is no run; why not is kept, unless it was the command line's fault."""
    try:
        return call.scopes_of(control)
    except JobctlError as refused:
        if not isinstance(refused, UsageError) and not call.dry_run:
            failed = ScopeReport("", FAILED, started_at, clock.utc_now(), 0, error=call.reported(refused))
            recorded(call, control, failed)
        raise


def _nothing_to_do(call: JobCall, control: psycopg.Connection, started_at: datetime, started: float) -> ScopeReport:
    notes = ("there is nothing to work on",)
    report = ScopeReport("", COMPLETED, started_at, clock.utc_now(), clock.ms_since(started), notes=notes)
    return report if call.dry_run else recorded(call, control, report)


def _report(
    call: JobCall,
    scopes: Sequence[ScopeReport],
    started_at: datetime,
    started: float,
    *,
    error: Exception | None = None,
    catch_up: Sequence[CatchUp] = (),
) -> RunReport:
    return RunReport(
        job=call.identity.job,
        run_id=str(call.identity.run_id),
        correlation_id=call.identity.correlation_id,
        dry_run=call.dry_run,
        started_at=started_at,
        finished_at=clock.utc_now(),
        duration_ms=clock.ms_since(started),
        scopes=scopes,
        error=call.reported(error) if error is not None else None,
        peak_memory_bytes=peak_memory_bytes(),
        dropped_log_lines=log.dropped_lines(),
        slot_at=call.identity.slot_at,
        catch_up=catch_up,
    )


def _expected(call: JobCall, control: psycopg.Connection) -> ScopeReport | None:
    """Bring in what the database could not hear, take this start's slot, see what was missed. A report: the start
    rightly does nothing."""
    if call.dry_run:
        return None
    if call.settings.spool_dir.exists():  # most hosts have never had a run to keep there
        from jobctl.alerts import local
        from jobctl.runtime import spool

        if local.exists(call.settings):
            local.bring_in(control, call.settings)

        spool.replay(control, call.settings.spool_dir, call.alert)
    if call.expected is None:
        return None
    started_at, started = clock.utc_now(), time.monotonic()
    refusal = call.expected.begin(control)
    try:
        for missed in call.expected.judge(control):
            LOG.warning("slot_missed", slot_job=missed.job, slot_scope=missed.scope, slot=missed.slot_local,
                        slot_host=missed.host, reason=missed.reason)  # fmt: skip
            with control.transaction():
                call.tell(control, missed_slot(call, missed))
    except Exception as error:  # noqa: BLE001 - what others missed ends no run
        LOG.error("slots_not_judged", error=error)  # noqa: TRY400 - one line, no stack
    if refusal is None:
        return None
    LOG.info("run_refused", reason=refusal.why)
    draft = ScopeReport(call.only_scope, SKIPPED, started_at, started_at, 0)
    draft = draft._replace(notes=(refusal.why,), evidence=refusal.evidence)
    return recorded(call, control, timed(draft, started))


def _afterwards(call: JobCall, database: Database, scopes: Sequence[ScopeReport]) -> Sequence[CatchUp]:
    """Tell the ledger how it went. On a connection of its own, for the run's may have gone."""
    if call.expected is None or call.dry_run or call.identity.slot_at is None:
        return ()
    try:
        with database.connect(purpose="slots") as conn:
            return call.expected.end(conn, scopes)
    except Exception as error:  # noqa: BLE001 - the run has ended; what is owed is found again by the next start
        LOG.error("slot_not_ended", error=error)  # noqa: TRY400 - one line, no stack
        return ()


def _run_first_free(
    call: JobCall, database: Database, control: psycopg.Connection, scopes: Sequence[str], stop: Stop
) -> ScopeReport:
    """In the first of these that nobody else is in; skipped when all are taken."""
    for scope in scopes[:-1]:
        report = _try_scope(call, database, control, scope, stop)
        if report is not None:
            return report
    return _run_scope(call, database, control, scopes[-1], stop)


def _run_scope(call: JobCall, database: Database, control: psycopg.Connection, scope: str, stop: Stop) -> ScopeReport:
    report = _try_scope(call, database, control, scope, stop, is_last=True)
    assert report is not None
    return report


def _try_scope(
    call: JobCall, database: Database, control: psycopg.Connection, scope: str, stop: Stop, *, is_last: bool = False
) -> ScopeReport | None:
    """Steps 3 to 9 for one scope. Gives a report for whatever happens in it; None: its lock is held, and it is not the
    last one that could be had."""
    started_at, started = clock.utc_now(), time.monotonic()
    with log.bound(scope=scope):
        draft = ScopeReport(scope, FAILED, started_at, started_at, 0)
        if call.dry_run:
            ending = do_the_work(call, database, control, scope, stop, None, draft)
            return timed(ending, started)
        guard = Guard(database, call.identity.job, scope, lease_s=call.settings.lease_s)
        run_id, host, worker_pid = call.identity.run_id, call.identity.host, os.getpid()
        regain = partial(guard.regain, run_id=run_id, host=host, worker_pid=worker_pid)
        has_begun = False
        try:
            granted = guard.acquire(control, run_id=run_id, host=host, worker_pid=worker_pid)
            if not isinstance(granted, Grant):
                if not is_last:
                    return None
                LOG.info("run_skipped", holder=str(granted))
                skipped = draft._replace(
                    status=SKIPPED,
                    notes=(f"skipped: the lock is held by {granted}",),
                    evidence=granted.as_evidence(),
                )
                return recorded(call, control, timed(skipped, started))
            at = {"lock_key": granted.lock_key, "fence": granted.fence}
            with control.transaction():
                found = history.abandon_dead(control, call.identity.run_id, **at)
                for dead in found:
                    call.alert(control, _abandoned(dead), who=Who(dead.job, dead.run_id, dead.host))
            for dead in found:
                LOG.warning("abandoned_run_found", dead_run_id=str(dead.run_id), dead_scope=dead.scope)
                events.add(
                    control, call.identity, scope, "warning", "abandoned_run_found",
                    {"run_id": str(dead.run_id), "job": dead.job, "scope": dead.scope, "host": dead.host}, **at,
                )  # fmt: skip
            history.start(
                control,
                call.identity,
                scope,
                lock_key=granted.lock_key,
                fence=granted.fence,
                worker_pid=os.getpid(),
                guard_backend_pid=granted.guard_backend_pid,
                lease_s=call.settings.lease_s,
            )
            LOG.info("run_started", fence=granted.fence, max_runtime_s=call.max_runtime_s)
            has_begun = True
            with Heartbeat(
                database,
                call.identity,
                scope,
                granted,
                stop,
                every_s=call.settings.heartbeat_s,
                lease_s=call.settings.lease_s,
                soft_limit_s=call.max_runtime_s * call.settings.soft_limit_share,
                on_soft_limit=lambda: LOG.warning("soft_limit_reached", max_runtime_s=call.max_runtime_s),
                outlives_database=call.outlives_database,
                regain=regain if call.regains_lock else None,
            ) as heartbeat:
                ending = do_the_work(call, database, control, scope, stop, granted, draft)
            ending = heartbeat.told_on(ending)
            return closed(call, database, control, timed(ending._replace(fence=granted.fence), started))
        except Exception as error:
            failed = timed(draft._replace(error=call.reported(error)), started)
            if call.outlives_database and not has_begun and _is_away(call, error):
                raise  # it may run without
            with suppress(psycopg.Error):  # its own row, if it has one already
                if finished(call, control, failed):
                    return failed
            return recorded(call, control, failed)
        finally:
            guard.release()


def _run_alone_here(
    call: JobCall, database: Database, control: psycopg.Connection, scope: str, stop: Stop
) -> ScopeReport:
    """A command that may run without the database is kept apart from others on this host by a file's lock as well:
    one that began while the database was away is still there when it is back."""
    if call.dry_run:
        return _run_scope(call, database, control, scope, stop)
    started_at, started = clock.utc_now(), time.monotonic()
    with host_lock.held(call.settings.spool_dir, call.identity, scope) as holder:
        if holder is None:
            return _run_scope(call, database, control, scope, stop)
    LOG.info("run_skipped", holder=holder)
    note = f"skipped: the lock of this host is held by {holder}"
    skipped = ScopeReport(scope, SKIPPED, started_at, started_at, 0, notes=(note,))
    return recorded(call, control, timed(skipped, started))


def _run_unguarded(call: JobCall, stop: Stop, away: Exception) -> ScopeReport:
    """The work without the database: kept apart from others on this host alone."""
    started_at, started = clock.utc_now(), time.monotonic()
    scope = call.only_scope
    draft = ScopeReport(scope, FAILED, started_at, started_at, 0, is_unheard=True)
    reason = call.reported(away).message
    with log.bound(scope=scope), host_lock.held(call.settings.spool_dir, call.identity, scope) as holder:
        if holder is not None:
            note = f"skipped: the lock of this host is held by {holder}; {reason}"
            return timed(draft._replace(status=SKIPPED, notes=(note,)), started)
        LOG.warning("run_unguarded", reason=reason)
        nowhere = Database("", call.identity.session_name)
        ending = do_the_work(call, nowhere, None, scope, stop.part(), None, draft)
    note = f"ran without the database, kept apart from others on this host alone: {reason}"
    return timed(ending._replace(notes=(*ending.notes, note)), started)


def _abandoned(dead: Abandoned) -> ScopeReport:
    """What is known of a run that another found dead."""
    said = f"the run ended without a word; its last heartbeat was at {dead.heartbeat_at:%Y-%m-%d %H:%M:%S} UTC"
    error = ErrorReport("Abandoned", said, "look for a crash or a restart of its host", EXIT_FAILED)
    return ScopeReport(dead.scope, ABANDONED, dead.heartbeat_at, clock.utc_now(), 0, error=error)
