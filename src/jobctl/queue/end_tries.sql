-- Ends tries in whatever way. Inside the transaction of a handler's effect a task is locked (`check_held`); its try
-- does not end before that has committed or gone.
WITH held AS MATERIALIZED (
    SELECT t.task_id, t.type, t.subject_id, t.model_version, t.dedupe_key, t.scheduled_at AS due_at, e.outcome, e.state,
        e.scheduled_at, e.error_class, e.error_message, e.is_recoverable, e.handler_version, e.memory_bytes, e.result
    FROM unnest(
        %(task_ids)s::text::bigint[], %(fences)s::text::bigint[], %(claimed_at)s::text::timestamptz[],
        %(outcomes)s::text::text[], %(states)s::text::text[], %(scheduled_at)s::text::timestamptz[],
        %(error_classes)s::text::text[], %(error_messages)s::text::text[], %(are_recoverable)s::text::boolean[],
        %(handler_versions)s::text::text[], %(memory_bytes)s::text::bigint[], %(results)s::text::text[]
    ) AS e (task_id, fence, claimed_at, outcome, state, scheduled_at, error_class, error_message, is_recoverable,
        handler_version, memory_bytes, result)
    JOIN queue.tasks AS t ON t.task_id = e.task_id AND t.fence = e.fence AND t.claimed_at = e.claimed_at
    WHERE t.state = 'running' AND t.lease_until > statement_timestamp()
    FOR UPDATE OF t
),
twins AS MATERIALIZED (
    SELECT h.task_id, h.type, h.subject_id, h.model_version, h.dedupe_key,
        EXISTS (
            SELECT FROM queue.tasks AS w
            WHERE w.state = 'queued' AND w.type = h.type AND w.subject_id = h.subject_id
                AND w.model_version = h.model_version
        )
        OR EXISTS (
            SELECT FROM queue.tasks AS w
            WHERE w.state = 'queued' AND w.type = h.type AND w.dedupe_key = h.dedupe_key
        ) AS one_waits
    FROM held AS h WHERE h.state = 'queued'
),
-- Of several that go back for the same thing the newest stays. It has to stand for all that the older one is for,
-- subject and key, and to wait itself; where that leaves two for one thing, each is put back by itself. In the order in
-- which requests are enqueued, so that a caller who enqueues the same ones at this moment and this statement never wait
-- for each other in a circle.
judged AS MATERIALIZED (
    SELECT h.*, h.state = 'queued' AND (
        EXISTS (SELECT FROM twins AS w WHERE w.task_id = h.task_id AND w.one_waits)
        OR EXISTS (
            SELECT FROM twins AS w
            WHERE NOT w.one_waits AND w.task_id > h.task_id AND w.type = h.type
                AND CASE WHEN h.subject_id IS NULL THEN w.dedupe_key = h.dedupe_key
                    ELSE w.subject_id = h.subject_id AND w.model_version = h.model_version
                        AND (h.dedupe_key IS NULL OR w.dedupe_key = h.dedupe_key) END
        )
    ) AS is_superseded
    FROM held AS h
    ORDER BY h.subject_id IS NULL, h.type, h.subject_id, h.model_version, h.dedupe_key
),
ended AS (
    UPDATE queue.tasks AS t
    SET state = CASE WHEN j.is_superseded THEN 'cancelled' ELSE j.state END,
        attempts = t.attempts - (j.outcome IN ('snoozed', 'released'))::integer,
        scheduled_at = coalesce(CASE WHEN j.state = 'queued' THEN j.scheduled_at END, t.scheduled_at),
        lease_until = NULL,
        finished_at = CASE WHEN j.state <> 'queued' OR j.is_superseded THEN statement_timestamp() END,
        updated_at = statement_timestamp(),
        error_class = CASE WHEN j.is_superseded THEN 'Superseded' ELSE j.error_class END,
        error_message = CASE WHEN j.is_superseded THEN 'superseded by a newer request that waits'
            ELSE j.error_message END,
        is_recoverable = CASE WHEN NOT j.is_superseded THEN j.is_recoverable END,
        checkpoint = CASE WHEN j.state <> 'succeeded' THEN t.checkpoint END,
        handler_version = j.handler_version
    FROM judged AS j
    WHERE t.task_id = j.task_id
    RETURNING t.task_id, t.fence, t.type, t.user_id,
        t.attempts + (j.outcome IN ('snoozed', 'released'))::integer AS attempt, t.worker, t.worker_run_id, t.claimed_at,
        j.due_at, j.outcome, j.error_class, j.error_message, j.is_recoverable, j.handler_version, j.memory_bytes,
        j.result
)
INSERT INTO queue.attempts (task_id, fence, type, user_id, attempt, host, worker, run_id, due_at, claimed_at,
    finished_at, outcome, error_class, error_message, is_recoverable, handler_version, memory_bytes, result)
SELECT e.task_id, e.fence, e.type, e.user_id, e.attempt, split_part(e.worker, '/', 1), e.worker, e.worker_run_id,
    greatest(e.due_at, 'epoch'), e.claimed_at, statement_timestamp(), e.outcome, e.error_class, e.error_message,
    e.is_recoverable, e.handler_version, e.memory_bytes, e.result::jsonb
FROM ended AS e
RETURNING task_id
