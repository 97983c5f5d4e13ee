-- The queue at work: what a claim needs of a task, one row a try, the limits that all workers share, and the views by
-- which operators and tests see that its promises hold.

-- The numbers of claims, in the order in which they happened: a claim takes them inside the admission lock. A task's
-- fence is the number of the claim that holds it; every later claim of any task has a higher one.
CREATE SEQUENCE queue.fences;

-- A try is counted when it is claimed. `attempts` leaves out tries that were given back (snoozed, released); `crashes`
-- are those whose worker was lost. What an operator forgave is kept apart, so that the rows still add up.
ALTER TABLE queue.tasks
    ADD COLUMN user_id text COLLATE "C" NOT NULL DEFAULT '',
    ADD COLUMN organization_id text,
    ADD COLUMN site_url text,
    ADD COLUMN attempts integer NOT NULL DEFAULT 0,
    ADD COLUMN crashes integer NOT NULL DEFAULT 0,
    ADD COLUMN forgiven_attempts integer NOT NULL DEFAULT 0,
    ADD COLUMN forgiven_crashes integer NOT NULL DEFAULT 0,
    ADD COLUMN fence bigint NOT NULL DEFAULT 0,
    ADD COLUMN lease_until timestamptz,
    ADD COLUMN claimed_at timestamptz,
    ADD COLUMN worker text,
    ADD COLUMN worker_run_id uuid,
    ADD COLUMN error_class text,
    ADD COLUMN error_message text,
    ADD COLUMN is_recoverable boolean,
    ADD COLUMN handler_version text,
    ADD COLUMN checkpoint jsonb,
    ADD COLUMN finished_at timestamptz;

-- One row a try that has ended; a try that runs stands in its task. `due_at` is when the task was to run, so that the
-- wait is claimed_at - due_at. `host` and `worker` outlive the task.
CREATE TABLE queue.attempts (
    task_id bigint NOT NULL,
    fence bigint NOT NULL,
    type text NOT NULL,
    user_id text COLLATE "C" NOT NULL,
    attempt integer NOT NULL,
    host text NOT NULL,
    worker text NOT NULL,
    run_id uuid,
    due_at timestamptz NOT NULL,
    claimed_at timestamptz NOT NULL,
    finished_at timestamptz NOT NULL,
    outcome text NOT NULL CHECK (outcome IN ('succeeded', 'failed', 'timeout', 'crashed', 'snoozed', 'released')),
    error_class text,
    error_message text,
    is_recoverable boolean,
    handler_version text,
    memory_bytes bigint,
    result jsonb,
    PRIMARY KEY (task_id, fence)
);
-- Rows come in by the time of their end, so the ranges stay narrow and cost next to nothing to keep.
CREATE INDEX attempts_by_end ON queue.attempts USING brin (finished_at) WITH (pages_per_range = 16, autosummarize = on);
CREATE INDEX attempts_failed ON queue.attempts (finished_at) WHERE outcome IN ('failed', 'timeout', 'crashed');

-- How many may run at the same time: in all, of each user who has no row of an own, of a user, of a type. A worker
-- writes what its settings say; a claim reads them here, so that all hosts keep to the same. A type without a row has
-- no limit. With `rate_per_minute` tasks of the type are also spaced out: none begins before `next_start_at`.
CREATE TABLE queue.limits (
    kind text NOT NULL CHECK (kind IN ('all', 'each_user', 'user', 'type')),
    name text COLLATE "C" NOT NULL DEFAULT '',
    running integer CHECK (running >= 0),
    rate_per_minute double precision CHECK (rate_per_minute > 0),
    next_start_at timestamptz,
    told_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (kind, name)
);
INSERT INTO queue.limits (kind, running) VALUES ('all', 500), ('each_user', 2);

-- The table by the names that operators' queries already use. Setting status to 'blocked' where it is 'queued' pauses.
CREATE VIEW public.ingestion_jobs AS
SELECT
    t.task_id AS id,
    t.type AS job_type,
    t.state AS status,
    t.organization_id,
    t.site_url,
    t.user_id,
    t.payload,
    t.priority,
    t.attempts,
    t.error_message,
    t.scheduled_at,
    t.created_at,
    t.updated_at,
    t.finished_at
FROM queue.tasks AS t;

-- A change by the view keeps the queue's books. The row decides whether its state is still the one that was read; a try
-- that runs is given back with its row; a task whose twin already waits is superseded by it; only a claim starts a task.
CREATE FUNCTION queue.change_ingestion_job() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $change$
DECLARE
    wanted text := NEW.status;
    reason text := NEW.error_message;
    state_now text := OLD.status;
