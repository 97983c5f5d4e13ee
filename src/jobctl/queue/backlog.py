"""What of the queue is due and has waited for how long."""

from typing import NamedTuple

import psycopg
from psycopg.rows import class_row


class Due(NamedTuple):
    """Tasks of one type that are due; `oldest_s` is how long the first of them has been."""

    type: str
    oldest_s: float
    due: int


DUE = """
SELECT type, extract(epoch FROM clock_timestamp() - min(scheduled_at))::float8 AS oldest_s, count(*) AS due
FROM queue.tasks WHERE state = 'queued' AND scheduled_at <= clock_timestamp()
GROUP BY type ORDER BY type
"""


def by_type(conn: psycopg.Connection) -> list[Due]:
    with conn.cursor(row_factory=class_row(Due)) as cursor:
        return cursor.execute(DUE).fetchall()
