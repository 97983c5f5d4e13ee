-- jobctl: no-transaction
-- squawk-ignore-file ban-concurrent-index-creation-in-transaction
-- What the monitor asks of a long history: figures of a window of time, and events by job and by level.

DROP INDEX CONCURRENTLY IF EXISTS ops.job_history_by_start;
-- jobctl: next statement
CREATE INDEX CONCURRENTLY IF NOT EXISTS job_history_by_start ON ops.job_history (started_at, run_id, scope);
-- jobctl: next statement
DROP INDEX CONCURRENTLY IF EXISTS ops.sync_events_by_job;
-- jobctl: next statement
CREATE INDEX CONCURRENTLY IF NOT EXISTS sync_events_by_job ON ops.sync_events (job, event_id);
-- jobctl: next statement
DROP INDEX CONCURRENTLY IF EXISTS ops.sync_events_bad;
-- jobctl: next statement
CREATE INDEX CONCURRENTLY IF NOT EXISTS sync_events_bad ON ops.sync_events (event_id)
    WHERE level IN ('warning', 'error');
