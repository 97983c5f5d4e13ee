"""One run with all that is kept of it: its rows, its events, the slot and the line of the crontab that it came from.

Of the events of a run, which may be many, the last ones are read; everything else of it is a handful of rows, each
found by an index.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, LiteralString, NamedTuple
from uuid import UUID

import psycopg
from psycopg.rows import class_row

from jobctl.errors import UsageError
from jobctl.monitor.runs import facts, listing, states, whole
from jobctl.monitor.runs.facts import Unfinished
from jobctl.monitor.runs.states import State
from jobctl.runtime import cancellations
from jobctl.runtime.cancellations import Cancellation
from jobctl.runtime.outcome import RunReport


class Row(NamedTuple):
    """A row of ops.job_history: what became of one scope of the run."""

    run_id: UUID
    scope: str
    job: str
    correlation_id: str
    status: str
    degraded: bool
    exit_code: int | None
    host: str
    os_user: str
    supervisor_pid: int
    worker_pid: int | None
    version: str
    command: str
    slot_at: datetime | None
    started_at: datetime
    heartbeat_at: datetime
    lease_s: int | None
    finished_at: datetime | None
    duration_ms: int | None
    counts: Mapping[str, Any]
    metrics: Mapping[str, Any]
    notes: Sequence[str]
    peak_memory_bytes: int | None
    dropped_log_lines: int
    error_class: str | None
    error_message: str | None
    error_hint: str | None
    evidence: Mapping[str, Any] | None
    output: str | None
    fence: int | None
    replayed_at: datetime | None


class Event(NamedTuple):
    event_id: int
    scope: str
    at: datetime
    level: str
    event: str
    fields: Mapping[str, Any]


class SlotOf(NamedTuple):
    """A slot that the run answered for, or whose work it did later (`is_covered`)."""

    job: str
    scope: str
    slot_at: datetime
    slot_local: str
    verdict: str
    reason: str
    is_covered: bool


class Line(NamedTuple):
    """A line of a crontab (or timer) that starts this job and scope, as it was installed when the run began."""

    host: str
    os_user: str
    source: str
    scope: str
    expression: str
    zone: str
    command: str


@dataclass(frozen=True, slots=True)
class Scope:
    """A row with its true state. `duration_ms` and `counts` of one that runs are those so far; `recent_ms` and
    `recent_records` are of the runs of the same job and scope before it, the oldest first."""

    row: Row
    state: State
    duration_ms: int | None
    counts: Mapping[str, Any]
    pulse: Unfinished | None
    recent_ms: tuple[int | None, ...]
    recent_records: tuple[int | None, ...]


@dataclass(frozen=True, slots=True)
class Shown:
    scopes: tuple[Scope, ...]
    events: tuple[Event, ...]
    has_earlier_events: bool
    slots: tuple[SlotOf, ...]
    lines: tuple[Line, ...]
    cancellation: Cancellation | None

    @property
    def first(self) -> Row:
        return self.scopes[0].row

    @property
    def run_id(self) -> UUID:
        return self.first.run_id

    @property
    def is_unfinished(self) -> bool:
        return any(scope.row.status in states.UNFINISHED for scope in self.scopes)

    @property
    def as_a_whole(self) -> RunReport:
        """The run of all its scopes, judged as the envelope judges it: its status and exit code."""
        return whole.report_of([scope.row for scope in self.scopes])

    @property
    def state(self) -> State:
        """While a scope has not ended it is that one's."""
        for state in UNFINISHED_STATES:
            if any(scope.state == state for scope in self.scopes):
                return state
        if all(scope.state == "abandoned" for scope in self.scopes):
            return "abandoned"
        report = self.as_a_whole
        return states.of(report.status, degraded=report.degraded)

    @property
    def exit_code(self) -> int | None:
        return None if self.is_unfinished else self.as_a_whole.exit_code

    @property
    def finished_at(self) -> datetime | None:
        """When the last scope ended; None while one has not."""
        ends = [scope.row.finished_at for scope in self.scopes]
        return max((end for end in ends if end is not None), default=None) if None not in ends else None


