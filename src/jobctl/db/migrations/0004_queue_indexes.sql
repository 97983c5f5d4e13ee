-- jobctl: no-transaction
-- squawk-ignore-file ban-concurrent-index-creation-in-transaction
-- The two indexes of the claim, on a table that may be long already.

-- A lane: the waiting tasks of one user and type, in the order of their turn. Priority ages: each step of it is worth
-- ten minutes of waiting, so a task's place among its like never changes and can be stored.
DROP INDEX CONCURRENTLY IF EXISTS queue.tasks_by_lane;
-- jobctl: next statement
CREATE INDEX CONCURRENTLY IF NOT EXISTS tasks_by_lane ON queue.tasks
    (user_id, type, ((scheduled_at AT TIME ZONE 'UTC') - priority * interval '10 minutes'), task_id)
    WHERE state = 'queued';
-- jobctl: next statement
DROP INDEX CONCURRENTLY IF EXISTS queue.tasks_running;
-- jobctl: next statement
-- What runs, in the order of the claims: whoever knows the oldest claim that still runs reads only from there.
CREATE INDEX CONCURRENTLY IF NOT EXISTS tasks_running ON queue.tasks (fence) WHERE state = 'running';
-- jobctl: next statement
DROP INDEX CONCURRENTLY IF EXISTS queue.tasks_failed;
-- jobctl: next statement
CREATE INDEX CONCURRENTLY IF NOT EXISTS tasks_failed ON queue.tasks (finished_at) WHERE state = 'failed';
-- jobctl: next statement
DROP INDEX CONCURRENTLY IF EXISTS queue.tasks_cancelled;
-- jobctl: next statement
CREATE INDEX CONCURRENTLY IF NOT EXISTS tasks_cancelled ON queue.tasks (updated_at) WHERE state = 'cancelled';
