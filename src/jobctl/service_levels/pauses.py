"""Store of dev.issue_pauses and reader of dev.label_events: when an issue had a label that pauses its goals.

GitHub tells when a label was put on and taken away; of an issue for which it told that of such a label, this is what
counts. Of any other, what the runs saw.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

import psycopg
from psycopg.rows import class_row

from jobctl.service_levels.cycles import Pause

OF_PROJECTS = """
SELECT node_id, paused_at, resumed_at FROM dev.issue_pauses
WHERE project_id = ANY(%(project_ids)s) AND paused_at <= %(as_of)s ORDER BY node_id, paused_at
"""


class Change(NamedTuple):
    """An issue got a label, or lost it."""

    node_id: str
    label_node_id: str
    at: datetime
    is_added: bool


CHANGES = """
SELECT e.node_id, e.label_node_id, e.at, e.is_added
FROM dev.label_events AS e
JOIN dev.labels AS l ON l.node_id = e.label_node_id AND l.project_id = e.project_id
WHERE e.project_id = ANY(%(project_ids)s) AND e.at <= %(as_of)s AND l.name = ANY(%(labels)s)
ORDER BY e.node_id, e.label_node_id, e.at, NOT e.is_added
"""


def of_projects(
    conn: psycopg.Connection, project_ids: Sequence[int], as_of: datetime, labels: Sequence[str] = ()
) -> Mapping[str, Sequence[Pause]]:
    """`labels` are the names of those that pause."""
    found: dict[str, list[Pause]] = defaultdict(list)
    values = {"project_ids": list(project_ids), "as_of": as_of, "labels": list(labels)}
    for node_id, paused_at, resumed_at in conn.execute(OF_PROJECTS, values):
        found[node_id].append(Pause(paused_at, resumed_at))
    if labels:
        with conn.cursor(row_factory=class_row(Change)) as cursor:
            found |= told_by(cursor.execute(CHANGES, values))
    return found


def told_by(changes: Iterable[Change]) -> dict[str, list[Pause]]:
    """From label by label in the order of time. A label whose putting on is not known paused nothing."""
    found: dict[str, list[Pause]] = {}
    since_of: dict[tuple[str, str], datetime] = {}
    for each in changes:
        key = (each.node_id, each.label_node_id)
        pauses = found.setdefault(each.node_id, [])
        if each.is_added:
            since_of.setdefault(key, each.at)
        elif (since := since_of.pop(key, None)) is not None:
            pauses.append(Pause(since, each.at))
    for (node_id, _), since in since_of.items():
        found[node_id].append(Pause(since, None))
    return found


RESUME = """
UPDATE dev.issue_pauses SET resumed_at = greatest(%(now)s, paused_at)
WHERE project_id = ANY(%(project_ids)s) AND resumed_at IS NULL AND NOT (node_id = ANY(%(paused)s))
"""

PAUSE = """
INSERT INTO dev.issue_pauses (node_id, project_id, paused_at)
SELECT i.node_id, i.project_id, %(now)s FROM dev.issues AS i WHERE i.node_id = ANY(%(paused)s)
FOR KEY SHARE OF i
ON CONFLICT DO NOTHING
"""


def see(conn: psycopg.Connection, project_ids: Sequence[int], paused: Sequence[str], *, now: datetime) -> int:
    """Of these projects, these issues are paused now and no others. Gives how many that changed."""
    values = {"project_ids": list(project_ids), "paused": list(paused), "now": now}
    return conn.execute(RESUME, values).rowcount + (conn.execute(PAUSE, values).rowcount if paused else 0)
