"""One call of a job, as the command line makes it and every step of its run needs it."""

import errno
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, NamedTuple

import psycopg

from jobctl.db.connection import Database
from jobctl.db.sqlstate import explain
from jobctl.redact import Redactor
from jobctl.runtime.expected import Expectations
from jobctl.runtime.identity import Identity, Who
from jobctl.runtime.outcome import ErrorReport, Outcome, ScopeReport
from jobctl.runtime.run import Run
from jobctl.settings import Settings

if TYPE_CHECKING:
    from jobctl.alerts.verdict import Verdict


DISK_IS_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


class JobCall(NamedTuple):
    """Who runs, how to find the job's scopes, and the function that does one of them.

    `contains_children`: the work is a command of the user's, which has one scope, effects outside the database, and
    processes that must end with it. `outlives_database`: it may run without the database, too. `takes_one_scope`: its
    scopes are places, of which a run takes the first that is free. `regains_lock`: it goes on when its lock's session
    was cut off, with the lock taken anew, for its effects do not rest on this lock alone."""

    identity: Identity
    settings: Settings
    redactor: Redactor
    dry_run: bool
    max_runtime_s: float
    open_database: Callable[[str], Database]
    scopes_of: Callable[[psycopg.Connection], Sequence[str]]
    work: Callable[[Run], Outcome]
    progress: Callable[[int, int | None], None] = lambda done, total: None
    expected: Expectations | None = None
    slot_scope: str = ""
    outlives_database: bool = False
    contains_children: bool = False
    takes_one_scope: bool = False
    regains_lock: bool = False

    @property
    def only_scope(self) -> str:
        """The scope of a wrapped command, which is known without asking the database; empty for any other job."""
        return self.slot_scope if self.contains_children else ""

    def reported(self, error: BaseException) -> ErrorReport:
        """An error as it may be shown and kept: in the house's words, without its secrets."""
        report = ErrorReport.of(explain(error) if isinstance(error, psycopg.Error) else error)
        if isinstance(error, OSError) and error.errno in DISK_IS_FULL:
            report = report._replace(class_="DiskFull", hint=report.hint or "make room, then run it again")
        return report._replace(
            message=self.redactor.text(report.message, limit=2_000),
            hint=self.redactor.text(report.hint, limit=500),
        )

    def alert(self, conn: psycopg.Connection, *reports: ScopeReport, who: Who | None = None) -> None:
        """Judge the runs that these reports have just ended, inside the transaction of their rows."""
        if not self.settings.alert_settings.enabled:
            return
        from jobctl.alerts import judging

        job = who.job if who is not None else self.identity.job
        ended = [judging.Ended(job, report.scope, report.is_told) for report in reports]
        judging.runs_ended(conn, self.settings, self.redactor, ended)

    def tell(self, conn: psycopg.Connection, verdicts: "Sequence[Verdict]", looked_at: Collection[str] = ()) -> None:
        """Inside a transaction: take what somebody has judged. `looked_at`: conditions of which it is all there is."""
        if not self.settings.alert_settings.enabled:
            return
        from jobctl.alerts import judging

        judging.judged(conn, self.settings, self.redactor, verdicts, looked_at=looked_at)
