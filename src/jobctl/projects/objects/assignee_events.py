"""Store of dev.assignee_events: when an issue was assigned to somebody and when it was taken from them."""

from collections.abc import Sequence

import psycopg

from jobctl.projects.objects.rows import AssigneeEvent
from jobctl.projects.objects.upsert import replaced

# One statement: what these issues have that is told no more goes, what is told and not there comes.
REPLACE = """
WITH told AS MATERIALIZED (
    SELECT DISTINCT node_id, login, at, is_added
    FROM json_to_recordset(%(rows)s) AS r (node_id text, login text, at timestamptz, is_added boolean)
), gone AS (
    DELETE FROM dev.assignee_events AS e
    WHERE e.node_id = ANY (%(issues)s::text[]) AND NOT EXISTS (
        SELECT FROM told AS t WHERE (t.node_id, t.login, t.at, t.is_added) = (e.node_id, e.login, e.at, e.is_added))
)
INSERT INTO dev.assignee_events (node_id, login, at, is_added, project_id)
SELECT node_id, login, at, is_added, %(project_id)s FROM told
ORDER BY node_id COLLATE "C", login COLLATE "C", at, is_added
ON CONFLICT DO NOTHING
"""


def replace(conn: psycopg.Connection, project_id: int, issues: Sequence[str], events: Sequence[AssigneeEvent]) -> int:
    """All that these issues have. Gives how many are new."""
    return replaced(conn, REPLACE, project_id, issues, events)
