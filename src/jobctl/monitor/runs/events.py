"""Store of ops.sync_events as somebody reads it: the newest first, by job, level, run and time, a page at a time.

Events are numbered in the order in which they came, but for moments; so `since` becomes a number, found by halving, and
each page is read backwards along an index from the cursor down to it. What is asked for is never looked for in what is
older, however rare it is.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple
from uuid import UUID

import psycopg
from psycopg.rows import class_row

LEVELS: Final = ("debug", "info", "warning", "error")
EVER: Final = datetime(1970, 1, 1, tzinfo=UTC)
OUT_OF_ORDER: Final = timedelta(minutes=5)  # how much earlier an event may have begun than one with a lower number


class Event(NamedTuple):
    event_id: int
    at: datetime
    level: str
    event: str
    job: str
    scope: str
    run_id: UUID
    fields: Mapping[str, Any]


BOUNDS = """
SELECT (SELECT event_id FROM ops.sync_events ORDER BY event_id LIMIT 1),
    (SELECT event_id FROM ops.sync_events ORDER BY event_id DESC LIMIT 1)
"""
NEXT = "SELECT event_id, at FROM ops.sync_events WHERE event_id >= %(event_id)s ORDER BY event_id LIMIT 1"


def first_since(conn: psycopg.Connection, since: datetime) -> int:
    """A number below which every event is older."""
    lowest, highest = conn.execute(BOUNDS).fetchone() or (None, None)
    if lowest is None or highest is None:
        return 0
    since -= OUT_OF_ORDER
    while lowest <= highest:
        middle = (lowest + highest) // 2
        found = conn.execute(NEXT, {"event_id": middle}).fetchone()
        if found is None or found[1] >= since:
            highest = middle - 1
        else:
            lowest = found[0] + 1
    return lowest


PAGE = """
SELECT event_id, at, level, event, job, scope, run_id, fields FROM ops.sync_events
WHERE event_id >= %(first)s AND (%(before)s::bigint IS NULL OR event_id < %(before)s) AND at >= %(since)s
  AND (%(job)s::text IS NULL OR job = %(job)s) AND (%(run_id)s::uuid IS NULL OR run_id = %(run_id)s)
  AND (%(levels)s::text[] IS NULL OR level = ANY (%(levels)s))
ORDER BY event_id DESC LIMIT %(limit)s
"""


def page(
    conn: psycopg.Connection,
    *,
    since: datetime,
    job: str | None = None,
    run_id: UUID | None = None,
    level: str | None = None,
    before: int | None = None,
    limit: int = 100,
) -> list[Event]:
    """`level` and graver; `before` is the cursor. A run's events are few, so it is not asked since when they are."""
    parameters = {
        "first": first_since(conn, since) if run_id is None else 0,
        "since": since,
        "job": job,
        "run_id": run_id,
        "levels": levels_from(level),
        "before": before,
        "limit": limit,
    }
    with conn.cursor(row_factory=class_row(Event)) as cursor:
        return cursor.execute(PAGE, parameters, prepare=False).fetchall()  # planned for what is asked for


def levels_from(level: str | None) -> list[str] | None:
    """This one and graver; None: all, which is no condition."""
    return None if level in (None, LEVELS[0]) else list(LEVELS[LEVELS.index(level) :])
