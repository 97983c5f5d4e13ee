-- Ends the tries of tasks that are past their lease. A row that is locked is passed over: its worker is just ending the
-- try, extending the lease or writing its effect.
WITH lost AS MATERIALIZED (
    SELECT t.task_id, t.type, t.subject_id, t.model_version, t.dedupe_key, t.scheduled_at AS due_at, t.lease_until,
        t.crashes + 1 >= e.crash_limit AS is_dead
    FROM unnest(
        %(task_ids)s::text::bigint[], %(fences)s::text::bigint[], %(claimed_at)s::text::timestamptz[],
        %(crash_limits)s::text::integer[]
    ) AS e (task_id, fence, claimed_at, crash_limit)
    JOIN queue.tasks AS t ON t.task_id = e.task_id AND t.fence = e.fence AND t.claimed_at = e.claimed_at
    WHERE t.state = 'running' AND t.lease_until < statement_timestamp()
    FOR UPDATE OF t SKIP LOCKED
),
twins AS MATERIALIZED (
    SELECT l.task_id, l.type, l.subject_id, l.model_version, l.dedupe_key,
        EXISTS (
            SELECT FROM queue.tasks AS w
            WHERE w.state = 'queued' AND w.type = l.type AND w.subject_id = l.subject_id
                AND w.model_version = l.model_version
        )
        OR EXISTS (
            SELECT FROM queue.tasks AS w
            WHERE w.state = 'queued' AND w.type = l.type AND w.dedupe_key = l.dedupe_key
        ) AS one_waits
    FROM lost AS l WHERE NOT l.is_dead
),
-- As in end_tries.sql: superseded by what waits, or by a newer one that is to wait and stands for all of it.
judged AS MATERIALIZED (
    SELECT l.*, NOT l.is_dead AND (
        %(always_superseded)s::boolean
        OR EXISTS (SELECT FROM twins AS w WHERE w.task_id = l.task_id AND w.one_waits)
        OR EXISTS (
            SELECT FROM twins AS w
            WHERE NOT w.one_waits AND w.task_id > l.task_id AND w.type = l.type
                AND CASE WHEN l.subject_id IS NULL THEN w.dedupe_key = l.dedupe_key
                    ELSE w.subject_id = l.subject_id AND w.model_version = l.model_version
                        AND (l.dedupe_key IS NULL OR w.dedupe_key = l.dedupe_key) END
        )
    ) AS is_superseded
    FROM lost AS l
    ORDER BY l.subject_id IS NULL, l.type, l.subject_id, l.model_version, l.dedupe_key
),
ended AS (
    UPDATE queue.tasks AS t
    SET state = CASE WHEN j.is_dead THEN 'failed' WHEN j.is_superseded THEN 'cancelled' ELSE 'queued' END,
        crashes = t.crashes + 1, lease_until = NULL, updated_at = statement_timestamp(),
        finished_at = CASE WHEN j.is_dead OR j.is_superseded THEN statement_timestamp() END,
        scheduled_at = CASE WHEN j.is_dead OR j.is_superseded THEN t.scheduled_at
            ELSE statement_timestamp() + make_interval(secs => %(pause_s)s) END,
        error_class = CASE WHEN j.is_superseded THEN 'Superseded' ELSE 'WorkerLost' END,
        error_message = CASE WHEN j.is_superseded THEN 'superseded by a newer request that waits'
            ELSE format('lease ended at %%s UTC, worker %%s, attempt %%s',
                to_char(j.lease_until AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS'), t.worker, t.attempts) END,
        is_recoverable = CASE WHEN NOT j.is_superseded THEN NOT j.is_dead END
    FROM judged AS j
    WHERE t.task_id = j.task_id
    RETURNING t.task_id, t.type, t.user_id, t.fence, t.worker, t.worker_run_id, t.attempts, t.crashes, t.claimed_at,
        j.lease_until, j.due_at, t.state, t.scheduled_at, t.handler_version
),
told AS (
    INSERT INTO queue.attempts (task_id, fence, type, user_id, attempt, host, worker, run_id, due_at, claimed_at,
        finished_at, outcome, error_class, error_message, is_recoverable)
    SELECT e.task_id, e.fence, e.type, e.user_id, e.attempts, split_part(e.worker, '/', 1), e.worker, e.worker_run_id,
        greatest(e.due_at, 'epoch'), e.claimed_at, statement_timestamp(), 'crashed', 'WorkerLost',
        format('lease ended at %%s UTC, worker %%s, attempt %%s',
            to_char(e.lease_until AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS'), e.worker, e.attempts), true
    FROM ended AS e
)
SELECT e.task_id, e.type, e.user_id, e.fence, e.worker, e.attempts AS attempt, e.crashes, e.claimed_at, e.lease_until,
    e.state, greatest(e.scheduled_at, 'epoch') AS scheduled_at
FROM ended AS e
ORDER BY e.task_id
