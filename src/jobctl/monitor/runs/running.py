"""Store of what runs now: rows that say so, each with the truth about it (`states`).

The lock is looked up in pg_locks, which the role that only reads may do as well. The rows come from one moment and the
locks from a later one: a run that ends between the two has committed its end before it gave its lock back, so it would
look dead. Whoever looks dead is therefore looked at twice, the second time with a fresh snapshot; that needs READ
COMMITTED, which is the server's default.
"""

import psycopg
from psycopg.rows import class_row

from jobctl.monitor.runs.facts import Unfinished

# A server that restarted gives its process numbers out anew, so a lock counts only for the newest fence drawn under it.
UNFINISHED = """
WITH held AS MATERIALIZED (
    SELECT (l.classid::bigint << 32) | l.objid::bigint AS lock_key, l.pid
    FROM pg_catalog.pg_locks AS l
    WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
      AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
)
SELECT h.run_id, h.scope, h.job, h.correlation_id, h.status, h.host, h.os_user, h.supervisor_pid, h.worker_pid,
    h.guard_backend_pid, h.version, h.command, h.slot_at, h.started_at, h.heartbeat_at,
    greatest(0, extract(epoch FROM clock_timestamp() - h.started_at))::float8 AS elapsed_s,
    greatest(0, extract(epoch FROM clock_timestamp() - h.heartbeat_at))::float8 AS silent_s, h.lease_s,
    EXISTS (SELECT FROM held AS l WHERE l.lock_key = h.lock_key AND l.pid = h.guard_backend_pid)
        AND h.fence >= coalesce(k.fence, h.fence) AS is_lock_held,
    c.counts AS progress, c.updated_at AS progress_at
FROM ops.job_history AS h
LEFT JOIN ops.locks AS k ON k.lock_key = h.lock_key
LEFT JOIN ops.checkpoints AS c ON c.job = h.job AND c.scope = h.scope AND c.run_id = h.run_id
WHERE h.status IN ('pending', 'running')
ORDER BY h.started_at, h.job, h.scope
"""


def unfinished(conn: psycopg.Connection) -> list[Unfinished]:
    """Every one, the oldest first; they are as many as there are runs at once, and dead ones that nobody found yet."""
    first = _ask(conn)
    if all(each.is_lock_held for each in first):
        return first
    dead = {(each.run_id, each.scope) for each in first if not each.is_lock_held}
    return [
        each if each.is_lock_held or (each.run_id, each.scope) in dead else each._replace(is_lock_held=True)
        for each in _ask(conn)
    ]


def _ask(conn: psycopg.Connection) -> list[Unfinished]:
    with conn.cursor(row_factory=class_row(Unfinished)) as cursor:
        return cursor.execute(UNFINISHED).fetchall()
