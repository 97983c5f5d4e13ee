"""Tasks whose worker is gone, by evidence: their lease is over. Never by age.

What is read is no more than a list of suspects. Every condition stands again in the statement that writes, so a task
that ended or was taken up again meanwhile is left as it is, and one whose row its worker holds just now is passed over.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from importlib.resources import files
from typing import NamedTuple

import psycopg
from psycopg.errors import UniqueViolation
from psycopg.rows import class_row

from jobctl.queue import arrays

PUT_BACK = (files("jobctl.queue") / "put_back.sql").read_bytes()


class Lost(NamedTuple):
    """A running task past its lease."""

    task_id: int
    fence: int
    claimed_at: datetime
    type: str


class Rescued(NamedTuple):
    """What became of it: `queued` again, `failed` at the crash limit, or `cancelled` where a newer request waits."""

    task_id: int
    type: str
    user_id: str
    fence: int
    worker: str
    attempt: int
    crashes: int
    claimed_at: datetime
    lease_until: datetime
    state: str
    scheduled_at: datetime

    @property
    def why(self) -> str:
        return f"lease ended at {self.lease_until:%Y-%m-%d %H:%M:%S} UTC, worker {self.worker}, attempt {self.attempt}"


FIND_LOST = """
SELECT t.task_id, t.fence, t.claimed_at, t.type FROM queue.tasks AS t
WHERE t.state = 'running' AND t.lease_until < statement_timestamp()
    AND (%(types)s::text::text[] IS NULL OR t.type = ANY (%(types)s::text::text[]))
ORDER BY t.fence
LIMIT %(limit)s
"""


def find_lost(conn: psycopg.Connection, *, types: Collection[str] | None = None, limit: int = 1000) -> list[Lost]:
    with conn.cursor(row_factory=class_row(Lost)) as cursor:
        return cursor.execute(
            FIND_LOST, {"types": None if types is None else arrays.of_texts(list(types)), "limit": limit}
        ).fetchall()


def put_back(
    conn: psycopg.Connection,
    lost: Sequence[Lost],
    crash_limits: Mapping[str, int],
    default_crash_limit: int,
    *,
    pause_s: float,
) -> list[Rescued]:
    """Of these, what is still lost: a crash more, and back to the queue after the pause or failed for good."""
    if not lost:
        return []
    parameters = {
        "task_ids": arrays.of_numbers([each.task_id for each in lost]),
        "fences": arrays.of_numbers([each.fence for each in lost]),
        "claimed_at": arrays.of_texts([each.claimed_at.isoformat() for each in lost]),
        "crash_limits": arrays.of_numbers([crash_limits.get(each.type, default_crash_limit) for each in lost]),
        "pause_s": pause_s,
        "always_superseded": False,
    }
    try:
        with conn.transaction(), conn.cursor(row_factory=class_row(Rescued)) as cursor:
            return cursor.execute(PUT_BACK, parameters).fetchall()
    except UniqueViolation:
        # A newer request for the same thing came in at this very moment.
        if len(lost) > 1:
            one_by_one = (put_back(conn, [each], crash_limits, default_crash_limit, pause_s=pause_s) for each in lost)
            return [rescued for of_one in one_by_one for rescued in of_one]
        with conn.transaction(), conn.cursor(row_factory=class_row(Rescued)) as cursor:
            return cursor.execute(PUT_BACK, parameters | {"always_superseded": True}).fetchall()


def rescue(
    conn: psycopg.Connection,
    crash_limits: Mapping[str, int],
    default_crash_limit: int,
    *,
    pause_s: float,
    types: Collection[str] | None = None,
    limit: int = 1000,
) -> list[Rescued]:
    """Put right up to `limit` tasks whose worker is gone."""
    lost = find_lost(conn, types=types, limit=limit)
    return put_back(conn, lost, crash_limits, default_crash_limit, pause_s=pause_s)
