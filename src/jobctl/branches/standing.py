"""How it stood with each branch at a moment: when it was last loaded, and how many records wait as rejects."""

from datetime import datetime, timedelta
from typing import NamedTuple

import psycopg
from psycopg.rows import class_row


class Standing(NamedTuple):
    slug: str
    active: bool
    expected_freshness: timedelta | None
    loaded_at: datetime | None
    rejects_open: int


# The last load before the moment; loads that were archived are older than any moment that is asked about.
AT = """
SELECT b.slug, b.active, b.expected_freshness,
    (SELECT l.loaded_at FROM branch.loads AS l
     WHERE l.branch_id = b.branch_id AND l.loaded_at <= %(moment)s ORDER BY l.loaded_at DESC LIMIT 1) AS loaded_at,
    coalesce(r.rejects, 0) AS rejects_open
FROM branch.branches AS b
LEFT JOIN (
    SELECT branch_id, count(*) AS rejects FROM branch.rejects
    WHERE rejected_at <= %(moment)s AND (resolved_at IS NULL OR resolved_at > %(moment)s) GROUP BY branch_id
) AS r USING (branch_id)
ORDER BY b.slug
"""


def at(conn: psycopg.Connection, moment: datetime) -> list[Standing]:
    with conn.cursor(row_factory=class_row(Standing)) as cursor:
        return cursor.execute(AT, {"moment": moment}).fetchall()
