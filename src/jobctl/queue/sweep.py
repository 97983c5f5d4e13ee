"""The changes of an operator over many tasks: in batches, each a short transaction that locks no more than its rows.

Which tasks are meant is asked without locks, up to the newest task there was at the start; each batch then changes
those that still have the state to be left. A sweep that is stopped, or fails, has changed whole batches; begun again it
goes on with what is left.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

import psycopg
from psycopg.rows import scalar_row

from jobctl.db.connection import Database
from jobctl.db.sqlstate import is_conflict, translated
from jobctl.queue.changes import Changed

BATCH = 1_000
TRIES = 5
PAUSE_S = 0.05

Change = Callable[[psycopg.Connection, Sequence[int]], list[Changed]]


class Which(NamedTuple):
    """Tasks in one of `states`; of these types (all, if None), of this user, ended before a time."""

    states: tuple[str, ...]
    types: tuple[str, ...] | None = None
    user_id: str | None = None
    ended_before: datetime | None = None


NEWEST = "SELECT coalesce(max(task_id), 0) FROM queue.tasks"

# Newest first: of several for the same subject or key the newest is met before those that it supersedes.
FIND = """
SELECT t.task_id FROM queue.tasks AS t
WHERE t.state = ANY (%(states)s) AND t.task_id <= %(until)s
  AND (%(types)s::text[] IS NULL OR t.type = ANY (%(types)s))
  AND (%(user_id)s::text IS NULL OR t.user_id = %(user_id)s)
  AND (%(ended_before)s::timestamptz IS NULL OR coalesce(t.finished_at, t.updated_at) < %(ended_before)s)
ORDER BY t.task_id DESC
LIMIT %(limit)s
"""


def find(conn: psycopg.Connection, which: Which, *, until: int, limit: int) -> list[int]:
    parameters = {
        "states": list(which.states),
        "types": list(which.types) if which.types is not None else None,
        "user_id": which.user_id,
        "ended_before": which.ended_before,
        "until": until,
        "limit": limit,
    }
    with conn.cursor(row_factory=scalar_row) as cursor:
        return cursor.execute(FIND, parameters).fetchall()


COUNT = """
SELECT t.state, count(*) FROM queue.tasks AS t
WHERE t.state = ANY (%(states)s)
  AND (%(types)s::text[] IS NULL OR t.type = ANY (%(types)s))
  AND (%(user_id)s::text IS NULL OR t.user_id = %(user_id)s)
  AND (%(ended_before)s::timestamptz IS NULL OR coalesce(t.finished_at, t.updated_at) < %(ended_before)s)
GROUP BY t.state ORDER BY t.state
"""


def count(conn: psycopg.Connection, which: Which) -> dict[str, int]:
    """How many there are now, by state."""
    parameters = {
        "states": list(which.states),
        "types": list(which.types) if which.types is not None else None,
        "user_id": which.user_id,
        "ended_before": which.ended_before,
    }
    return dict(conn.execute(COUNT, parameters).fetchall())


def sweep(
    database: Database, conn: psycopg.Connection, which: Which, change: Change, *, batch: int = BATCH
) -> Iterator[list[Changed]]:
    """What became of each batch, as soon as it is committed."""
    with translated(), conn.cursor(row_factory=scalar_row) as cursor:
        until = cursor.execute(NEWEST).fetchone() or 0
    while True:
        with translated():
            found = find(conn, which, until=until, limit=batch)
        if not found:
            return
        yield change_these(database, conn, found, change)
        until = found[-1] - 1


def change_these(
    database: Database, conn: psycopg.Connection, task_ids: Sequence[int], change: Change
) -> list[Changed]:
    """One batch in a transaction of its own, tried again when another's came in its way."""
    with translated():
        for left in reversed(range(TRIES)):
            try:
                with database.transaction(conn):
                    return change(conn, task_ids)
            except psycopg.Error as error:
                # A twin that was enqueued meanwhile is seen by the next try.
                if not left or not (is_conflict(error) or isinstance(error, psycopg.errors.UniqueViolation)):
                    raise
                time.sleep(PAUSE_S)
    raise AssertionError("the last try returns or raises")
