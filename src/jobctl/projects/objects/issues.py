"""Store of dev.issues: issues and pull requests, which GitHub numbers together."""

from collections.abc import Collection, Sequence
from datetime import datetime
from importlib.resources import files
from typing import Final, NamedTuple

import psycopg
from psycopg.rows import class_row

from jobctl.projects.objects.rows import Issue, IssueDetails
from jobctl.projects.objects.upsert import Written, document

SAVE: Final = (files("jobctl.projects.objects") / "issues.sql").read_text(encoding="utf-8")


class Saved(NamedTuple):
    """`changed` are the node ids of the rows that were written."""

    written: Written
    changed: Collection[str]


# GitHub gives no number twice. The same issue under another node id has got an id of another form, as GitHub has been
# giving them; another one under the number takes the place of one that must be gone.
RENAME = """
UPDATE dev.issues AS i SET node_id = r.node_id
FROM json_to_recordset(%(rows)s) AS r (node_id text, github_id bigint, number bigint)
WHERE i.project_id = %(project_id)s AND i.number = r.number AND i.removed_at IS NULL AND i.node_id <> r.node_id
    AND i.github_id = r.github_id
"""
DISPLACE = """
UPDATE dev.issues AS i SET removed_at = clock_timestamp(), removal = 'deleted'
FROM json_to_recordset(%(rows)s) AS r (node_id text, github_id bigint, number bigint)
WHERE i.project_id = %(project_id)s AND i.number = r.number AND i.removed_at IS NULL AND i.node_id <> r.node_id
"""
OTHERS_THERE = """
SELECT FROM dev.issues AS i
JOIN json_to_recordset(%(rows)s) AS r (node_id text, number bigint) ON i.number = r.number AND i.node_id <> r.node_id
WHERE i.project_id = %(project_id)s AND i.removed_at IS NULL
LIMIT 1
"""


def save(conn: psycopg.Connection, project_id: int, issues: Sequence[Issue]) -> Saved:
    """None stands twice among them, by node id or number."""
    if not issues:
        return Saved(Written(), frozenset())
    values = {"project_id": project_id, "rows": document(issues)}
    removed = 0
    if conn.execute(OTHERS_THERE, values).fetchone() is not None:
        conn.execute(RENAME, values)
        removed = conn.execute(DISPLACE, values).rowcount
    found = conn.execute(SAVE.encode(), values).fetchall()
    inserted = sum(is_new for is_new, _ in found)
    written = Written(inserted, len(found) - inserted, len(issues) - len(found), removed)
    return Saved(written, frozenset(node_id for _, node_id in found))


class Due(NamedTuple):
    """Its details are to be fetched."""

    node_id: str
    number: int
    is_pull: bool
    updated_at: datetime


DUE = """
SELECT node_id, number, is_pull, updated_at FROM dev.issues
WHERE project_id = %(project_id)s AND detailed_for IS DISTINCT FROM updated_at AND removed_at IS NULL
    AND node_id > %(after)s
ORDER BY node_id LIMIT %(limit)s
"""


def due(conn: psycopg.Connection, project_id: int, *, after: str, limit: int) -> list[Due]:
    """By node id, after this one."""
    with conn.cursor(row_factory=class_row(Due)) as cursor:
        return cursor.execute(DUE, {"project_id": project_id, "after": after, "limit": limit}).fetchall()


class PullDue(NamedTuple):
    """Its details are to be fetched, one by one."""

    project_id: int
    node_id: str
    number: int
    updated_at: datetime


PULLS_DUE = """
SELECT project_id, node_id, number, updated_at FROM dev.issues
WHERE project_id = ANY (%(project_ids)s) AND is_pull AND detailed_for IS DISTINCT FROM updated_at
    AND removed_at IS NULL
ORDER BY updated_at, node_id LIMIT %(limit)s
"""


def pulls_due(conn: psycopg.Connection, project_ids: Sequence[int], *, limit: int) -> list[PullDue]:
    """Of all these projects together, those first whose change was longest ago."""
    with conn.cursor(row_factory=class_row(PullDue)) as cursor:
        return cursor.execute(PULLS_DUE, {"project_ids": list(project_ids), "limit": limit}).fetchall()


COUNT_PULLS_DUE = """
SELECT count(*) FROM dev.issues
WHERE project_id = ANY (%(project_ids)s) AND is_pull AND detailed_for IS DISTINCT FROM updated_at
    AND removed_at IS NULL
"""


def count_pulls_due(conn: psycopg.Connection, project_ids: Sequence[int]) -> int:
    row = conn.execute(COUNT_PULLS_DUE, {"project_ids": list(project_ids)}).fetchone()
    return row[0] if row else 0


DETAIL = """
UPDATE dev.issues AS i
SET detailed_for = r.detailed_for, first_response_at = r.first_response_at, reopened = r.reopened
FROM json_to_recordset(%(rows)s) AS r (node_id text, detailed_for timestamptz, first_response_at timestamptz,
    reopened integer)
WHERE i.node_id = r.node_id AND (i.detailed_for, i.first_response_at, i.reopened)
    IS DISTINCT FROM (r.detailed_for, r.first_response_at, r.reopened)
"""


def detail(conn: psycopg.Connection, details: Sequence[IssueDetails]) -> int:
    """How many rows that changed."""
    return conn.execute(DETAIL, {"rows": document(details)}).rowcount if details else 0


NOT_THERE = """
UPDATE dev.issues SET detailed_for = CASE WHEN detailed_for = 'epoch' THEN updated_at ELSE 'epoch' END
WHERE node_id = ANY (%(node_ids)s::text[]) AND detailed_for IS DISTINCT FROM updated_at
"""


def give_up_details(conn: psycopg.Connection, node_ids: Sequence[str]) -> int:
    """There is nothing to fetch under these ids: whether they are gone is for the reconcile to find out. That is
    believed when it is said twice, since a repository may be out of sight for a moment; till then they are due."""
    return conn.execute(NOT_THERE, {"node_ids": list(node_ids)}).rowcount


class Known(NamedTuple):
    node_id: str
    github_id: int
    number: int


# `before` is a moment of this database's clock: what came in since the listing began need not be in it.
NOT_LISTED = """
SELECT node_id, github_id, number FROM dev.issues AS i
WHERE project_id = %(project_id)s AND removed_at IS NULL AND seen_at < %(before)s AND node_id > %(after)s
    AND NOT EXISTS (SELECT FROM dev.listed_issues AS l WHERE l.project_id = i.project_id AND l.node_id = i.node_id)
ORDER BY node_id LIMIT %(limit)s
"""


def not_listed(
    conn: psycopg.Connection, project_id: int, *, before: datetime, after: str, limit: int = 100
) -> list[Known]:
    """Known, and not among those that were listed."""
    values = {"project_id": project_id, "before": before, "after": after, "limit": limit}
    with conn.cursor(row_factory=class_row(Known)) as cursor:
        return cursor.execute(NOT_LISTED, values).fetchall()


REMOVE = """
UPDATE dev.issues SET removed_at = clock_timestamp(), removal = %(removal)s, moved_to = %(moved_to)s
WHERE node_id = %(node_id)s AND removed_at IS NULL
"""


def remove(conn: psycopg.Connection, node_id: str, removal: str, *, moved_to: str | None = None) -> bool:
    """It is gone from its repository: `deleted` or `transferred`. False: that was known."""
    return conn.execute(REMOVE, {"node_id": node_id, "removal": removal, "moved_to": moved_to}).rowcount == 1
