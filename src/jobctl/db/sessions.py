"""Who else is connected to the server."""

from dataclasses import dataclass

import psycopg
from psycopg.rows import class_row

OTHERS = """
SELECT application_name AS name, count(*)::integer AS count
FROM pg_catalog.pg_stat_activity
WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()
GROUP BY application_name ORDER BY application_name
"""


@dataclass(frozen=True, slots=True)
class Sessions:
    """The sessions of one application_name. A run names itself there, so a live run is among them."""

    name: str
    count: int


def others(conn: psycopg.Connection) -> list[Sessions]:
    """Every client's sessions but this one's."""
    with conn.cursor(row_factory=class_row(Sessions)) as cursor:
        return cursor.execute(OTHERS).fetchall()
