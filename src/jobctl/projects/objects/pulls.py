"""Store of dev.pulls: what a pull request has beyond its issue."""

from collections.abc import Sequence

import psycopg

from jobctl.projects.objects.rows import Pull
from jobctl.projects.objects.upsert import Written, upserted

SAVE = """
INSERT INTO dev.pulls AS p (node_id, project_id, is_draft, merged_at, merged_by, merge_commit, base_branch, head_branch,
    additions, deletions, changed_files, commits, first_commit_at, ready_at, first_review_at)
SELECT node_id, %(project_id)s, is_draft, merged_at, merged_by, merge_commit, base_branch, head_branch, additions,
    deletions, changed_files, commits, first_commit_at, ready_at, first_review_at
FROM json_to_recordset(%(rows)s) AS r (node_id text, is_draft boolean, merged_at timestamptz, merged_by text,
    merge_commit text, base_branch text, head_branch text, additions integer, deletions integer, changed_files integer,
    commits integer, first_commit_at timestamptz, ready_at timestamptz, first_review_at timestamptz)
ORDER BY node_id COLLATE "C"
ON CONFLICT (node_id) DO UPDATE
SET project_id = excluded.project_id, is_draft = excluded.is_draft, merged_at = excluded.merged_at,
    merged_by = excluded.merged_by, merge_commit = excluded.merge_commit, base_branch = excluded.base_branch,
    head_branch = excluded.head_branch, additions = excluded.additions, deletions = excluded.deletions,
    changed_files = excluded.changed_files, commits = excluded.commits, first_commit_at = excluded.first_commit_at,
    ready_at = excluded.ready_at, first_review_at = excluded.first_review_at
WHERE p IS DISTINCT FROM excluded
RETURNING p.xmax = 0
"""


def save(conn: psycopg.Connection, project_id: int, pulls: Sequence[Pull]) -> Written:
    """Their issues are there."""
    return upserted(conn, SAVE, pulls, {"project_id": project_id})
