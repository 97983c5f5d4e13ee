"""Store of dev.listed_issues: what a reconcile has been told of until now."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import psycopg
from psycopg.rows import class_row

from jobctl.projects.objects.upsert import document


class Listed(NamedTuple):
    node_id: str
    number: int
    updated_at: datetime


ADD = """
INSERT INTO dev.listed_issues (project_id, node_id, number, updated_at)
SELECT %(project_id)s, node_id, number, updated_at
FROM json_to_recordset(%(rows)s) AS r (node_id text, number bigint, updated_at timestamptz)
ON CONFLICT (project_id, node_id) DO NOTHING
"""


def add(conn: psycopg.Connection, project_id: int, issues: Sequence[Listed]) -> int:
    return conn.execute(ADD, {"project_id": project_id, "rows": document(issues)}).rowcount if issues else 0


CLEAR = "DELETE FROM dev.listed_issues WHERE project_id = %(project_id)s"


def clear(conn: psycopg.Connection, project_id: int) -> int:
    return conn.execute(CLEAR, {"project_id": project_id}).rowcount


# `since` is where a first load began: what is older was not wanted.
WANTED = """
SELECT l.node_id, l.number, l.updated_at FROM dev.listed_issues AS l
LEFT JOIN dev.issues AS i ON i.node_id = l.node_id AND i.project_id = l.project_id AND i.removed_at IS NULL
WHERE l.project_id = %(project_id)s AND (i.node_id IS NULL OR i.updated_at < l.updated_at)
    AND (%(since)s::timestamptz IS NULL OR l.updated_at >= %(since)s)
ORDER BY l.updated_at, l.number LIMIT %(limit)s
"""


def wanted(conn: psycopg.Connection, project_id: int, *, since: datetime | None, limit: int) -> list[Listed]:
    """Listed, and not known or not as they are now; the oldest first."""
    with conn.cursor(row_factory=class_row(Listed)) as cursor:
        return cursor.execute(WANTED, {"project_id": project_id, "since": since, "limit": limit}).fetchall()
