"""Store of dev.commits: those of the default branch, as far back as they were asked for."""

from collections.abc import Collection, Sequence

import psycopg
from psycopg.rows import scalar_row

from jobctl.projects.objects.rows import Commit
from jobctl.projects.objects.upsert import Written, upserted

# A commit never changes, but whose it is on GitHub may: an address is claimed, an account renamed.
SAVE = """
INSERT INTO dev.commits AS c (project_id, sha, author, author_is_bot, author_name, subject, authored_at, committed_at)
SELECT %(project_id)s, sha, author, author_is_bot, author_name, subject, authored_at, committed_at
FROM json_to_recordset(%(rows)s) AS r (sha text, author text, author_is_bot boolean, author_name text, subject text,
    authored_at timestamptz, committed_at timestamptz)
ORDER BY sha COLLATE "C"
ON CONFLICT (project_id, sha) DO UPDATE SET author = excluded.author, author_is_bot = excluded.author_is_bot
WHERE (c.author, c.author_is_bot) IS DISTINCT FROM (excluded.author, excluded.author_is_bot)
RETURNING c.xmax = 0
"""


def save(conn: psycopg.Connection, project_id: int, commits: Sequence[Commit]) -> Written:
    return upserted(conn, SAVE, commits, {"project_id": project_id})


UNKNOWN = """
SELECT asked.sha FROM unnest(%(shas)s::text[]) AS asked (sha)
WHERE NOT EXISTS (SELECT FROM dev.commits AS c WHERE c.project_id = %(project_id)s AND c.sha = asked.sha)
"""


def unknown(conn: psycopg.Connection, project_id: int, shas: Collection[str]) -> set[str]:
    """Those that are not there."""
    if not shas:
        return set()
    with conn.cursor(row_factory=scalar_row) as cursor:
        return set(cursor.execute(UNKNOWN, {"project_id": project_id, "shas": sorted(shas)}).fetchall())
