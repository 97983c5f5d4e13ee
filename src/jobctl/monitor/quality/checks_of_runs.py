"""Checks of runs, slots, queue and incidents: what the books say of each other is the same."""

from typing import Final

from psycopg import sql

from jobctl.monitor.quality.check import Check
from jobctl.monitor.scopes import PAIRS, PAIRS_OF_SLOTS

# Runs of the window, by job and scope along the index: OFFSET 0 keeps the planner from reading the table instead.
_LATE_RUNS = PAIRS + sql.SQL("""
, late AS (
    SELECT r.* FROM pairs AS p CROSS JOIN LATERAL (
        SELECT h.run_id, h.job, h.scope, h.status, h.degraded, h.exit_code, h.started_at, h.finished_at, h.counts,
            h.replayed_at
        FROM ops.job_history AS h
        WHERE h.job = p.job AND h.scope = p.scope AND h.started_at >= %(since)s AND h.started_at <= %(now)s
        OFFSET 0
    ) AS r
)
""")

CHECKS: Final = (
    Check(
        "counts-add-up",
        "the counts of a completed run add up: what it read or claimed is the sum of what became of it",
        _LATE_RUNS
        + sql.SQL("""
SELECT l.job || ' ' || l.scope || ' run ' || l.run_id AS example FROM late AS l
CROSS JOIN LATERAL (
    SELECT sum(c.value::bigint) FILTER (WHERE c.key IN ('read', 'claimed', 'projects')) AS whole,
        sum(c.value::bigint) FILTER (WHERE c.key = ANY (CASE l.job
            WHEN 'ingest-branch' THEN '{inserted,updated,unchanged,rejected,skipped}'
            WHEN 'work' THEN '{succeeded,retried,failed,snoozed,released,lost}'
            ELSE '{ok,unchanged,limited,forbidden,gone,moved,failed,left}' END::text[])) AS parts
    FROM pg_catalog.jsonb_each_text(l.counts) AS c WHERE c.value ~ '^[0-9]{1,18}$'
) AS s
WHERE l.job IN ('ingest-branch', 'work', 'sync') AND l.status = 'completed' AND s.whole <> coalesce(s.parts, 0)
"""),
        "jobctl ingest-branch --full judges all records anew; tell the maintainers, with the run",
    ),
    Check(
        "one-run-at-a-time",
        "no two runs of a job and scope worked at the same time",
        _LATE_RUNS
        + sql.SQL("""
SELECT o.job || ' ' || o.scope || ' run ' || o.run_id AS example FROM (
    SELECT l.job, l.scope, l.run_id, l.started_at, lag(l.finished_at) OVER (
        PARTITION BY l.job, l.scope ORDER BY l.started_at, l.run_id) AS earlier_end
    FROM late AS l WHERE l.status = 'completed' AND l.replayed_at IS NULL
) AS o WHERE o.started_at < o.earlier_end
"""),
        "jobctl doctor --only database: is there one database, and no pooler that hides its locks?",
    ),
    Check(
        "exit-codes-true",
        "a run that completed exits 0, or 3 when it is degraded; one that did not, never",
        _LATE_RUNS
        + sql.SQL("""
SELECT l.job || ' ' || l.scope || ' ' || l.status || ', exit code ' || coalesce(l.exit_code::text, 'none') AS example
FROM late AS l WHERE CASE
    WHEN l.status = 'completed' THEN l.exit_code IS DISTINCT FROM (l.degraded::integer * 3)
    WHEN l.status IN ('failed', 'timeout', 'abandoned', 'interrupted') THEN coalesce(l.exit_code, 0) = 0
    ELSE false END
"""),
        "tell the maintainers, with the run: cron believes the exit code",
    ),
    Check(
        "running-runs-live",
        "each run that says running holds its lock",
        # By the lock, as monitor/runs/running.py has it. One that ends between the look at its row and that at its lock
        # looks dead; it has beaten within the last five minutes, though.
        """
SELECT h.job || ' ' || h.scope || ' run ' || h.run_id || ' on ' || h.host AS example
FROM ops.job_history AS h LEFT JOIN ops.locks AS k ON k.lock_key = h.lock_key
WHERE h.status = 'running' AND h.heartbeat_at < %(now)s - interval '5 minutes'
  AND (h.fence < k.fence OR NOT EXISTS (
    SELECT FROM pg_catalog.pg_locks AS l
    WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 AND l.pid = h.guard_backend_pid
      AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
      AND (l.classid::bigint << 32) | l.objid::bigint = h.lock_key))
""",
        "its next run declares it abandoned: start it, or wait for its slot; ops/runbooks/run-abandoned.md",
    ),
    Check(
        "events-have-runs",
        "the latest 10,000 events are of runs of the history, unless they are older than what is kept of their job",
        """
SELECT 'event ' || e.event_id || ' ' || e.event || ' of run ' || e.run_id AS example FROM (
    SELECT s.event_id, s.event, s.run_id, s.job, s.scope, s.at FROM ops.sync_events AS s
    ORDER BY s.event_id DESC LIMIT 10000
) AS e
WHERE (SELECT h.run_id FROM ops.job_history AS h WHERE h.run_id = e.run_id LIMIT 1) IS NULL
  AND e.at > (SELECT min(o.started_at) FROM ops.job_history AS o WHERE o.job = e.job AND o.scope = e.scope)
""",
        "runs were deleted by hand: their events may go, too",
    ),
    Check(
        "slots-have-runs",
        "each slot of the window that ran names a run, unless it is older than what is kept of its job",
        PAIRS_OF_SLOTS
        + sql.SQL("""
SELECT s.job || ' ' || s.scope || ' ' || s.slot_local AS example FROM pairs AS p CROSS JOIN LATERAL (
    SELECT o.* FROM ops.slots AS o WHERE o.job = p.job AND o.scope = p.scope AND o.slot_at >= %(since)s OFFSET 0
) AS s
WHERE s.verdict IN ('ran', 'late') AND s.decided_at < %(now)s - interval '1 hour'
  AND (SELECT h.run_id FROM ops.job_history AS h WHERE h.run_id = s.run_id LIMIT 1) IS NULL
  AND s.slot_at > (SELECT min(o.started_at) FROM ops.job_history AS o WHERE o.job = s.job AND o.scope = s.scope)
"""),
        "jobctl slots --job JOB; a run that could not reach the database is kept on its host and comes in later",
    ),
    Check(
        "schedules-judged",
        "the slots of each installed line were judged within the last day",
        """
SELECT s.host || ' ' || s.job || ' ' || s.expression AS example FROM ops.schedules AS s
WHERE s.removed_at IS NULL AND s.evaluated_until < %(now)s - interval '1 day'
""",
        "no job has begun on that host for a day: ops/runbooks/slot-missed.md; if the host is gone for good: "
        "jobctl db psql: UPDATE ops.schedules SET removed_at = now() WHERE host = 'HOST' AND removed_at IS NULL",
    ),
    Check(
        "no-task-twice",
        "no task succeeded twice or had two tries at once (queue.no_task_twice)",
        "SELECT 'task ' || v.task_id || ' ' || v.fault AS example FROM queue.no_task_twice AS v",
        "jobctl queue show ID tells its tries; tell the maintainers",
        reads=("attempts",),
    ),
    Check(
        "limits-held",
        "no more tasks run than the limits allow (queue.limits_held)",
        "SELECT v.kind || ' ' || v.name || ': ' || v.running || ' of ' || v.allowed AS example"
        " FROM queue.limits_held AS v",
        "a limit that was lowered holds from the next claim on; else tell the maintainers",
    ),
    Check(
        "no-stuck-past-lease",
        "no task is held two hours after its lease (queue.no_stuck_past_lease)",
        "SELECT 'task ' || v.task_id || ' of ' || v.worker AS example FROM queue.no_stuck_past_lease AS v",
        "jobctl retry-failed puts them back; does its line run? jobctl slots --job retry-failed",
    ),
    Check(
        "attempts-add-up",
        "a task's counters are those of its tries (queue.attempts_add_up)",
        "SELECT 'task ' || v.task_id || ': ' || v.attempts || ' and ' || v.counted AS example"
        " FROM queue.attempts_add_up AS v",
        "jobctl queue show ID tells its tries; was something changed by hand?",
        reads=("tasks", "attempts"),
    ),
    Check(
        "incidents-close",
        "an incident is open while an alert of it fires, and no longer",
        """
SELECT 'incident ' || i.incident_id || ' ' || i.state || ', ' || f.firing || ' firing' AS example
FROM ops.incidents AS i CROSS JOIN LATERAL (
    SELECT count(*) FILTER (WHERE a.cleared_at IS NULL) AS firing, max(a.cleared_at) AS cleared_at
    FROM ops.alerts AS a WHERE a.incident_id = i.incident_id
) AS f
WHERE (i.state = 'resolved' AND f.firing > 0)
   OR (i.state = 'open' AND f.firing = 0 AND coalesce(f.cleared_at, i.opened_at) < %(now)s - interval '1 day')
""",
        "jobctl alerts show ID; the next run of the hourly jobs judges it again",
    ),
    Check(
        "incidents-have-events",
        "each incident of the window has the event of its opening, and a resolved one that of its end",
        """
SELECT 'incident ' || i.incident_id || ' ' || i.state AS example FROM ops.incidents AS i
CROSS JOIN LATERAL (
    SELECT count(*) FILTER (WHERE e.event IN ('opened', 'flapping', 'again')) AS begun,
        count(*) FILTER (WHERE e.event = 'resolved') AS ended
    FROM ops.incident_events AS e WHERE e.incident_id = i.incident_id
) AS told
WHERE i.opened_at >= %(since)s AND (told.begun = 0 OR (i.state = 'resolved') <> (told.ended > 0))
""",
        "jobctl alerts history; was something changed by hand?",
    ),
    Check(
        "messages-delivered",
        "of the latest 5,000 messages none waits for an hour, failed, or may not have arrived within the window",
        """
SELECT 'message ' || o.message_id || ' to ' || o.channel || ' ' || o.state AS example FROM (
    SELECT m.message_id, m.channel, m.state, m.created_at, m.updated_at FROM ops.outbox AS m
    ORDER BY m.message_id DESC LIMIT 5000
) AS o
WHERE (o.state IN ('failed', 'unknown') AND o.updated_at >= %(since)s)
   OR (o.state IN ('new', 'sending') AND o.created_at < %(now)s - interval '1 hour')
""",
        "jobctl doctor --only outgoing; jobctl alerts deliver; ops/runbooks/outbox-not-sent.md",
    ),
)
