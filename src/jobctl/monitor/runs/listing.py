"""Runs as a list: a page of rows of ops.job_history, the newest first, each with the true state it is in.

A page goes on where the one before it ended, by (started_at, run_id, scope) and not by an offset, so that the
thousandth page costs what the first does, and a run that begins meanwhile moves nothing.
"""

import base64
import binascii
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple, Protocol
from uuid import UUID

import psycopg
from psycopg.rows import class_row

from jobctl.errors import UsageError
from jobctl.monitor.runs import running, states
from jobctl.monitor.runs.running import Unfinished
from jobctl.monitor.runs.states import STATES, State

Truth = Mapping[tuple[UUID, str], Unfinished]


class Listed(NamedTuple):
    """A run and scope on a list. Of one that runs, `counts` and `duration_ms` are those so far."""

    run_id: UUID
    scope: str
    job: str
    correlation_id: str
    state: State
    status: str
    degraded: bool
    exit_code: int | None
    host: str
    version: str
    slot_at: datetime | None
    started_at: datetime
    finished_at: datetime | None
    duration_ms: int | None
    counts: Mapping[str, int]
    error_class: str | None
    error_message: str | None


class Place(NamedTuple):
    """Where a page ended."""

    started_at: datetime
    run_id: UUID
    scope: str


class Asked(NamedTuple):
    """Which runs. Empty and None: all."""

    job: str | None = None
    scope: str | None = None
    states: Sequence[str] = ()
    since: datetime | None = None
    until: datetime | None = None
    correlation_id: str | None = None


# A status each of these states can have; the page is of statuses, and what the lock says is looked at afterwards.
STATUS_OF: Final[Mapping[str, str]] = {"frozen": "running", "dead": "running", "degraded": "completed"}

PAGE = """
SELECT h.run_id, h.scope, h.job, h.correlation_id, h.status AS state, h.status, h.degraded, h.exit_code, h.host,
    h.version, h.slot_at, h.started_at, h.finished_at, h.duration_ms, h.counts, h.error_class,
    left(h.error_message, 500) AS error_message
FROM ops.job_history AS h
WHERE (%(job)s::text IS NULL OR h.job = %(job)s)
  AND (%(scope)s::text IS NULL OR h.scope = %(scope)s)
  AND (%(statuses)s::text[] IS NULL OR h.status = ANY (%(statuses)s))
  AND (%(degraded)s::boolean IS NULL OR h.degraded = %(degraded)s)
  AND (%(since)s::timestamptz IS NULL OR h.started_at >= %(since)s)
  AND (%(until)s::timestamptz IS NULL OR h.started_at < %(until)s)
  AND (%(correlation_id)s::text IS NULL OR h.correlation_id = %(correlation_id)s)
  AND (%(at)s::timestamptz IS NULL
    OR (h.started_at, h.run_id, h.scope) < (%(at)s, %(run_id)s::uuid, %(after_scope)s::text))
ORDER BY h.started_at DESC, h.run_id DESC, h.scope DESC
LIMIT %(limit)s
"""


def parameters_of(asked: Asked, *, after: Place | None, limit: int) -> dict[str, Any]:
    """What PAGE asks for."""
    statuses = sorted({STATUS_OF.get(state, state) for state in asked.states})
    return {
        "job": asked.job,
        "scope": asked.scope,
        "statuses": statuses or None,
        # Asked for nothing but completed runs, the database can tell degraded ones apart; beside others, `page` does.
        "degraded": asked.states[0] == "degraded" if len(asked.states) == 1 and statuses == ["completed"] else None,
        "since": asked.since,
        "until": asked.until,
        "correlation_id": asked.correlation_id,
        "at": after.started_at if after else None,
        "run_id": after.run_id if after else None,
        "after_scope": after.scope if after else None,
        "limit": limit,
    }


def page(
    conn: psycopg.Connection, asked: Asked, *, after: Place | None = None, limit: int
) -> tuple[list[Listed], Place | None]:
    """The runs, and where the next page begins. Among running ones the true state decides, so a page that asks for it
    may have fewer than `limit` and still go on."""
    with conn.cursor(row_factory=class_row(Listed)) as cursor:
        rows = cursor.execute(PAGE, parameters_of(asked, after=after, limit=limit + 1)).fetchall()
    shown = rows[:limit]
    following = Place(shown[-1].started_at, shown[-1].run_id, shown[-1].scope) if len(rows) > limit else None
    truth = truth_about(conn, shown)
    told = [_true(row, truth) for row in shown]
    return [row for row in told if not asked.states or row.state in asked.states], following


class HasStatus(Protocol):
    @property
    def status(self) -> str: ...


def truth_about(conn: psycopg.Connection, rows: Sequence[HasStatus]) -> Truth:
    """About those of the rows that say that they run; where none does, nobody is asked."""
    if not any(row.status in states.UNFINISHED for row in rows):
        return {}
    return {(each.run_id, each.scope): each for each in running.unfinished(conn)}


def _true(row: Listed, truth: Truth) -> Listed:
    pulse = truth.get((row.run_id, row.scope))
    row = row._replace(state=states.of(row.status, degraded=row.degraded, pulse=pulse))
    if pulse is None:
        return row
    return row._replace(duration_ms=round(pulse.elapsed_s * 1000), counts=pulse.progress or row.counts)


def check_states(given: Sequence[str]) -> None:
    """Raises UsageError for a word that is no state."""
    for name in given:
        if name not in STATES:
            raise UsageError(f"{name!r} is no state of a run", hint=f"one of {', '.join(STATES)}")


def as_cursor(place: Place) -> str:
    """The place as a word for the next call; opaque, and safe in a shell."""
    text = "\n".join((place.started_at.isoformat(), str(place.run_id), place.scope))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def of_cursor(word: str) -> Place:
    """Raises UsageError for a word that none of our pages ended with."""
    try:
        text = base64.urlsafe_b64decode(word + "=" * (-len(word) % 4)).decode()
        at, run_id, scope = text.split("\n", 2)
        moment = datetime.fromisoformat(at)
        if moment.tzinfo is None:
            raise ValueError(at)
        return Place(moment, UUID(run_id), scope)
    except (ValueError, binascii.Error):
        raise UsageError(f"--cursor {word!r} is no cursor", hint="give `next` of the page before") from None
