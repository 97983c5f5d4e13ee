"""A run of several scopes as one: what it exited with, from its rows alone. Pure."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from jobctl.errors import EXIT_FAILED
from jobctl.runtime.outcome import ErrorReport, RunReport, ScopeReport


class Row(Protocol):
    """What is needed of a row of ops.job_history."""

    @property
    def run_id(self) -> UUID: ...
    @property
    def scope(self) -> str: ...
    @property
    def job(self) -> str: ...
    @property
    def correlation_id(self) -> str: ...
    @property
    def status(self) -> str: ...
    @property
    def degraded(self) -> bool: ...
    @property
    def exit_code(self) -> int | None: ...
    @property
    def started_at(self) -> datetime: ...
    @property
    def finished_at(self) -> datetime | None: ...
    @property
    def duration_ms(self) -> int | None: ...
    @property
    def counts(self) -> Mapping[str, Any]: ...
    @property
    def error_class(self) -> str | None: ...
    @property
    def error_message(self) -> str | None: ...
    @property
    def error_hint(self) -> str | None: ...


def report_of(rows: Sequence[Row]) -> RunReport:
    """The report that the run made of itself, or would have made. What it exited with is judged there."""
    first = rows[0]
    scopes = [_scope(row) for row in rows]
    return RunReport(
        job=first.job,
        run_id=str(first.run_id),
        correlation_id=first.correlation_id,
        dry_run=False,
        started_at=min(scope.started_at for scope in scopes),
        finished_at=max(scope.finished_at for scope in scopes),
        duration_ms=sum(scope.duration_ms for scope in scopes),
        scopes=scopes,
    )


def _scope(row: Row) -> ScopeReport:
    error = None
    if row.error_class is not None:
        exit_code = EXIT_FAILED if row.exit_code is None else row.exit_code
        error = ErrorReport(row.error_class, row.error_message or "", row.error_hint or "", exit_code, row.status)
    return ScopeReport(
        scope=row.scope,
        status=row.status,
        started_at=row.started_at,
        finished_at=row.finished_at or row.started_at,
        duration_ms=row.duration_ms or 0,
        counts=row.counts,
        degraded=row.degraded,
        error=error,
    )
