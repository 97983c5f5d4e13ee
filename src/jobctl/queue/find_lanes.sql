-- Which users have something due, of which types, and where in each lane it begins. A skip scan: one probe of the index
-- tells the first task of the next lane, so the cost goes by the number of lanes, not of tasks.
WITH RECURSIVE lanes AS (
    (
        SELECT t.user_id, t.type, t.task_id, t.scheduled_at,
            t.scheduled_at AT TIME ZONE 'UTC' - t.priority * interval '10 minutes' AS rank
        FROM queue.tasks AS t
        WHERE t.state = 'queued'
        ORDER BY t.user_id, t.type, t.scheduled_at AT TIME ZONE 'UTC' - t.priority * interval '10 minutes', t.task_id
        LIMIT 1
    )
    UNION ALL
    SELECT n.user_id, n.type, n.task_id, n.scheduled_at, n.rank
    FROM lanes AS l
    CROSS JOIN LATERAL (
        SELECT t.user_id, t.type, t.task_id, t.scheduled_at,
            t.scheduled_at AT TIME ZONE 'UTC' - t.priority * interval '10 minutes' AS rank
        FROM queue.tasks AS t
        WHERE t.state = 'queued' AND (t.user_id, t.type) > (l.user_id, l.type)
        ORDER BY t.user_id, t.type, t.scheduled_at AT TIME ZONE 'UTC' - t.priority * interval '10 minutes', t.task_id
        LIMIT 1
    ) AS n
)
-- In most lanes the first task is due. Where it is not, a later one may be: behind tasks of high priority that are
-- scheduled ahead, or, ranked behind this moment, among those of low priority. Of the latter 200 are looked at; what
-- stands behind them has its turn when its rank has passed at the latest.
SELECT l.user_id, l.type, coalesce(d.rank, l.rank)::text, coalesce(d.task_id, l.task_id) - 1,
    coalesce(d.rank, l.rank) > statement_timestamp() AT TIME ZONE 'UTC'
FROM lanes AS l
LEFT JOIN LATERAL (
    (
        SELECT t.task_id, t.scheduled_at AT TIME ZONE 'UTC' - t.priority * interval '10 minutes' AS rank
        FROM queue.tasks AS t
        WHERE t.state = 'queued' AND t.user_id = l.user_id AND t.type = l.type
            AND t.scheduled_at AT TIME ZONE 'UTC' - t.priority * interval '10 minutes'
                <= statement_timestamp() AT TIME ZONE 'UTC'
            AND t.scheduled_at <= statement_timestamp()
        ORDER BY t.scheduled_at AT TIME ZONE 'UTC' - t.priority * interval '10 minutes', t.task_id
        LIMIT 1
    )
    UNION ALL
    (
        SELECT w.task_id, w.rank
        FROM (
            SELECT t.task_id, t.scheduled_at,
                t.scheduled_at AT TIME ZONE 'UTC' - t.priority * interval '10 minutes' AS rank
            FROM queue.tasks AS t
            WHERE t.state = 'queued' AND t.user_id = l.user_id AND t.type = l.type
                AND t.scheduled_at AT TIME ZONE 'UTC' - t.priority * interval '10 minutes'
                    > statement_timestamp() AT TIME ZONE 'UTC'
            ORDER BY t.scheduled_at AT TIME ZONE 'UTC' - t.priority * interval '10 minutes', t.task_id
            LIMIT 200
        ) AS w
        WHERE w.scheduled_at <= statement_timestamp()
        LIMIT 1
    )
    LIMIT 1
) AS d ON l.scheduled_at > statement_timestamp()
WHERE l.type = ANY (%(types)s::text::text[]) AND (l.scheduled_at <= statement_timestamp() OR d.task_id IS NOT NULL)
