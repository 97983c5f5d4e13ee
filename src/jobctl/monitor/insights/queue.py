"""Facts of the queue: waits and run times by the hour, what waits now, which retries helped, what fails."""

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta

import psycopg

from jobctl.monitor.insights import failing, load
from jobctl.monitor.insights.finding import Finding
from jobctl.monitor.insights.load import Backlog, Hour, Limits
from jobctl.monitor.queue import patterns, stats

HOURS_LOOKED_AT = timedelta(days=2)
ENOUGH = 200_000  # tries; of more a share is taken
LATEST_FAILURES = 20_000

COUNT = """
SELECT count(*) FROM queue.attempts AS a WHERE a.finished_at >= %(since)s AND a.finished_at <= %(now)s
"""
# Of very many tries each task's go in or stay out by a hash of its number.
HOURS = """
SELECT a.type, date_trunc('hour', a.finished_at) AS hour, count(*),
    sum(date_part('epoch', a.finished_at - a.claimed_at)),
    percentile_cont(0.5) WITHIN GROUP (ORDER BY date_part('epoch', a.claimed_at - a.due_at)),
    percentile_cont(0.5) WITHIN GROUP (ORDER BY date_part('epoch', a.finished_at - a.claimed_at)),
    count(DISTINCT a.user_id) FILTER (WHERE a.user_id <> '')
FROM queue.attempts AS a
WHERE a.finished_at >= %(since)s AND a.finished_at <= %(now)s AND a.due_at > '-infinity'
  AND a.outcome IN ('succeeded', 'failed', 'timeout', 'crashed') AND hashint8(a.task_id) & %(mask)s = 0
GROUP BY 1, 2 ORDER BY 1, 2
"""
LIMITS = "SELECT l.kind, l.name, l.running, l.rate_per_minute FROM queue.limits AS l WHERE l.kind <> 'user'"


def of_hours(conn: psycopg.Connection, now: datetime) -> Iterator[Finding]:
    """What throttles, and batches that are too small."""
    given: dict[str, object] = {"since": now - HOURS_LOOKED_AT, "now": now}
    (tries,) = conn.execute(COUNT, given).fetchone() or (0,)
    given["mask"] = mask = (1 << max(0, (tries // ENOUGH).bit_length())) - 1
    share = mask + 1
    rows = conn.execute(HOURS, given).fetchall()
    all_busy: defaultdict[datetime, float] = defaultdict(float)
    for _, hour, _, busy_s, *_ in rows:
        all_busy[hour] += busy_s * share
    hours: defaultdict[str, list[Hour]] = defaultdict(list)
    for type_, hour, number, busy_s, wait_s, run_s, users in rows:
        hours[type_].append(Hour(type_, number * share, busy_s * share, wait_s, run_s, users, all_busy[hour]))
    limits = {(kind, name): (running, rate) for kind, name, running, rate in conn.execute(LIMITS)}
    in_all, _ = limits.get(("all", ""), (None, None))
    each_user, _ = limits.get(("each_user", ""), (None, None))
    for type_, found in hours.items():
        of_type, rate = limits.get(("type", type_), (None, None))
        for finding in (
            load.throttled(type_, found, Limits(of_type, in_all, each_user, rate)),
            load.quick_tasks(type_, found),
        ):
            if finding is not None:
                yield finding


# What waits has an index of its own; what came and has left again is not looked for: it changes both numbers alike.
WAITING = """
SELECT t.type, count(*) FILTER (WHERE t.scheduled_at <= %(now)s) AS due,
    count(*) FILTER (WHERE t.created_at >= %(since)s) AS arrived,
    min(t.scheduled_at) FILTER (WHERE t.scheduled_at <= %(now)s AND t.scheduled_at > '-infinity') AS oldest
FROM queue.tasks AS t WHERE t.state = 'queued' GROUP BY t.type
"""
SUCCEEDED = """
SELECT a.type, count(*) FILTER (WHERE a.due_at >= %(since)s), count(*) FROM queue.attempts AS a
WHERE a.finished_at >= %(since)s AND a.finished_at <= %(now)s AND a.outcome = 'succeeded' GROUP BY a.type
"""
FAILED = """
SELECT t.type, count(*) FILTER (WHERE t.created_at >= %(since)s), count(*) FROM queue.tasks AS t
WHERE t.state = 'failed' AND t.finished_at >= %(since)s GROUP BY t.type
"""
DAY = timedelta(days=1)


def of_backlogs(conn: psycopg.Connection, now: datetime) -> Iterator[Finding]:
    given = {"since": now - DAY, "now": now}
    arrived: defaultdict[str, int] = defaultdict(int)
    left: defaultdict[str, int] = defaultdict(int)
    for question in (SUCCEEDED, FAILED):
        for type_, new, every in conn.execute(question, given):
            arrived[type_] += new
            left[type_] += every
    for type_, due, new, oldest in conn.execute(WAITING, given):
        oldest_s = 0.0 if oldest is None else (now - oldest).total_seconds()
        found = load.backlog(Backlog(type_, due, arrived[type_] + new, left[type_], oldest_s, DAY.total_seconds()))
        if found is not None:
            yield found


# The next try of the same task, by the primary key.
RETRIED = """
SELECT f.type, f.error_class, count(*), count(n.outcome), count(*) FILTER (WHERE n.outcome = 'succeeded'),
    coalesce(sum(n.run_s), 0)
FROM (
    SELECT a.type, a.task_id, a.fence, coalesce(a.error_class, a.outcome) AS error_class FROM queue.attempts AS a
    WHERE a.outcome IN ('failed', 'timeout', 'crashed') AND a.finished_at >= %(since)s AND a.finished_at <= %(now)s
    ORDER BY a.finished_at DESC LIMIT %(latest)s
) AS f LEFT JOIN LATERAL (
    SELECT b.outcome, date_part('epoch', b.finished_at - b.claimed_at) AS run_s FROM queue.attempts AS b
    WHERE b.task_id = f.task_id AND b.fence > f.fence AND b.outcome NOT IN ('snoozed', 'released')
    ORDER BY b.fence LIMIT 1
) AS n ON true
GROUP BY f.type, f.error_class ORDER BY f.type, f.error_class
"""


def of_failures(conn: psycopg.Connection, since: datetime, now: datetime) -> Iterator[Finding]:
    """Retries that never help, and errors that are the same one."""
    for row in conn.execute(RETRIED, {"since": since, "now": now, "latest": LATEST_FAILURES}):
        found = failing.retry_never_helps(failing.Retried(*row))
        if found is not None:
            yield found
    yield from failing.same_errors(patterns.group(stats.failures(conn, stats.Window(since, now))), "tasks")