ROWS = """
SELECT run_id, scope, job, correlation_id, status, degraded, exit_code, host, os_user, supervisor_pid, worker_pid,
    version, command, slot_at, started_at, heartbeat_at, lease_s, finished_at, duration_ms, counts, metrics, notes,
    peak_memory_bytes, dropped_log_lines, error_class, error_message, error_hint, evidence, output, fence, replayed_at
FROM ops.job_history WHERE run_id = %(run_id)s ORDER BY started_at, scope LIMIT 10000
"""
RECENT = """
SELECT duration_ms, counts FROM ops.job_history
WHERE job = %(job)s AND scope = %(scope)s AND started_at < %(before)s
  AND status NOT IN ('skipped', 'pending', 'running')
ORDER BY started_at DESC LIMIT %(limit)s
"""
EVENTS = """
SELECT event_id, scope, at, level, event, fields FROM ops.sync_events
WHERE run_id = %(run_id)s AND event_id > %(after)s ORDER BY event_id DESC LIMIT %(limit)s
"""
NEXT_EVENTS = """
SELECT event_id, scope, at, level, event, fields FROM ops.sync_events
WHERE run_id = %(run_id)s AND event_id > %(after)s ORDER BY event_id LIMIT %(limit)s
"""
SLOTS = """
SELECT job, scope, slot_at, slot_local, verdict, reason, false AS is_covered FROM ops.slots WHERE run_id = %(run_id)s
UNION ALL
SELECT job, scope, slot_at, slot_local, verdict, reason, true FROM ops.slots WHERE covered_by_run_id = %(run_id)s
ORDER BY is_covered, slot_at DESC LIMIT 100
"""
# A host that has the line now may have got it after the run; then it is not what started it.
LINES = """
SELECT host, os_user, source, scope, expression, zone, command FROM ops.schedules
WHERE job = %(job)s AND host = %(host)s AND os_user = %(os_user)s AND scope = ANY (%(scopes)s)
  AND installed_at <= %(at)s AND (removed_at IS NULL OR removed_at > %(at)s)
ORDER BY schedule_id LIMIT 20
"""
RECENT_RUNS = 20
UNFINISHED_STATES: Final[tuple[State, ...]] = ("running", "pending", "frozen", "dead")


def show(conn: psycopg.Connection, run_id: UUID, *, events: int) -> Shown:
    """With the last `events` events. Raises UsageError where there is no such run."""
    rows = rows_of(conn, run_id)
    if not rows:
        raise UsageError(f"there is no run {run_id}", hint="it may have been pruned; see: jobctl runs list")
    truth = listing.truth_about(conn, rows)
    scopes = tuple(_scope(conn, row, truth.get((run_id, row.scope))) for row in rows)
    latest = _events(conn, EVENTS, run_id, after=0, limit=events + 1)
    slots = _slots(conn, run_id)
    return Shown(
        scopes=scopes,
        events=tuple(latest[:events][::-1]),
        has_earlier_events=len(latest) > events,
        slots=slots,
        lines=_lines(conn, rows, slots),
        cancellation=cancellations.get(conn, run_id),
    )


def rows_of(conn: psycopg.Connection, run_id: UUID) -> list[Row]:
    with conn.cursor(row_factory=class_row(Row)) as cursor:
        return cursor.execute(ROWS, {"run_id": run_id}).fetchall()


def events_after(conn: psycopg.Connection, run_id: UUID, event_id: int, *, limit: int = 1_000) -> list[Event]:
    """The next ones, the oldest first."""
    return _events(conn, NEXT_EVENTS, run_id, after=event_id, limit=limit)


def _events(conn: psycopg.Connection, question: LiteralString, run_id: UUID, *, after: int, limit: int) -> list[Event]:
    parameters = {"run_id": run_id, "after": after, "limit": limit}
    with conn.cursor(row_factory=class_row(Event)) as cursor:
        return cursor.execute(question, parameters).fetchall()


def _scope(conn: psycopg.Connection, row: Row, pulse: Unfinished | None) -> Scope:
    parameters = {"job": row.job, "scope": row.scope, "before": row.started_at, "limit": RECENT_RUNS}
    recent = conn.execute(RECENT, parameters).fetchall()[::-1]
    return Scope(
        row=row,
        state=states.of(row.status, degraded=row.degraded, pulse=pulse),
        duration_ms=row.duration_ms if pulse is None else round(pulse.elapsed_s * 1000),
        counts=(pulse.progress if pulse is not None else None) or row.counts,
        pulse=pulse,
        recent_ms=tuple(duration_ms for duration_ms, _ in recent),
        recent_records=tuple(facts.records(counts) for _, counts in recent),
    )


def _slots(conn: psycopg.Connection, run_id: UUID) -> tuple[SlotOf, ...]:
    with conn.cursor(row_factory=class_row(SlotOf)) as cursor:
        return tuple(cursor.execute(SLOTS, {"run_id": run_id}).fetchall())


def _lines(conn: psycopg.Connection, rows: Sequence[Row], slots: Sequence[SlotOf]) -> tuple[Line, ...]:
    """Only of a run that answered for a slot: one by hand came of no line."""
    first = rows[0]
    if first.slot_at is None:
        return ()
    answered = [slot.scope for slot in slots if not slot.is_covered]
    parameters = {
        "job": first.job,
        "host": first.host,
        "os_user": first.os_user,
        "scopes": answered or ["", *(row.scope for row in rows)],
        "at": first.started_at,
    }
    with conn.cursor(row_factory=class_row(Line)) as cursor:
        return tuple(cursor.execute(LINES, parameters).fetchall())
