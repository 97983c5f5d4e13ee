"""Store of dev.milestones."""

from collections.abc import Sequence

import psycopg

from jobctl.projects.objects.rows import Milestone
from jobctl.projects.objects.upsert import Written, upserted

# An answer that is older than the row changes nothing.
SAVE = """
INSERT INTO dev.milestones AS m (milestone_id, project_id, number, title, state, due_on, created_at, updated_at,
    closed_at)
SELECT milestone_id, %(project_id)s, number, title, state, due_on, created_at, updated_at, closed_at
FROM json_to_recordset(%(rows)s) AS r (milestone_id bigint, number integer, title text, state text,
    due_on timestamptz, created_at timestamptz, updated_at timestamptz, closed_at timestamptz)
ORDER BY milestone_id
ON CONFLICT (milestone_id) DO UPDATE
SET project_id = excluded.project_id, number = excluded.number, title = excluded.title, state = excluded.state,
    due_on = excluded.due_on, created_at = excluded.created_at, updated_at = excluded.updated_at,
    closed_at = excluded.closed_at
WHERE m.updated_at <= excluded.updated_at
    AND (m.project_id, m.number, m.title, m.state, m.due_on, m.created_at, m.updated_at, m.closed_at)
        IS DISTINCT FROM (excluded.project_id, excluded.number, excluded.title, excluded.state, excluded.due_on,
            excluded.created_at, excluded.updated_at, excluded.closed_at)
RETURNING m.xmax = 0
"""


def save(conn: psycopg.Connection, project_id: int, milestones: Sequence[Milestone]) -> Written:
    return upserted(conn, SAVE, milestones, {"project_id": project_id})


REMOVE_OTHERS = """
DELETE FROM dev.milestones WHERE project_id = %(project_id)s AND NOT milestone_id = ANY (%(kept)s::bigint[])
"""


def replace(conn: psycopg.Connection, project_id: int, milestones: Sequence[Milestone]) -> Written:
    """All that the project has: another one is no more."""
    kept = [milestone.milestone_id for milestone in milestones]
    removed = conn.execute(REMOVE_OTHERS, {"project_id": project_id, "kept": kept}).rowcount
    return save(conn, project_id, milestones)._replace(removed=removed)
