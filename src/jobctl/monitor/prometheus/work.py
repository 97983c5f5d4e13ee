"""Sections `schedule` and `queue`: what was expected, and what waits."""

from datetime import datetime, timedelta

import psycopg
from psycopg import sql

from jobctl.monitor.prometheus.catalogue import Sample
from jobctl.monitor.scopes import PAIRS_OF_SLOTS

MOST_TYPES = 200
MOST_SCOPES = 500

LINES = """
SELECT s.job, count(*), min(s.evaluated_until) FROM ops.schedules AS s WHERE s.removed_at IS NULL GROUP BY s.job
"""
PAUSED = """
SELECT DISTINCT p.job, p.scope FROM ops.pauses AS p
WHERE p.from_at <= %(now)s AND p.until_at > %(now)s AND p.ended_at IS NULL
"""
SLOTS = PAIRS_OF_SLOTS + sql.SQL("""
SELECT p.job, p.scope, r.verdict, r.slots FROM (SELECT * FROM pairs LIMIT %(most)s) AS p CROSS JOIN LATERAL (
    SELECT s.verdict, count(*) AS slots FROM ops.slots AS s
    WHERE s.job = p.job AND s.scope = p.scope AND s.slot_at >= %(day_ago)s AND s.slot_at <= %(now)s GROUP BY s.verdict
) AS r
""")


def read_schedule(conn: psycopg.Connection, now: datetime) -> list[Sample]:
    parameters = {"now": now, "day_ago": now - timedelta(days=1), "most": MOST_SCOPES}
    samples: list[Sample] = []
    for job, lines, looked_at in conn.execute(LINES):
        samples.append(Sample("jobctl_schedule_lines", (job,), lines))
        samples.append(Sample("jobctl_schedule_looked_at_timestamp_seconds", (job,), looked_at.timestamp()))
    for job, scope in conn.execute(PAUSED, parameters):
        samples.append(Sample("jobctl_job_paused", (job, scope), 1))
    for job, scope, verdict, slots in conn.execute(SLOTS, parameters):
        samples.append(Sample("jobctl_slots_last_day", (job, scope, verdict), slots))
    return samples


# Each state that is counted has an index of its own; what has succeeded is not counted, for it has none.
WAITING = """
SELECT t.type, count(*), count(*) FILTER (WHERE t.scheduled_at <= %(now)s),
    min(t.scheduled_at) FILTER (WHERE t.scheduled_at <= %(now)s AND t.scheduled_at > '-infinity')
FROM queue.tasks AS t WHERE t.state = 'queued' GROUP BY t.type ORDER BY t.type LIMIT %(most)s
"""
RUNNING = """
SELECT t.type, count(*), count(*) FILTER (WHERE t.lease_until < %(now)s)
FROM queue.tasks AS t WHERE t.state = 'running' GROUP BY t.type ORDER BY t.type LIMIT %(most)s
"""
FAILED = (
    "SELECT t.type, count(*) FROM queue.tasks AS t WHERE t.state = 'failed' GROUP BY t.type ORDER BY 1 LIMIT %(most)s"
)
ATTEMPTS = """
SELECT a.type, a.outcome, count(*) FROM queue.attempts AS a
WHERE a.finished_at >= %(hour_ago)s AND a.finished_at <= %(now)s
GROUP BY a.type, a.outcome ORDER BY a.type, a.outcome LIMIT %(most)s
"""
LIMITS = """
SELECT l.name, l.running FROM queue.limits AS l
WHERE l.kind IN ('all', 'type') AND l.running IS NOT NULL ORDER BY l.kind, l.name LIMIT %(most)s
"""
CLAIMS = "SELECT CASE WHEN f.is_called THEN f.last_value ELSE 0 END FROM queue.fences AS f"


def read_queue(conn: psycopg.Connection, now: datetime) -> list[Sample]:
    parameters = {"now": now, "hour_ago": now - timedelta(hours=1), "most": MOST_TYPES}
    samples: list[Sample] = []
    for type_, waiting, due, oldest in conn.execute(WAITING, parameters):
        since_s = 0.0 if oldest is None else max(0.0, (now - oldest).total_seconds())
        samples.append(Sample("jobctl_queue_waiting_tasks", (type_,), waiting))
        samples.append(Sample("jobctl_queue_due_tasks", (type_,), due))
        samples.append(Sample("jobctl_queue_oldest_due_seconds", (type_,), since_s))
    for type_, running, overdue in conn.execute(RUNNING, parameters):
        samples.append(Sample("jobctl_queue_running_tasks", (type_,), running))
        samples.append(Sample("jobctl_queue_overdue_tasks", (type_,), overdue))
    for type_, failed in conn.execute(FAILED, parameters):
        samples.append(Sample("jobctl_queue_failed_tasks", (type_,), failed))
    for type_, outcome, tries in conn.execute(ATTEMPTS, parameters):
        samples.append(Sample("jobctl_queue_attempts_last_hour", (type_, outcome), tries))
    for type_, running in conn.execute(LIMITS, parameters):
        samples.append(Sample("jobctl_queue_running_limit", (type_,), running))
    (claims,) = conn.execute(CLAIMS).fetchone() or (0,)
    samples.append(Sample("jobctl_queue_claims_total", (), claims))
    return samples
