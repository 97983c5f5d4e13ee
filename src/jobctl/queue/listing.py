"""Tasks and their tries as an operator looks at them: read from queue.tasks and queue.attempts, nothing locked."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import psycopg
from psycopg.rows import class_row, scalar_row

from jobctl.queue.enqueue import Request

STATES = ("queued", "running", "succeeded", "failed", "blocked", "cancelled")


class Listed(NamedTuple):
    """A task on a list; of the error only its beginning."""

    task_id: int
    type: str
    state: str
    user_id: str
    organization_id: str | None
    site_url: str | None
    subject_id: int | None
    dedupe_key: str | None
    priority: int
    attempts: int
    crashes: int
    scheduled_at: datetime
    created_at: datetime
    updated_at: datetime
    finished_at: datetime | None
    worker: str | None
    error_class: str | None
    error_message: str | None


class Shown(NamedTuple):
    """All that is kept of a task. What an operator forgave stands apart from what still counts."""

    task_id: int
    type: str
    state: str
    user_id: str
    organization_id: str | None
    site_url: str | None
    subject_id: int | None
    dedupe_key: str | None
    model_version: str
    content_hash: UUID | None
    payload: Any
    checkpoint: Any
    priority: int
    attempts: int
    crashes: int
    forgiven_attempts: int
    forgiven_crashes: int
    scheduled_at: datetime
    created_at: datetime
    updated_at: datetime
    finished_at: datetime | None
    run_id: UUID | None
    fence: int
    claimed_at: datetime | None
    lease_until: datetime | None
    worker: str | None
    worker_run_id: UUID | None
    error_class: str | None
    error_message: str | None
    is_recoverable: bool | None
    handler_version: str | None


class Attempt(NamedTuple):
    """A try that has ended."""

    attempt: int
    fence: int
    outcome: str
    host: str
    worker: str
    run_id: UUID | None
    due_at: datetime
    claimed_at: datetime
    finished_at: datetime
    error_class: str | None
    error_message: str | None
    is_recoverable: bool | None
    handler_version: str | None
    memory_bytes: int | None
    result: Any


LIST = """
SELECT t.task_id, t.type, t.state, t.user_id, t.organization_id, t.site_url, t.subject_id, t.dedupe_key, t.priority,
    t.attempts, t.crashes, greatest(t.scheduled_at, 'epoch') AS scheduled_at, t.created_at, t.updated_at, t.finished_at,
    t.worker, t.error_class, left(t.error_message, 500) AS error_message
FROM queue.tasks AS t
WHERE (%(types)s::text[] IS NULL OR t.type = ANY (%(types)s))
  AND (%(states)s::text[] IS NULL OR t.state = ANY (%(states)s))
  AND (%(user_id)s::text IS NULL OR t.user_id = %(user_id)s)
  AND (%(since)s::timestamptz IS NULL OR t.updated_at >= %(since)s)
  AND (%(after)s::bigint IS NULL OR t.task_id < %(after)s)
ORDER BY t.task_id DESC
LIMIT %(limit)s
"""


def page(
    conn: psycopg.Connection,
    *,
    types: Sequence[str] | None = None,
    states: Sequence[str] | None = None,
    user_id: str | None = None,
    since: datetime | None = None,
    after: int | None = None,
    limit: int,
) -> list[Listed]:
    """The newest first. `since` is about the last change; `after` is the last task of the page before."""
    parameters = {
        "types": list(types) if types else None,
        "states": list(states) if states else None,
        "user_id": user_id,
        "since": since,
        "after": after,
        "limit": limit,
    }
    with conn.cursor(row_factory=class_row(Listed)) as cursor:
        return cursor.execute(LIST, parameters).fetchall()


SHOW = """
SELECT t.task_id, t.type, t.state, t.user_id, t.organization_id, t.site_url, t.subject_id, t.dedupe_key,
    t.model_version, t.content_hash, t.payload, t.checkpoint, t.priority, t.attempts, t.crashes, t.forgiven_attempts,
    t.forgiven_crashes, greatest(t.scheduled_at, 'epoch') AS scheduled_at, t.created_at, t.updated_at, t.finished_at,
    t.run_id, t.fence, t.claimed_at, t.lease_until, t.worker, t.worker_run_id, t.error_class, t.error_message,
    t.is_recoverable, t.handler_version
FROM queue.tasks AS t WHERE t.task_id = %(task_id)s
"""


def show(conn: psycopg.Connection, task_id: int) -> Shown | None:
    with conn.cursor(row_factory=class_row(Shown)) as cursor:
        return cursor.execute(SHOW, {"task_id": task_id}).fetchone()


ATTEMPTS = """
SELECT a.attempt, a.fence, a.outcome, a.host, a.worker, a.run_id, a.due_at, a.claimed_at, a.finished_at, a.error_class,
    a.error_message, a.is_recoverable, a.handler_version, a.memory_bytes, a.result
FROM queue.attempts AS a WHERE a.task_id = %(task_id)s
ORDER BY a.fence DESC LIMIT %(limit)s
"""


def attempts(conn: psycopg.Connection, task_id: int, *, limit: int) -> list[Attempt]:
    """The latest tries, the latest first."""
    with conn.cursor(row_factory=class_row(Attempt)) as cursor:
        return cursor.execute(ATTEMPTS, {"task_id": task_id, "limit": limit}).fetchall()


WAITING = """
SELECT task_id FROM queue.tasks WHERE state = 'queued' AND type = %(type)s AND dedupe_key = %(dedupe_key)s
"""
JUST_INSERTED = "SELECT currval(pg_get_serial_sequence('queue.tasks', 'task_id'))"


def just_enqueued(conn: psycopg.Connection, request: Request, *, is_new: bool) -> int | None:
    """The one task that was enqueued a moment ago in this transaction, or the one that took its content."""
    with conn.cursor(row_factory=scalar_row) as cursor:
        if request.dedupe_key is not None:
            parameters = {"type": request.type, "dedupe_key": request.dedupe_key}
            return cursor.execute(WAITING, parameters).fetchone()
        return cursor.execute(JUST_INSERTED).fetchone() if is_new else None
