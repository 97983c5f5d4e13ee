"""Ending tries: the task's next state and the row of the try, for many at once and in one statement.

Only who holds a task can end its try: state, fence, moment of the claim and lease are conditions of the write. What was
given away, cancelled or held past its lease is refused and named; a worker never insists.

A task that goes back to the queue while a newer request for the same thing waits there is superseded by it. A request
that comes in at the very same moment makes the statement fail as a whole, and each ending is then written by itself.
"""

import json
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from importlib.resources import files

import psycopg
from psycopg.errors import LockNotAvailable, UniqueViolation
from psycopg.pq import TransactionStatus

from jobctl.queue import arrays
from jobctl.queue.task import Ending

END = (files("jobctl.queue") / "end_tries.sql").read_bytes()

# The usual case, all succeeded: nothing goes back to the queue, so nothing can be in its way.
SUCCEED = """
WITH ended AS (
    UPDATE queue.tasks AS t
    SET state = 'succeeded', lease_until = NULL, finished_at = statement_timestamp(),
        updated_at = statement_timestamp(), error_class = NULL, error_message = NULL, is_recoverable = NULL,
        checkpoint = NULL, handler_version = e.handler_version
    FROM unnest(
        %(task_ids)s::text::bigint[], %(fences)s::text::bigint[], %(claimed_at)s::text::timestamptz[],
        %(handler_versions)s::text::text[], %(memory_bytes)s::text::bigint[], %(results)s::text::text[]
    ) AS e (task_id, fence, claimed_at, handler_version, memory_bytes, result)
    WHERE t.task_id = e.task_id AND t.fence = e.fence AND t.claimed_at = e.claimed_at AND t.state = 'running'
        AND t.lease_until > statement_timestamp()
    RETURNING t.task_id, t.fence, t.type, t.user_id, t.attempts, t.worker, t.worker_run_id, t.scheduled_at,
        t.claimed_at, t.finished_at, t.handler_version, e.memory_bytes, e.result
)
INSERT INTO queue.attempts (task_id, fence, type, user_id, attempt, host, worker, run_id, due_at, claimed_at,
    finished_at, outcome, handler_version, memory_bytes, result)
SELECT e.task_id, e.fence, e.type, e.user_id, e.attempts, split_part(e.worker, '/', 1), e.worker, e.worker_run_id,
    greatest(e.scheduled_at, 'epoch'), e.claimed_at, e.finished_at, 'succeeded', e.handler_version, e.memory_bytes,
    e.result::jsonb
FROM ended AS e
RETURNING task_id
"""

SUPERSEDED = {"error_class": "Superseded", "error_message": "superseded by a newer request that waits"}


def complete(conn: psycopg.Connection, endings: Sequence[Ending]) -> list[int]:
    """Gives the tasks whose ending was refused, since they are no longer held; their tries are somebody else's to end.

    In no transaction, what was written is committed on return. Inside the caller's it is part of that."""
    if not endings:
        return []
    if all(_is_plain_success(ending) for ending in endings):
        rows = conn.execute(SUCCEED, _held(endings) | _told(endings), prepare=True)
        return _refused(endings, rows)
    try:
        return _end(conn, endings)
    except (UniqueViolation, LockNotAvailable):
        return [task_id for ending in endings for task_id in _end_one(conn, ending)]


def _is_plain_success(ending: Ending) -> bool:
    return ending.outcome == "succeeded" and ending.state == "succeeded"


def _end(conn: psycopg.Connection, endings: Sequence[Ending]) -> list[int]:
    with _savepoint(conn):
        rows = conn.execute(
            END,
            _held(endings)
            | _told(endings)
            | {
                "outcomes": arrays.of_texts([ending.outcome for ending in endings]),
                "states": arrays.of_texts([ending.state for ending in endings]),
                "scheduled_at": arrays.of_texts(
                    [ending.scheduled_at.isoformat() if ending.scheduled_at else None for ending in endings]
                ),
                "error_classes": arrays.of_texts([ending.error_class for ending in endings]),
                "error_messages": arrays.of_texts([ending.error_message for ending in endings]),
                "are_recoverable": arrays.of_texts(
                    [None if ending.is_recoverable is None else str(ending.is_recoverable) for ending in endings]
                ),
            },
        ).fetchall()
    return _refused(endings, rows)


def _end_one(conn: psycopg.Connection, ending: Ending) -> list[int]:
    """A task that somebody holds for so long is refused: its lease decides what becomes of it."""
    try:
        return _end(conn, [ending])
    except LockNotAvailable:
        return [ending.task.task_id]
    except UniqueViolation:
        return _end(conn, [ending._replace(state="cancelled", **SUPERSEDED)])


def _savepoint(conn: psycopg.Connection) -> AbstractContextManager[object]:
    """So that a statement that failed leaves the caller's transaction usable; by itself it leaves nothing."""
    return nullcontext() if conn.info.transaction_status is TransactionStatus.IDLE else conn.transaction()


def _held(endings: Sequence[Ending]) -> dict[str, str]:
    return arrays.of_tries([ending.task for ending in endings])


def _told(endings: Sequence[Ending]) -> dict[str, str]:
    return {
        "handler_versions": arrays.of_texts([ending.handler_version for ending in endings]),
        "memory_bytes": arrays.of_numbers([ending.memory_bytes for ending in endings]),
        "results": arrays.of_texts([_json(ending) for ending in endings]),
    }


def _json(ending: Ending) -> str | None:
    return None if ending.result is None else json.dumps(ending.result)


def _refused(endings: Sequence[Ending], ended: Iterable[tuple[int]]) -> list[int]:
    done = {task_id for (task_id,) in ended}
    return [ending.task.task_id for ending in endings if ending.task.task_id not in done]
