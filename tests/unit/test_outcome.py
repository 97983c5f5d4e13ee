"""What a run's scopes come to: one status, one exit code, one JSON object whose keys do not change."""

from datetime import UTC, datetime
from typing import cast

import pytest

from jobctl.errors import (
    CommandFailed,
    ConfigurationError,
    DatabaseUnavailable,
    DataError,
    Interrupted,
    JobctlError,
    LockLost,
    MaxRuntimeExceeded,
    SourceError,
    UnknownOutcome,
    UsageError,
    exit_code_of,
)
from jobctl.runtime.outcome import ErrorReport, RunReport, ScopeReport, status_of

NOW = datetime(2026, 11, 22, tzinfo=UTC)


def scope(status: str = "completed", *, degraded: bool = False, error: JobctlError | None = None) -> ScopeReport:
    reported = ErrorReport.of(error) if error else None
    return ScopeReport("s", status, NOW, NOW, 5, {"read": 2}, degraded=degraded, error=reported)


def report(*scopes: ScopeReport, error: JobctlError | None = None) -> RunReport:
    reported = ErrorReport.of(error) if error else None
    return RunReport("ingest-branch", "r", "c", False, NOW, NOW, 5, scopes, error=reported)


DONE = scope()
SKIPPED = scope("skipped")
DEGRADED = scope(degraded=True)
FAILED = scope("failed", error=SourceError("x"))
AWAY = scope("failed", error=DatabaseUnavailable("x"))
TIMEOUT = scope("timeout", error=MaxRuntimeExceeded("x"))
STOPPED = scope("interrupted", error=Interrupted("x", signal_number=15))


@pytest.mark.parametrize(
    ("scopes", "status", "exit_code"),
    [
        ((), "completed", 0),
        ((DONE,), "completed", 0),
        ((SKIPPED,), "skipped", 0),
        ((DONE, SKIPPED), "completed", 0),
        ((DEGRADED,), "completed", 3),
        ((DONE, FAILED), "completed", 3),
        ((FAILED,), "failed", 1),
        ((FAILED, FAILED), "failed", 1),
        ((AWAY, AWAY), "failed", 75),
        ((AWAY, FAILED), "failed", 1),
        ((DONE, TIMEOUT), "timeout", 124),
        ((DONE, STOPPED), "interrupted", 143),
        ((SKIPPED, FAILED), "failed", 1),
    ],
)
def test_status_and_exit_code_follow_from_the_scopes(
    scopes: tuple[ScopeReport, ...], status: str, exit_code: int
) -> None:
    assert (report(*scopes).status, report(*scopes).exit_code) == (status, exit_code)


def test_a_wrapped_command_that_exits_3_by_itself_is_failed_and_not_degraded() -> None:
    failed = report(scope("failed", error=CommandFailed("x", command_exit_code=3)))
    assert (failed.status, failed.exit_code, failed.degraded) == ("failed", 3, False)


def test_error_outside_any_scope_decides_the_exit_code() -> None:
    failed = report(DONE, error=ConfigurationError("x"))
    assert (failed.status, failed.exit_code) == ("failed", 78)


@pytest.mark.parametrize(
    ("error", "exit_code", "status"),
    [
        (JobctlError("x"), 1, "failed"),
        (UsageError("x"), 2, "failed"),
        (ConfigurationError("x"), 78, "failed"),
        (DatabaseUnavailable("x"), 75, "failed"),
        (UnknownOutcome("x"), 75, "failed"),
        (LockLost("x"), 1, "failed"),
        (DataError("x"), 1, "failed"),
        (MaxRuntimeExceeded("x"), 124, "timeout"),
        (Interrupted("x", signal_number=2), 130, "interrupted"),
        (ValueError("x"), 1, "failed"),
    ],
)
def test_every_error_has_its_exit_code_and_status(error: Exception, exit_code: int, status: str) -> None:
    assert exit_code_of(error) == exit_code
    assert status_of(error) == status


def test_counts_add_up_over_scopes() -> None:
    assert report(DONE, DONE).counts == {"read": 4}


def test_keys_of_the_json_object_are_frozen() -> None:
    value = report(DONE, FAILED).as_json()
    assert list(value) == [
        "job", "run_id", "correlation_id", "status", "degraded", "dry_run", "exit_code", "started_at", "finished_at",
        "duration_ms", "counts", "peak_memory_bytes", "dropped_log_lines", "notes", "slot_at", "scopes", "error",
    ]  # fmt: skip
    assert value["error"] == {"class": "SourceError", "message": "x", "hint": ""}
    assert isinstance(value["scopes"], list)
    scopes = cast("list[dict[str, object]]", value["scopes"])
    assert list(scopes[0]) == [
        "scope", "status", "degraded", "exit_code", "started_at", "finished_at", "duration_ms", "counts", "metrics",
        "notes", "error", "evidence", "output",
    ]  # fmt: skip
