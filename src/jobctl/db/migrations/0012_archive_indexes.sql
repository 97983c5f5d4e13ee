-- jobctl: no-transaction
-- squawk-ignore-file ban-concurrent-index-creation-in-transaction
-- The newest events of each job are found without reading all others, on a table that may be long already.
DROP INDEX CONCURRENTLY IF EXISTS ops.sync_events_by_job;
-- jobctl: next statement
CREATE INDEX CONCURRENTLY IF NOT EXISTS sync_events_by_job ON ops.sync_events (job, event_id);
