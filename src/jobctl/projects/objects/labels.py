"""Store of dev.labels."""

from collections.abc import Sequence

import psycopg

from jobctl.projects.objects.rows import Label
from jobctl.projects.objects.upsert import Written, upserted

SAVE = """
INSERT INTO dev.labels AS l (label_id, project_id, name, color, description, node_id)
SELECT label_id, %(project_id)s, name, color, description, node_id
FROM json_to_recordset(%(rows)s) AS r (label_id bigint, name text, color text, description text, node_id text)
ORDER BY label_id
ON CONFLICT (label_id) DO UPDATE
SET project_id = excluded.project_id, name = excluded.name, color = excluded.color, description = excluded.description,
    node_id = excluded.node_id
WHERE (l.project_id, l.name, l.color, l.description, l.node_id)
    IS DISTINCT FROM (excluded.project_id, excluded.name, excluded.color, excluded.description, excluded.node_id)
RETURNING l.xmax = 0
"""


def save(conn: psycopg.Connection, project_id: int, labels: Sequence[Label]) -> Written:
    return upserted(conn, SAVE, labels, {"project_id": project_id})


REMOVE_OTHERS = "DELETE FROM dev.labels WHERE project_id = %(project_id)s AND NOT label_id = ANY (%(kept)s::bigint[])"


def replace(conn: psycopg.Connection, project_id: int, labels: Sequence[Label]) -> Written:
    """All that the project has: another one is no more."""
    kept = [label.label_id for label in labels]
    removed = conn.execute(REMOVE_OTHERS, {"project_id": project_id, "kept": kept}).rowcount
    return save(conn, project_id, labels)._replace(removed=removed)
