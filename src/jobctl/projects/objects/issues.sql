-- Issues of a page, by node id. An answer that is older than the row changes nothing; one of the same second may be the
-- newer of two changes in it, so that its details are due again. Whatever GitHub lists is no tombstone any more.
INSERT INTO dev.issues AS i (node_id, github_id, project_id, number, is_pull, title, body, state, state_reason, author,
    author_is_bot, assignees, label_ids, milestone_id, comments, is_locked, created_at, updated_at, closed_at)
SELECT node_id, github_id, %(project_id)s, number, is_pull, title, body, state, state_reason, author, author_is_bot,
    assignees, label_ids, milestone_id, comments, is_locked, created_at, updated_at, closed_at
FROM json_to_recordset(%(rows)s) AS r (node_id text, github_id bigint, number bigint, is_pull boolean, title text,
    body text, state text, state_reason text, author text, author_is_bot boolean, assignees text[], label_ids bigint[],
    milestone_id bigint, comments integer, is_locked boolean, created_at timestamptz, updated_at timestamptz,
    closed_at timestamptz)
ORDER BY node_id COLLATE "C"
ON CONFLICT (node_id) DO UPDATE
SET github_id = excluded.github_id, project_id = excluded.project_id, number = excluded.number,
    is_pull = excluded.is_pull, title = excluded.title, body = excluded.body, state = excluded.state,
    state_reason = excluded.state_reason, author = excluded.author, author_is_bot = excluded.author_is_bot,
    assignees = excluded.assignees, label_ids = excluded.label_ids, milestone_id = excluded.milestone_id,
    comments = excluded.comments, is_locked = excluded.is_locked, created_at = excluded.created_at,
    updated_at = excluded.updated_at, closed_at = excluded.closed_at, detailed_for = NULL, removed_at = NULL,
    removal = NULL, moved_to = NULL
WHERE i.updated_at <= excluded.updated_at
    AND (i.github_id, i.project_id, i.number, i.is_pull, i.title, i.body, i.state, i.state_reason, i.author,
            i.author_is_bot, i.assignees, i.label_ids, i.milestone_id, i.comments, i.is_locked, i.created_at,
            i.updated_at, i.closed_at, i.removed_at)
        IS DISTINCT FROM (excluded.github_id, excluded.project_id, excluded.number, excluded.is_pull, excluded.title,
            excluded.body, excluded.state, excluded.state_reason, excluded.author, excluded.author_is_bot,
            excluded.assignees, excluded.label_ids, excluded.milestone_id, excluded.comments, excluded.is_locked,
            excluded.created_at, excluded.updated_at, excluded.closed_at, NULL::timestamptz)
RETURNING i.xmax = 0, i.node_id
