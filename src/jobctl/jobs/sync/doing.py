"""One project in its thread, from a connection of its own to the row that says what became of it."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import psycopg

from jobctl import clock
from jobctl.db.sqlstate import explain, is_conflict, is_connection_lost
from jobctl.errors import EXIT_DONE, ConfigurationError, DatabaseUnavailable, JobctlError, LockLost, exit_code_of
from jobctl.github.account import Spent
from jobctl.github.client import Client
from jobctl.github.etag_store import StoredEtags
from jobctl.github.failures import CredentialsRefused, GitHubError, NoAnswer, Outcome, ServerTrouble
from jobctl.jobs.sync import project as steps
from jobctl.jobs.sync.session import Choice, OutOfTime, Session
from jobctl.projects import store
from jobctl.projects.project import Project
from jobctl.retry import retrying
from jobctl.runtime.run import Run

AGAIN_WITHIN_S: Final = 60.0
COMPLETE: Final = frozenset({Outcome.OK, Outcome.UNCHANGED, Outcome.MOVED})
PARTS_FAILED: Final = frozenset({Outcome.FORBIDDEN, Outcome.GONE, Outcome.FAILED})
# They are no project's own: each ends the run.
FATAL: Final = (LockLost, CredentialsRefused, DatabaseUnavailable, ConfigurationError)


class Rows(NamedTuple):
    """Of a step."""

    processed: int
    failed: int


@dataclass
class Done:
    """What became of a project. `name` is what it is called now, `was` what it was called when the run began."""

    project_id: int
    name: str
    was: str
    outcome: Outcome
    error: JobctlError | None = None
    counts: Counter[str] = field(default_factory=Counter[str])
    steps: Mapping[str, Rows] = field(default_factory=dict[str, Rows])
    notes: list[str] = field(default_factory=list[str])
    spent: Spent = field(default_factory=Spent)
    duration_ms: int = 0

    @property
    def is_silent(self) -> bool:
        """GitHub was not there."""
        return isinstance(self.error, NoAnswer | ServerTrouble)

    @property
    def is_out_of_time(self) -> bool:
        return isinstance(self.error, OutOfTime)

    def tell(self, run: Run) -> None:
        """As events: each step that did something, then the whole."""
        for step, rows in self.steps.items():
            run.event("project_step", project=self.name, step=step, processed=rows.processed, failed=rows.failed)
        level = "error" if self.outcome in PARTS_FAILED else "info"
        fields: dict[str, object] = {
            "project": self.name,
            "outcome": str(self.outcome),
            "requests": self.spent.requests,
        }
        if self.was != self.name:
            fields["was"] = self.was
        if self.error is not None:
            fields |= {"error_class": type(self.error).__name__, "reason": self.error.message}
        run.event("project_synced", level=level, **fields, duration_ms=self.duration_ms)

    def as_json(self) -> dict[str, object]:
        error = self.error
        return {
            "scope": self.name,
            "status": "failed" if self.outcome in PARTS_FAILED else "completed",
            "outcome": str(self.outcome),
            "exit_code": exit_code_of(error) if error is not None and self.outcome in PARTS_FAILED else EXIT_DONE,
            "was": self.was if self.was != self.name else None,
            "counts": dict(self.counts),
            "requests": self.spent.requests,
            "not_modified": self.spent.unchanged,
            "quota": self.spent.quota,
            "points": self.spent.points,
            "duration_ms": self.duration_ms,
            "notes": self.notes,
            "error": {"class": type(error).__name__, "message": error.message, "hint": error.hint} if error else None,
        }


class Doing:
    """For all threads."""

    def __init__(self, run: Run, client: Client, etags: StoredEtags, choice: Choice) -> None:
        self._run = run
        self._client = client
        self._etags = etags
        self._choice = choice

    def sync(self, project: Project) -> Done:
        """Raises what is no project's own."""
        started = clock.monotonic()
        done = Done(project.project_id, project.full_name, project.full_name, Outcome.FAILED)
        again = retrying(_is_recoverable, within_s=AGAIN_WITHIN_S, sleep=self._run.stop.event.wait)
        try:
            (self._synced if self._run.dry_run else again(self._synced))(project, done)
        except Exception as error:  # whatever one project meets is its outcome
            known = explain(error) if isinstance(error, psycopg.Error) else error
            known = self._run.stop.reason or known
            if isinstance(known, FATAL):
                raise known from error
            if not isinstance(known, JobctlError):
                known = JobctlError(f"{type(error).__name__}: {error}")
            done.error = known
            done.outcome = Outcome.LIMITED if known is self._run.stop.reason else _outcome_of(known)
        done.spent = self._client.account.total(done.was)
        if done.was != done.name:
            done.spent.add(self._client.account.total(done.name))
        done.duration_ms = clock.ms_since(started)
        if not self._run.stop.is_hurried:
            again(self._note)(project, done)
        return done

    def _synced(self, project: Project, done: Done) -> None:
        with self._run.connect("project") as conn, self._etags.over(conn):
            session = Session(self._run, conn, self._client, project, self._choice)
            try:
                with session.rehearsing():
                    done.outcome = steps.sync(session)
            finally:
                done.name = session.project.full_name
                done.counts.update({name: number for name, number in session.counts.items() if number})
                done.notes = session.notes
                done.steps = {
                    step: Rows(session.processed[step], session.failed[step])
                    for step in {**session.processed, **session.failed}
                    if session.processed[step] or session.failed[step]
                }

    def _note(self, project: Project, done: Done) -> None:
        """In its row. Zero rows: it was removed meanwhile."""
        if self._run.dry_run:
            return
        error = done.error
        with self._run.connect("project") as conn, self._run.effect(conn, wait_for_disk=False):
            store.synced(
                conn,
                project.project_id,
                done.outcome,
                self._run.run_id,
                is_complete=done.outcome in COMPLETE,
                error_class=type(error).__name__ if error is not None else None,
                error_message=error.message[:1_000] if error is not None else None,
            )


def _outcome_of(error: JobctlError) -> Outcome:
    if isinstance(error, OutOfTime):
        return Outcome.LIMITED
    return error.outcome if isinstance(error, GitHubError) else Outcome.FAILED


def _is_recoverable(error: BaseException) -> bool:
    """The database's doing: GitHub has been asked again already."""
    return is_connection_lost(error) or is_conflict(error) or isinstance(error, DatabaseUnavailable)
