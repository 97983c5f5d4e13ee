"""Store of dev.reviews."""

from collections.abc import Sequence

import psycopg

from jobctl.projects.objects.rows import Review
from jobctl.projects.objects.upsert import Written, upserted

SAVE = """
INSERT INTO dev.reviews AS v (node_id, pull_node_id, project_id, author, author_is_bot, state, submitted_at, commit_sha)
SELECT node_id, pull_node_id, %(project_id)s, author, author_is_bot, state, submitted_at, commit_sha
FROM json_to_recordset(%(rows)s) AS r (node_id text, pull_node_id text, author text, author_is_bot boolean, state text,
    submitted_at timestamptz, commit_sha text)
ORDER BY node_id COLLATE "C"
ON CONFLICT (node_id) DO UPDATE
SET pull_node_id = excluded.pull_node_id, project_id = excluded.project_id, author = excluded.author,
    author_is_bot = excluded.author_is_bot, state = excluded.state, submitted_at = excluded.submitted_at,
    commit_sha = excluded.commit_sha
WHERE v IS DISTINCT FROM excluded
RETURNING v.xmax = 0
"""

REMOVE_OTHERS = """
DELETE FROM dev.reviews
WHERE pull_node_id = ANY (%(pulls)s::text[]) AND NOT node_id = ANY (%(kept)s::text[])
"""


def replace(conn: psycopg.Connection, project_id: int, pulls: Sequence[str], reviews: Sequence[Review]) -> Written:
    """All that these pull requests have: another one is no more."""
    kept = [review.node_id for review in reviews]
    removed = conn.execute(REMOVE_OTHERS, {"pulls": list(pulls), "kept": kept}).rowcount
    return upserted(conn, SAVE, reviews, {"project_id": project_id})._replace(removed=removed)
