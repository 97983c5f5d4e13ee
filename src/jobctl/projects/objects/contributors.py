"""Store of dev.contributors."""

from collections.abc import Sequence

import psycopg

from jobctl.projects.objects.rows import Contributor
from jobctl.projects.objects.upsert import Written, upserted

SAVE = """
INSERT INTO dev.contributors AS c (project_id, github_id, login, is_bot, contributions)
SELECT %(project_id)s, github_id, login, is_bot, contributions
FROM json_to_recordset(%(rows)s) AS r (github_id bigint, login text, is_bot boolean, contributions bigint)
ORDER BY github_id
ON CONFLICT (project_id, github_id) DO UPDATE
SET login = excluded.login, is_bot = excluded.is_bot, contributions = excluded.contributions
WHERE c IS DISTINCT FROM excluded
RETURNING c.xmax = 0
"""

REMOVE_OTHERS = """
DELETE FROM dev.contributors WHERE project_id = %(project_id)s AND NOT github_id = ANY (%(kept)s::bigint[])
"""


def replace(conn: psycopg.Connection, project_id: int, contributors: Sequence[Contributor]) -> Written:
    """All that the project has: another one is no more."""
    kept = [each.github_id for each in contributors]
    removed = conn.execute(REMOVE_OTHERS, {"project_id": project_id, "kept": kept}).rowcount
    return upserted(conn, SAVE, contributors, {"project_id": project_id})._replace(removed=removed)
