"""The steps of a run in the order of time: expected, begun, asked to end, ended. Pure.

Between them stand its events; those are many and of the job's own, these are few and the same for every job.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

from jobctl.durations import format_duration
from jobctl.monitor.runs.showing import Scope, Shown


class Step(NamedTuple):
    """`step` is a fixed word: expected, began, cancel_requested, cancel_heard, ended, brought_in."""

    at: datetime
    step: str
    scope: str
    said: str


def steps_of(shown: Shown) -> list[Step]:
    return sorted(_steps(shown), key=lambda step: step.at)


def _steps(shown: Shown) -> Iterator[Step]:
    if shown.first.slot_at is not None:
        late_s = (shown.first.started_at - shown.first.slot_at).total_seconds()
        said = f"its slot; it began {format_duration(max(0, round(late_s)))} after it"
        yield Step(shown.first.slot_at, "expected", "", said)
    for scope in shown.scopes:
        yield from _of_scope(scope)
    asked = shown.cancellation
    if asked is not None:
        haste = ", at once" if asked.is_now else ""
        yield Step(asked.requested_at, "cancel_requested", "", f"{asked}{haste}")
        if asked.heard_at is not None:
            yield Step(asked.heard_at, "cancel_heard", "", "the run's heartbeat brought the request")


def _of_scope(scope: Scope) -> Iterator[Step]:
    row = scope.row
    if row.fence is not None:
        held = f", fence {row.fence}"
        yield Step(row.started_at, "began", row.scope, f"on {row.host} as {row.os_user} (pid {row.worker_pid}){held}")
    if row.finished_at is not None:
        took = format_duration((row.duration_ms or 0) / 1000)
        why = f": {row.error_message}" if row.error_message else ""
        yield Step(row.finished_at, "ended", row.scope, f"{scope.state} after {took}{why}")
    if row.replayed_at is not None:
        said = "this row came in later: the database was out of reach at its time"
        yield Step(row.replayed_at, "brought_in", row.scope, said)