BEGIN
    IF NEW.id IS DISTINCT FROM OLD.id OR NEW.attempts IS DISTINCT FROM OLD.attempts THEN
        RAISE EXCEPTION 'id and attempts of a task are not changed by hand' USING ERRCODE = 'feature_not_supported',
            HINT = 'jobctl queue retry ID --reset-attempts gives a task all its tries again';
    END IF;
    IF wanted = 'running' AND OLD.status <> 'running' THEN
        RAISE EXCEPTION 'a task is started by a worker alone' USING ERRCODE = 'feature_not_supported',
            HINT = 'set status to queued, then: jobctl work';
    END IF;
    IF wanted = 'queued' AND OLD.status <> 'queued' AND EXISTS (
        SELECT FROM queue.tasks AS t
        JOIN queue.tasks AS twin ON twin.type = t.type AND twin.state = 'queued' AND twin.task_id <> t.task_id
            AND (twin.dedupe_key = t.dedupe_key
                OR (twin.subject_id = t.subject_id AND twin.model_version = t.model_version))
        WHERE t.task_id = OLD.id
    ) THEN
        wanted := 'cancelled';
        reason := 'superseded by a newer request that waits';
    END IF;
    IF OLD.status = 'running' AND wanted <> 'running' THEN
        INSERT INTO queue.attempts (task_id, fence, type, user_id, attempt, host, worker, run_id, due_at, claimed_at,
            finished_at, outcome, error_class, error_message)
        SELECT t.task_id, t.fence, t.type, t.user_id, t.attempts, split_part(t.worker, '/', 1), t.worker,
            t.worker_run_id, t.scheduled_at, t.claimed_at, clock_timestamp(), 'released', 'TakenAway',
            'status was set to ' || NEW.status || ' by ' || session_user
        FROM queue.tasks AS t WHERE t.task_id = OLD.id AND t.state = 'running' FOR UPDATE;
        IF NOT FOUND THEN
            RETURN NULL;
        END IF;
    END IF;
    IF wanted = 'queued' AND OLD.status <> 'queued' THEN
        BEGIN
            UPDATE queue.tasks AS t SET state = 'queued' WHERE t.task_id = OLD.id AND t.state = OLD.status;
            IF NOT FOUND THEN
                RETURN NULL;
            END IF;
            state_now := 'queued';
        EXCEPTION WHEN unique_violation THEN -- its twin came in at this moment
            wanted := 'cancelled';
            reason := 'superseded by a newer request that waits';
        END;
    END IF;
    UPDATE queue.tasks AS t SET
        state = wanted,
        organization_id = NEW.organization_id,
        site_url = NEW.site_url,
        user_id = NEW.user_id,
        payload = NEW.payload,
        priority = NEW.priority,
        error_message = reason,
        scheduled_at = NEW.scheduled_at,
        updated_at = clock_timestamp(),
        attempts = t.attempts - (OLD.status = 'running' AND wanted <> 'running')::integer,
        lease_until = CASE WHEN wanted = 'running' THEN t.lease_until END,
        finished_at = CASE WHEN wanted IN ('succeeded', 'failed', 'cancelled')
            THEN coalesce(t.finished_at, clock_timestamp()) END
    WHERE t.task_id = OLD.id AND t.state = state_now;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    RETURN NEW;
END
$change$;
CREATE TRIGGER ingestion_jobs_changed INSTEAD OF UPDATE ON public.ingestion_jobs
    FOR EACH ROW EXECUTE FUNCTION queue.change_ingestion_job();

-- Each view below has a row for each promise that is broken: none, always.

-- A task that succeeded twice, or had two tries at the same time.
CREATE VIEW queue.no_task_twice AS
SELECT a.task_id, 'succeeded more than once' AS fault
FROM queue.attempts AS a WHERE a.outcome = 'succeeded' GROUP BY a.task_id HAVING count(*) > 1
UNION ALL
SELECT a.task_id, 'claimed before the try ahead of it had ended'
FROM (
    SELECT e.task_id, e.claimed_at, lag(e.finished_at) OVER (PARTITION BY e.task_id ORDER BY e.fence) AS earlier_end
    FROM queue.attempts AS e
) AS a WHERE a.claimed_at < a.earlier_end;

-- More running now than the limits allow.
CREATE VIEW queue.limits_held AS
WITH running AS (
    SELECT t.user_id, t.type, count(*) AS running FROM queue.tasks AS t WHERE t.state = 'running' GROUP BY 1, 2
)
SELECT 'all' AS kind, '' AS name, sum(r.running) AS running, max(l.running) AS allowed
FROM running AS r JOIN queue.limits AS l ON l.kind = 'all' HAVING sum(r.running) > max(l.running)
UNION ALL
SELECT 'type', r.type, sum(r.running), max(l.running)
FROM running AS r JOIN queue.limits AS l ON l.kind = 'type' AND l.name = r.type
GROUP BY r.type HAVING sum(r.running) > max(l.running)
UNION ALL
SELECT 'user', r.user_id, sum(r.running), max(coalesce(u.running, e.running))
FROM running AS r
LEFT JOIN queue.limits AS u ON u.kind = 'user' AND u.name = r.user_id
LEFT JOIN queue.limits AS e ON e.kind = 'each_user'
WHERE r.user_id <> ''
GROUP BY r.user_id HAVING sum(r.running) > max(coalesce(u.running, e.running));

-- Held by a worker long after its lease: nobody has come to put it right.
CREATE VIEW queue.no_stuck_past_lease AS
SELECT t.task_id, t.type, t.worker, t.lease_until
FROM queue.tasks AS t WHERE t.state = 'running' AND t.lease_until < statement_timestamp() - interval '2 hours';

-- A task whose counters differ from its rows. Only tasks whose rows have not been pruned are judged.
CREATE VIEW queue.attempts_add_up AS
SELECT t.task_id, t.state, t.attempts, t.crashes, coalesce(a.counted, 0) AS counted, coalesce(a.crashed, 0) AS crashed
FROM queue.tasks AS t
LEFT JOIN (
    SELECT e.task_id,
        count(*) FILTER (WHERE e.outcome NOT IN ('snoozed', 'released')) AS counted,
        count(*) FILTER (WHERE e.outcome = 'crashed') AS crashed
    FROM queue.attempts AS e GROUP BY e.task_id
) AS a ON a.task_id = t.task_id
WHERE t.attempts + t.forgiven_attempts <> coalesce(a.counted, 0) + (t.state = 'running')::integer
    OR t.crashes + t.forgiven_crashes <> coalesce(a.crashed, 0);
