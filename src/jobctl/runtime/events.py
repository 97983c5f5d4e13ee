"""Store of ops.sync_events: what a run did or met, line by line."""

from collections.abc import Mapping
from datetime import timedelta

import psycopg
from psycopg.types.json import Jsonb

from jobctl.runtime.identity import Identity

INSERT_EVENT = """
INSERT INTO ops.sync_events (run_id, scope, job, level, event, fields)
SELECT %(run_id)s, %(scope)s, %(job)s, %(level)s, %(event)s, %(fields)s
WHERE EXISTS (SELECT FROM ops.locks WHERE lock_key = %(lock_key)s AND fence = %(fence)s)
"""


def add(
    conn: psycopg.Connection,
    identity: Identity,
    scope: str,
    level: str,
    event: str,
    fields: Mapping[str, object],
    *,
    lock_key: int,
    fence: int,
) -> None:
    """Zero rows for a run that was deposed: its events are its log's affair."""
    conn.execute(
        INSERT_EVENT,
        {
            "run_id": identity.run_id,
            "scope": scope,
            "job": identity.job,
            "level": level,
            "event": event,
            "fields": Jsonb(dict(fields)),
            "lock_key": lock_key,
            "fence": fence,
        },
    )


PRUNE_EVENTS = """
DELETE FROM ops.sync_events WHERE event_id IN (
    SELECT event_id FROM ops.sync_events WHERE job = %(job)s AND at < clock_timestamp() - %(older_than)s
    ORDER BY event_id LIMIT %(limit)s)
"""


def prune(conn: psycopg.Connection, job: str, *, older_than: timedelta, limit: int) -> int:
    return conn.execute(PRUNE_EVENTS, {"job": job, "older_than": older_than, "limit": limit}).rowcount
