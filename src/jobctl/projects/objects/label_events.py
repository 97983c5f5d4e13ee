"""Store of dev.label_events: when an issue got a label and when it lost it."""

from collections.abc import Sequence

import psycopg

from jobctl.projects.objects.rows import LabelEvent
from jobctl.projects.objects.upsert import replaced

# One statement: what these issues have that is told no more goes, what is told and not there comes.
REPLACE = """
WITH told AS MATERIALIZED (
    SELECT DISTINCT node_id, label_node_id, at, is_added
    FROM json_to_recordset(%(rows)s) AS r (node_id text, label_node_id text, at timestamptz, is_added boolean)
), gone AS (
    DELETE FROM dev.label_events AS e
    WHERE e.node_id = ANY (%(issues)s::text[]) AND NOT EXISTS (
        SELECT FROM told AS t
        WHERE (t.node_id, t.label_node_id, t.at, t.is_added) = (e.node_id, e.label_node_id, e.at, e.is_added))
)
INSERT INTO dev.label_events (node_id, label_node_id, at, is_added, project_id)
SELECT node_id, label_node_id, at, is_added, %(project_id)s FROM told
ORDER BY node_id COLLATE "C", label_node_id COLLATE "C", at, is_added
ON CONFLICT DO NOTHING
"""


def replace(conn: psycopg.Connection, project_id: int, issues: Sequence[str], events: Sequence[LabelEvent]) -> int:
    """All that these issues have. Gives how many are new."""
    return replaced(conn, REPLACE, project_id, issues, events)
