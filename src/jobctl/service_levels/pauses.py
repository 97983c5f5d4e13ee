"""Store of dev.issue_pauses: since when an issue has a label that pauses its goals, as the runs see it."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime

import psycopg

from jobctl.service_levels.cycles import Pause

OF_PROJECTS = """
SELECT node_id, paused_at, resumed_at FROM dev.issue_pauses
WHERE project_id = ANY(%(project_ids)s) AND paused_at <= %(as_of)s ORDER BY node_id, paused_at
"""


def of_projects(conn: psycopg.Connection, project_ids: Sequence[int], as_of: datetime) -> Mapping[str, Sequence[Pause]]:
    found: dict[str, list[Pause]] = defaultdict(list)
    rows = conn.execute(OF_PROJECTS, {"project_ids": list(project_ids), "as_of": as_of})
    for node_id, paused_at, resumed_at in rows:
        found[node_id].append(Pause(paused_at, resumed_at))
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
