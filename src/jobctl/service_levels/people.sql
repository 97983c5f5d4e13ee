-- How many people commit to a project, and the fewest that made half of a year's commits. No name leaves this question.
-- A project whose commits were fetched and that has none has nobody; one whose commits never were is not known.
WITH by_person AS (
    SELECT c.project_id, coalesce(c.author, c.author_name) AS who, count(*) AS commits, max(c.committed_at) AS last_at
    FROM dev.commits AS c
    WHERE c.project_id = ANY(%(project_ids)s::bigint[]) AND c.committed_at > %(year)s AND c.committed_at <= %(as_of)s
        AND NOT c.author_is_bot
    GROUP BY 1, 2
), ranked AS (
    SELECT b.*, sum(b.commits) OVER (PARTITION BY b.project_id) AS all_commits,
        sum(b.commits) OVER (PARTITION BY b.project_id ORDER BY b.commits DESC, b.who ROWS UNBOUNDED PRECEDING)
            - b.commits AS before
    FROM by_person AS b
)
SELECT project_id, count(*) FILTER (WHERE last_at > %(recent)s)::integer AS active_people,
    count(*) FILTER (WHERE 2 * before < all_commits)::integer AS absence_factor, max(last_at) AS last_commit_at
FROM ranked GROUP BY project_id
UNION ALL
SELECT s.project_id, 0, NULL, NULL FROM dev.sync_cursors AS s
WHERE s.stream = 'commits' AND s.project_id = ANY(%(project_ids)s::bigint[])
    AND NOT EXISTS (SELECT FROM by_person AS b WHERE b.project_id = s.project_id)
