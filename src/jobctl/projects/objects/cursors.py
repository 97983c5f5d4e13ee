"""Store of dev.sync_cursors: how far the sync of a project has come in a stream."""

from collections.abc import Mapping
from typing import Any

import psycopg
from psycopg.rows import scalar_row
from psycopg.types.json import Jsonb

GET = "SELECT position FROM dev.sync_cursors WHERE project_id = %(project_id)s AND stream = %(stream)s"


def get(conn: psycopg.Connection, project_id: int, stream: str) -> Mapping[str, Any]:
    """Empty: it has not begun."""
    with conn.cursor(row_factory=scalar_row) as cursor:
        found = cursor.execute(GET, {"project_id": project_id, "stream": stream}).fetchone()
    return found if isinstance(found, dict) else {}  # pyright: ignore[reportUnknownVariableType]


SAVE = """
INSERT INTO dev.sync_cursors AS c (project_id, stream, position)
VALUES (%(project_id)s, %(stream)s, %(position)s)
ON CONFLICT (project_id, stream) DO UPDATE SET position = excluded.position, updated_at = clock_timestamp()
WHERE c.position <> excluded.position
"""


def save(conn: psycopg.Connection, project_id: int, stream: str, position: Mapping[str, Any]) -> bool:
    """In the transaction of the rows that it speaks of. False: it stood there."""
    values = {"project_id": project_id, "stream": stream, "position": Jsonb(dict(position))}
    return conn.execute(SAVE, values).rowcount == 1
