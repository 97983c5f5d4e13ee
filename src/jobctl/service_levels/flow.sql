-- What came, went, waits and was answered, by project. Bots' own issues and pull requests are left out.
SELECT i.project_id,
    count(*) FILTER (WHERE i.is_open AND NOT i.is_pull) AS open_issues,
    count(*) FILTER (WHERE i.is_open AND i.is_pull) AS open_pulls,
    count(*) FILTER (WHERE i.created_at > %(recent)s) AS opened,
    count(*) FILTER (WHERE i.closed_at > %(recent)s AND i.closed_at <= %(as_of)s) AS closed,
    percentile_cont(0.5) WITHIN GROUP (ORDER BY i.first_response_s)
        FILTER (WHERE NOT i.is_pull AND i.created_at > %(recent)s) AS first_response_s,
    count(*) FILTER (WHERE i.is_due) AS answerable,
    count(*) FILTER (WHERE i.is_due AND i.first_response_s IS NULL) AS unanswered,
    count(*) FILTER (WHERE i.is_open AND NOT i.is_pull AND i.updated_at < %(issue_touched)s) AS stale_issues,
    count(*) FILTER (WHERE i.is_open AND i.is_pull AND i.updated_at < %(pull_touched)s) AS stale_pulls,
    count(*) FILTER (WHERE i.is_open AND NOT i.is_pull AND NOT i.is_labelled) AS unlabelled
FROM (
    SELECT r.*, r.is_open AND NOT r.is_pull AND r.created_at > %(recent)s AND r.created_at <= %(due)s AS is_due
    FROM (
        SELECT i.project_id, i.is_pull, i.created_at, i.closed_at, i.updated_at, i.label_ids <> '{}' AS is_labelled,
            i.closed_at IS NULL OR i.closed_at > %(as_of)s AS is_open,
            CASE WHEN i.first_response_at <= %(as_of)s AND i.first_response_at >= i.created_at
                THEN extract(epoch FROM i.first_response_at - i.created_at)::float8 END AS first_response_s
        FROM dev.issues AS i
        WHERE i.project_id = ANY(%(project_ids)s::bigint[]) AND NOT i.author_is_bot AND i.created_at <= %(as_of)s
            AND i.removal IS DISTINCT FROM 'transferred' AND (i.removed_at IS NULL OR i.removed_at > %(as_of)s)
            AND ((i.state = 'open' AND i.removed_at IS NULL) OR i.closed_at > %(recent)s
                OR i.created_at > %(recent)s OR i.removed_at > %(as_of)s)
    ) AS r
) AS i
GROUP BY i.project_id
