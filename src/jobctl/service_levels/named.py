"""Issues and pull requests by their names, for people: what a list of a few of them shows beside the figures."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import psycopg
from psycopg.rows import class_row


class Named(NamedTuple):
    node_id: str
    title: str
    assignees: Sequence[str]


NAMES = "SELECT node_id, title, assignees FROM dev.issues WHERE node_id = ANY(%(node_ids)s)"


def names(conn: psycopg.Connection, node_ids: Sequence[str]) -> dict[str, Named]:
    with conn.cursor(row_factory=class_row(Named)) as cursor:
        return {each.node_id: each for each in cursor.execute(NAMES, {"node_ids": list(node_ids)})}


class StuckPull(NamedTuple):
    """`total` is the number of all of them."""

    project: str
    number: int
    title: str
    author: str | None
    opened_at: datetime
    touched_at: datetime
    is_reviewed: bool
    total: int


# Closing one touches it, too: so what is open now and untouched since was open then, and nothing else was. Those that
# were stuck longest are often forgotten; of the projects that matter most they stand first.
STUCK = """
SELECT p.full_name AS project, i.number, i.title, i.author, i.created_at AS opened_at, i.updated_at AS touched_at,
    x.first_review_at IS NOT NULL AS is_reviewed, count(*) OVER () AS total
FROM dev.projects AS p
JOIN dev.issues AS i USING (project_id)
LEFT JOIN dev.pulls AS x ON x.node_id = i.node_id
WHERE p.active AND i.state = 'open' AND i.removed_at IS NULL AND i.is_pull AND NOT i.author_is_bot
    AND i.updated_at < %(touched_before)s AND x.is_draft IS NOT TRUE
ORDER BY array_position('{critical,high,medium,low}'::text[], p.criticality), i.updated_at, i.node_id
LIMIT %(limit)s
"""


def stuck_pulls(conn: psycopg.Connection, touched_before: datetime, *, limit: int) -> list[StuckPull]:
    """Pull requests of people, drafts left out, that are open and were not touched since."""
    with conn.cursor(row_factory=class_row(StuckPull)) as cursor:
        return cursor.execute(STUCK, {"touched_before": touched_before, "limit": limit}).fetchall()
