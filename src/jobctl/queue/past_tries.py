"""What became of the queue's tries in a stretch of time, and how many tasks have failed for good."""

from datetime import datetime
from typing import NamedTuple

import psycopg
from psycopg.rows import class_row, scalar_row


class Ended(NamedTuple):
    """Tries that were given back (snoozed, released) are left out."""

    tries: int
    succeeded: int
    failed: int


ENDED = """
SELECT count(*) AS tries, count(*) FILTER (WHERE outcome = 'succeeded') AS succeeded,
    count(*) FILTER (WHERE outcome <> 'succeeded') AS failed
FROM queue.attempts
WHERE finished_at >= %(since)s AND finished_at < %(until)s AND outcome IN ('succeeded', 'failed', 'timeout', 'crashed')
"""


def ended(conn: psycopg.Connection, since: datetime, until: datetime) -> Ended:
    with conn.cursor(row_factory=class_row(Ended)) as cursor:
        found = cursor.execute(ENDED, {"since": since, "until": until}).fetchone()
    assert found is not None
    return found


FAILED = "SELECT count(*) FROM queue.tasks WHERE state = 'failed'"


def failed_tasks(conn: psycopg.Connection) -> int:
    """Those that wait for somebody: nothing tries them again by itself."""
    with conn.cursor(row_factory=scalar_row) as cursor:
        return int(cursor.execute(FAILED).fetchone() or 0)
