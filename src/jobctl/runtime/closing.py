"""Step 9 of a run (`envelope`): its end is written down. What the database does not hear is marked, and spooled."""

import os
import resource

import psycopg

from jobctl import clock, log
from jobctl.db.connection import Database
from jobctl.db.sqlstate import is_conflict, is_connection_lost
from jobctl.errors import DatabaseUnavailable, JobctlError, LockLost
from jobctl.runtime import history
from jobctl.runtime.call import JobCall
from jobctl.runtime.outcome import ABANDONED, FAILED, ErrorReport, ScopeReport

LOG = log.get_logger()


def closed(call: JobCall, database: Database, control: psycopg.Connection, report: ScopeReport) -> ScopeReport:
    """Step 9: the final row, written once more on a fresh connection if the first went away under it."""
    report = report._replace(peak_memory_bytes=peak_memory_bytes())
    try:
        written = finished(call, control, report)
    except psycopg.Error as error:
        if not (is_connection_lost(error) or is_conflict(error)):
            raise
        try:
            with database.connect(purpose="close") as conn:
                written = finished(call, conn, report)
                # The first answer may be what was lost: the row then says already what this run wanted to say.
                written = written or history.status_of(conn, call.identity.run_id, report.scope) == report.status
        except (psycopg.Error, JobctlError):
            return _unheard(call, report)
    is_deposed = report.error is not None and report.error.class_ == LockLost.__name__
    if not written and call.contains_children and not is_deposed:
        return _unheard(call, report)  # its lock was lost with the database's memory, and others had to guess
    if not written:
        late = LockLost("another run declared this one dead before it ended", hint="see the row in ops.job_history")
        return report._replace(status=ABANDONED, error=ErrorReport.of(late))
    return report


def finished(call: JobCall, conn: psycopg.Connection, report: ScopeReport) -> bool:
    """The final row and its alert, both or neither."""
    with conn.transaction():
        written = history.finish(conn, call.identity.run_id, report, dropped_log_lines=log.dropped_lines())
        if written:
            call.alert(conn, report)
    return written


def recorded(call: JobCall, control: psycopg.Connection, report: ScopeReport) -> ScopeReport:
    """The row of a scope that ended before it began."""
    try:
        with control.transaction():
            history.record(control, call.identity, report, worker_pid=os.getpid())
            call.alert(control, report)
    except psycopg.Error:
        return report._replace(is_unheard=True)
    return report


def _unheard(call: JobCall, report: ScopeReport) -> ScopeReport:
    """An end that the database does not know. What a job wrote may have gone with the server's last moments, and is not
    called done; what a command did outside of it, is done."""
    if report.error is None and not call.contains_children:
        away = ErrorReport.of(DatabaseUnavailable("the run's end could not be recorded"))
        return report._replace(status=FAILED, error=away, is_unheard=True)
    return report._replace(is_unheard=True)


def timed(report: ScopeReport, started: float) -> ScopeReport:
    return report._replace(finished_at=clock.utc_now(), duration_ms=clock.ms_since(started))


def peak_memory_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
