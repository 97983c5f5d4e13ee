"""Store of dev.languages."""

from collections.abc import Sequence

import psycopg

from jobctl.projects.objects.rows import Language
from jobctl.projects.objects.upsert import Written, upserted

SAVE = """
INSERT INTO dev.languages AS l (project_id, name, bytes)
SELECT %(project_id)s, name, bytes FROM json_to_recordset(%(rows)s) AS r (name text, bytes bigint)
ORDER BY name COLLATE "C"
ON CONFLICT (project_id, name) DO UPDATE SET bytes = excluded.bytes
WHERE l.bytes <> excluded.bytes
RETURNING l.xmax = 0
"""

REMOVE_OTHERS = "DELETE FROM dev.languages WHERE project_id = %(project_id)s AND NOT name = ANY (%(kept)s::text[])"


def replace(conn: psycopg.Connection, project_id: int, languages: Sequence[Language]) -> Written:
    """All that the project has: another one is no more."""
    kept = [language.name for language in languages]
    removed = conn.execute(REMOVE_OTHERS, {"project_id": project_id, "kept": kept}).rowcount
    return upserted(conn, SAVE, languages, {"project_id": project_id})._replace(removed=removed)
