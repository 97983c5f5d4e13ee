"""What is left in the queue: for a worker that asks whether it may go, and what it could not do."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

import psycopg

from jobctl.queue import arrays
from jobctl.queue.task import Task

ANYTHING = """
SELECT EXISTS (SELECT FROM queue.tasks AS t WHERE t.state = 'running' AND t.type = ANY (%(types)s::text::text[]))
    OR EXISTS (SELECT FROM queue.tasks AS t WHERE t.state = 'queued' AND t.type = ANY (%(types)s::text::text[]))
"""


def is_anything_left(conn: psycopg.Connection, types: Sequence[str]) -> bool:
    """Whether tasks of these types wait, for whatever moment, or run anywhere."""
    row = conn.execute(ANYTHING, {"types": arrays.of_texts(list(types))}).fetchone()
    return row is not None and row[0]


# Only a rate makes a type's tasks wait for the clock alone.
PACED = """
SELECT EXISTS (
    SELECT FROM queue.limits AS l
    WHERE l.kind = 'type' AND l.rate_per_minute IS NOT NULL AND coalesce(l.running, 1) > 0
        AND l.next_start_at > statement_timestamp() AND l.name = ANY (%(types)s::text::text[])
        AND EXISTS (
            SELECT FROM queue.tasks AS t
            WHERE t.state = 'queued' AND t.type = l.name AND t.scheduled_at <= statement_timestamp()
                AND t.user_id NOT IN (SELECT u.name FROM queue.limits AS u WHERE u.kind = 'user' AND u.running = 0)
        )
)
"""


def is_paced(conn: psycopg.Connection, types: Sequence[str]) -> bool:
    """Whether tasks of these types are due and wait for nothing but their type's rate."""
    row = conn.execute(PACED, {"types": arrays.of_texts(types)}).fetchone()
    return row is not None and row[0]


WITHOUT_HANDLER = """
SELECT t.type, count(*) FROM queue.tasks AS t
WHERE t.state = 'queued' AND t.scheduled_at <= statement_timestamp() AND t.type <> ALL (%(types)s::text::text[])
GROUP BY t.type ORDER BY t.type LIMIT 20
"""


def due_of_other_types(conn: psycopg.Connection, types: Sequence[str]) -> Mapping[str, int]:
    """How many tasks are due whose type is none of these."""
    return dict(conn.execute(WITHOUT_HANDLER, {"types": arrays.of_texts(list(types))}).fetchall())


# A user or type whose limit is 0 is closed.
DUE = """
SELECT t.type, count(*) FROM queue.tasks AS t
WHERE t.state = 'queued' AND t.scheduled_at <= statement_timestamp() AND t.type = ANY (%(types)s::text::text[])
    AND t.type NOT IN (SELECT l.name FROM queue.limits AS l WHERE l.kind = 'type' AND l.running = 0)
    AND t.user_id NOT IN (SELECT l.name FROM queue.limits AS l WHERE l.kind = 'user' AND l.running = 0)
GROUP BY t.type
"""


def due(conn: psycopg.Connection, types: Sequence[str]) -> Mapping[str, int]:
    """How many tasks of each of these types are due and may be claimed sooner or later."""
    return dict(conn.execute(DUE, {"types": arrays.of_texts(list(types))}).fetchall())


# Not "what it does not hold": a try whose end was refused it holds no more, and has carried out all the same. To take
# that up again would have its effect twice under one fence.
CLAIMED_AFTER = """
SELECT t.task_id, t.type, t.fence, t.user_id, t.organization_id, t.site_url, coalesce(t.payload, '{}'), t.subject_id,
    t.dedupe_key, t.model_version, t.content_hash, t.attempts, t.crashes, t.checkpoint,
    greatest(t.scheduled_at, 'epoch'), t.claimed_at
FROM queue.tasks AS t
WHERE t.state = 'running' AND t.worker_run_id = %(run_id)s AND t.claimed_at > %(after)s
"""


def claimed_unawares(conn: psycopg.Connection, run_id: UUID, *, after: datetime) -> list[Task]:
    """Tasks that this run has claimed and does not know of: the answer to a claim's COMMIT was lost. `after` is the
    moment of its last claim that was answered."""
    return [Task(*row) for row in conn.execute(CLAIMED_AFTER, {"run_id": run_id, "after": after})]
