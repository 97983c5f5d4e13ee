-- jobctl: no-transaction
-- squawk-ignore-file ban-concurrent-index-creation-in-transaction
-- What is asked of tables that are long by then: figures of a window of time; a page of runs, newest first, of all, of
-- a job, of a status, of a correlation id; what one run left in the other tables; the newest events of a job, and the
-- bad ones.

DROP INDEX CONCURRENTLY IF EXISTS ops.job_history_by_start;
-- jobctl: next statement
CREATE INDEX CONCURRENTLY IF NOT EXISTS job_history_by_start ON ops.job_history (started_at, run_id, scope);
-- jobctl: next statement
DROP INDEX CONCURRENTLY IF EXISTS ops.job_history_by_job_start;
-- jobctl: next statement
CREATE INDEX CONCURRENTLY IF NOT EXISTS job_history_by_job_start ON ops.job_history (job, started_at, run_id, scope);
-- jobctl: next statement
DROP INDEX CONCURRENTLY IF EXISTS ops.job_history_by_status;
-- jobctl: next statement
CREATE INDEX CONCURRENTLY IF NOT EXISTS job_history_by_status ON ops.job_history (status, started_at, run_id, scope);
-- jobctl: next statement
DROP INDEX CONCURRENTLY IF EXISTS ops.job_history_by_correlation;
-- jobctl: next statement
CREATE INDEX CONCURRENTLY IF NOT EXISTS job_history_by_correlation ON ops.job_history (correlation_id);
-- jobctl: next statement
DROP INDEX CONCURRENTLY IF EXISTS ops.slots_by_run;
-- jobctl: next statement
CREATE INDEX CONCURRENTLY IF NOT EXISTS slots_by_run ON ops.slots (run_id) WHERE run_id IS NOT NULL;
-- jobctl: next statement
DROP INDEX CONCURRENTLY IF EXISTS ops.slots_by_covering_run;
-- jobctl: next statement
CREATE INDEX CONCURRENTLY IF NOT EXISTS slots_by_covering_run ON ops.slots (covered_by_run_id)
    WHERE covered_by_run_id IS NOT NULL;
-- jobctl: next statement
DROP INDEX CONCURRENTLY IF EXISTS ops.outbox_by_run;
-- jobctl: next statement
CREATE INDEX CONCURRENTLY IF NOT EXISTS outbox_by_run ON ops.outbox (run_id) WHERE run_id IS NOT NULL;
-- jobctl: next statement
DROP INDEX CONCURRENTLY IF EXISTS ops.alerts_by_run;
-- jobctl: next statement
CREATE INDEX CONCURRENTLY IF NOT EXISTS alerts_by_run ON ops.alerts (run_id) WHERE run_id IS NOT NULL;
-- jobctl: next statement
DROP INDEX CONCURRENTLY IF EXISTS ops.alerts_by_job;
-- jobctl: next statement
CREATE INDEX CONCURRENTLY IF NOT EXISTS alerts_by_job ON ops.alerts (job, last_seen_at);
-- jobctl: next statement
DROP INDEX CONCURRENTLY IF EXISTS branch.rejects_by_run;
-- jobctl: next statement
CREATE INDEX CONCURRENTLY IF NOT EXISTS rejects_by_run ON branch.rejects (run_id);
-- jobctl: next statement
DROP INDEX CONCURRENTLY IF EXISTS queue.tasks_by_run;
-- jobctl: next statement
CREATE INDEX CONCURRENTLY IF NOT EXISTS tasks_by_run ON queue.tasks (run_id) WHERE run_id IS NOT NULL;
-- jobctl: next statement
DROP INDEX CONCURRENTLY IF EXISTS ops.sync_events_by_job;
-- jobctl: next statement
CREATE INDEX CONCURRENTLY IF NOT EXISTS sync_events_by_job ON ops.sync_events (job, event_id);
-- jobctl: next statement
DROP INDEX CONCURRENTLY IF EXISTS ops.sync_events_bad;
-- jobctl: next statement
CREATE INDEX CONCURRENTLY IF NOT EXISTS sync_events_bad ON ops.sync_events (event_id)
    WHERE level IN ('warning', 'error');
