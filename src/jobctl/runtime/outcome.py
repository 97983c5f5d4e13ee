"""What a job returns, and what a run reports: frozen values; screen, JSON and exit code follow from them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from jobctl.errors import (
    EXIT_DEGRADED,
    EXIT_DONE,
    EXIT_FAILED,
    Interrupted,
    JobctlError,
    MaxRuntimeExceeded,
    exit_code_of,
)

RUNNING = "running"
COMPLETED = "completed"
FAILED = "failed"
TIMEOUT = "timeout"
INTERRUPTED = "interrupted"
ABANDONED = "abandoned"
SKIPPED = "skipped"


class Outcome(NamedTuple):
    """What a job did in one scope. Counts add up over scopes; metrics (rates, lags) are each scope's own.

    A job that fails raises; one that has more to tell of its failure than an error holds sets `error` instead.
    `is_told`: what degraded it has alerts of its own (`Run.tell`), and the run needs none besides."""

    counts: Mapping[str, int] = {}
    metrics: Mapping[str, float] = {}
    notes: Sequence[str] = ()
    degraded: bool = False
    error: JobctlError | None = None
    evidence: Mapping[str, object] | None = None
    output: str | None = None
    is_told: bool = False


class ErrorReport(NamedTuple):
    """An error as it is told and kept."""

    class_: str
    message: str
    hint: str
    exit_code: int
    status: str = FAILED

    @classmethod
    def of(cls, error: BaseException) -> "ErrorReport":
        hint = error.hint if isinstance(error, JobctlError) else ""
        return cls(
            type(error).__name__, str(error) or type(error).__name__, hint, exit_code_of(error), status_of(error)
        )

    def as_json(self) -> dict[str, object]:
        return {"class": self.class_, "message": self.message, "hint": self.hint}


class ScopeReport(NamedTuple):
    """One row of history: what became of one scope of a run."""

    scope: str
    status: str
    started_at: datetime
    finished_at: datetime
    duration_ms: int
    counts: Mapping[str, int] = {}
    metrics: Mapping[str, float] = {}
    notes: Sequence[str] = ()
    degraded: bool = False
    error: ErrorReport | None = None
    evidence: Mapping[str, object] | None = None
    peak_memory_bytes: int = 0
    fence: int | None = None
    output: str | None = None
    is_unheard: bool = False  # the database has no row of it, or one that is not true
    is_told: bool = False  # what degraded it has alerts of its own

    @property
    def exit_code(self) -> int:
        if self.error is not None:
            return self.error.exit_code
        return EXIT_DEGRADED if self.degraded else EXIT_DONE

    def as_json(self) -> dict[str, object]:
        return {
            "scope": self.scope,
            "status": self.status,
            "degraded": self.degraded,
            "exit_code": self.exit_code,
            "started_at": self.started_at.isoformat(),
            "finished_at": self.finished_at.isoformat(),
            "duration_ms": self.duration_ms,
            "counts": dict(self.counts),
            "metrics": dict(self.metrics),
            "notes": list(self.notes),
            "error": self.error.as_json() if self.error else None,
            "evidence": dict(self.evidence) if self.evidence is not None else None,
            "output": self.output,
        }


class CatchUp(NamedTuple):
    """A command to be started after this run, for a slot that was missed."""

    job: str
    scope: str
    slot_at: datetime
    command: str


class RunReport(NamedTuple):
    """What one run of a job did, over all its scopes. `error` is set when it failed before or outside any scope."""

    job: str
    run_id: str
    correlation_id: str
    dry_run: bool
    started_at: datetime
    finished_at: datetime
    duration_ms: int
    scopes: Sequence[ScopeReport] = ()
    notes: Sequence[str] = ()
    error: ErrorReport | None = None
    peak_memory_bytes: int = 0
    dropped_log_lines: int = 0
    slot_at: datetime | None = None
    catch_up: Sequence[CatchUp] = ()

    @property
    def first_error(self) -> ErrorReport | None:
        return self.error or next((scope.error for scope in self.scopes if scope.error), None)

    @property
    def exit_code(self) -> int:
        """0 when every scope is done or rightly skipped; 3 when some did and some did not; the failure's own code
        when none did. A run that was stopped says so, whatever it had finished before."""
        if self.error is not None:
            return self.error.exit_code
        stopped = [scope.exit_code for scope in self.scopes if scope.status in (TIMEOUT, INTERRUPTED)]
        if stopped:
            return stopped[0]
        bad = [scope.error.exit_code for scope in self.scopes if scope.error is not None]
        worked_on = sum(scope.status != SKIPPED for scope in self.scopes)
        if bad and len(bad) == worked_on:
            return bad[0] if len(set(bad)) == 1 else EXIT_FAILED
        return EXIT_DEGRADED if bad or any(scope.degraded for scope in self.scopes) else EXIT_DONE

    @property
    def status(self) -> str:
        if self.error is not None:
            return self.error.status
        statuses = {scope.status for scope in self.scopes}
        for status in (TIMEOUT, INTERRUPTED):
            if status in statuses:
                return status
        if not statuses:
            return COMPLETED
        if statuses == {SKIPPED}:
            return SKIPPED
        return COMPLETED if COMPLETED in statuses else FAILED

    @property
    def degraded(self) -> bool:
        return self.status == COMPLETED and self.exit_code == EXIT_DEGRADED

    @property
    def counts(self) -> dict[str, int]:
        total: Counter[str] = Counter()
        for scope in self.scopes:
            for name, number in scope.counts.items():
                total[name] += number
        return dict(total)

    def as_json(self) -> dict[str, object]:
        error = self.first_error
        return {
            "job": self.job,
            "run_id": self.run_id,
            "correlation_id": self.correlation_id,
            "status": self.status,
            "degraded": self.degraded,
            "dry_run": self.dry_run,
            "exit_code": self.exit_code,
            "started_at": self.started_at.isoformat(),
            "finished_at": self.finished_at.isoformat(),
            "duration_ms": self.duration_ms,
            "counts": self.counts,
            "peak_memory_bytes": self.peak_memory_bytes,
            "dropped_log_lines": self.dropped_log_lines,
            "notes": list(self.notes),
            "slot_at": self.slot_at.isoformat() if self.slot_at is not None else None,
            "scopes": [scope.as_json() for scope in self.scopes],
            "error": error.as_json() if error else None,
        }


def status_of(error: BaseException) -> str:
    """The status of a run that this error ended. By its kind: a wrapped command may exit with any number."""
    if isinstance(error, MaxRuntimeExceeded):
        return TIMEOUT
    return INTERRUPTED if isinstance(error, Interrupted) else FAILED
