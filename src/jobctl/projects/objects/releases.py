"""Store of dev.releases."""

from collections.abc import Sequence

import psycopg

from jobctl.projects.objects.rows import Release
from jobctl.projects.objects.upsert import Written, upserted

SAVE = """
INSERT INTO dev.releases AS e (release_id, project_id, tag, name, is_draft, is_prerelease, created_at, published_at)
SELECT release_id, %(project_id)s, tag, name, is_draft, is_prerelease, created_at, published_at
FROM json_to_recordset(%(rows)s) AS r (release_id bigint, tag text, name text, is_draft boolean, is_prerelease boolean,
    created_at timestamptz, published_at timestamptz)
ORDER BY release_id
ON CONFLICT (release_id) DO UPDATE
SET project_id = excluded.project_id, tag = excluded.tag, name = excluded.name, is_draft = excluded.is_draft,
    is_prerelease = excluded.is_prerelease, created_at = excluded.created_at, published_at = excluded.published_at
WHERE e IS DISTINCT FROM excluded
RETURNING e.xmax = 0
"""

REMOVE_OTHERS = """
DELETE FROM dev.releases WHERE project_id = %(project_id)s AND NOT release_id = ANY (%(kept)s::bigint[])
"""


def replace(conn: psycopg.Connection, project_id: int, releases: Sequence[Release]) -> Written:
    """All that the project has: another one is no more."""
    kept = [release.release_id for release in releases]
    removed = conn.execute(REMOVE_OTHERS, {"project_id": project_id, "kept": kept}).rowcount
    return upserted(conn, SAVE, releases, {"project_id": project_id})._replace(removed=removed)
