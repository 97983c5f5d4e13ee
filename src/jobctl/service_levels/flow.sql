-- What came, went, waits and was answered, by project. Bots' own issues and pull requests are left out.
-- What the labels were at the moment, the first change after it tells (see bugs.sql). Of now there is none.
WITH later AS MATERIALIZED (
    SELECT t.node_id, array_agg(l.label_id) FILTER (WHERE t.is_added) AS came, bool_or(NOT t.is_added) AS has_gone
    FROM (
        SELECT DISTINCT ON (e.node_id, e.label_node_id) e.node_id, e.label_node_id, e.is_added
        FROM dev.label_events AS e
        WHERE e.project_id = ANY(%(project_ids)s::bigint[]) AND e.at > %(as_of)s
        ORDER BY e.node_id, e.label_node_id, e.at, e.is_added
    ) AS t
    LEFT JOIN dev.labels AS l ON l.node_id = t.label_node_id AND l.project_id = ANY(%(project_ids)s::bigint[])
    GROUP BY t.node_id
)
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
        SELECT i.project_id, i.is_pull, i.created_at, i.closed_at, i.updated_at,
            coalesce(t.has_gone, false) OR NOT i.label_ids <@ coalesce(t.came, '{}') AS is_labelled,
            i.closed_at IS NULL OR i.closed_at > %(as_of)s AS is_open,
            CASE WHEN i.first_response_at <= %(as_of)s AND i.first_response_at >= i.created_at
                THEN extract(epoch FROM i.first_response_at - i.created_at)::float8 END AS first_response_s
        FROM dev.issues AS i
        LEFT JOIN later AS t USING (node_id)
        WHERE i.project_id = ANY(%(project_ids)s::bigint[]) AND NOT i.author_is_bot AND i.created_at <= %(as_of)s
            AND i.removal IS DISTINCT FROM 'transferred' AND (i.removed_at IS NULL OR i.removed_at > %(as_of)s)
            AND ((i.state = 'open' AND i.removed_at IS NULL) OR i.closed_at > %(recent)s
                OR i.created_at > %(recent)s OR i.removed_at > %(as_of)s)
    ) AS r
) AS i
GROUP BY i.project_id
