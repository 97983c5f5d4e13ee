-- Pull requests that people opened and that were merged in 90 days, by project, as `velocity.stages` has it: a stage whose
-- ends are not known or come in the wrong order is not known.
SELECT m.project_id, count(*) AS merged,
    count(*) FILTER (WHERE m.merged_at >= %(weeks_from)s AND m.merged_at < %(weeks_until)s) AS merged_in_weeks,
    coalesce(array_agg(extract(epoch FROM m.opened_at - m.first_commit_at)::float8)
        FILTER (WHERE m.opened_at >= m.first_commit_at), '{}') AS coding_s,
    coalesce(array_agg(extract(epoch FROM m.reviewed_at - m.ready_at)::float8)
        FILTER (WHERE m.reviewed_at >= m.ready_at), '{}') AS pickup_s,
    coalesce(array_agg(extract(epoch FROM m.merged_at - m.reviewed_at)::float8)
        FILTER (WHERE m.merged_at >= m.reviewed_at), '{}') AS review_s,
    coalesce(array_agg(extract(epoch FROM m.merged_at - m.first_commit_at)::float8)
        FILTER (WHERE m.merged_at >= m.first_commit_at), '{}') AS cycle_s,
    array_agg(m.lines) AS size
FROM (
    SELECT p.project_id, p.merged_at, p.first_commit_at, i.created_at AS opened_at,
        greatest(i.created_at, p.ready_at) AS ready_at, (p.additions + p.deletions)::float8 AS lines,
        (SELECT min(r.submitted_at) FROM dev.reviews AS r
         WHERE r.pull_node_id = p.node_id AND NOT r.author_is_bot AND r.author IS DISTINCT FROM i.author) AS reviewed_at
    FROM dev.pulls AS p JOIN dev.issues AS i USING (node_id)
    WHERE p.project_id = ANY(%(project_ids)s::bigint[]) AND p.merged_at > %(recent)s AND p.merged_at <= %(as_of)s
        AND NOT i.author_is_bot AND i.removed_at IS NULL
    OFFSET 0 -- or the reviews would be looked for once for each stage
) AS m
GROUP BY m.project_id
