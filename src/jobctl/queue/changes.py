"""What an operator does to tasks: cancel, block, unblock, retry, purge. Each names the state that a task leaves.

Every function takes numbers of tasks, works inside the caller's transaction and gives what became of each; one that has
another state by then, or is gone, is left alone and left out. Rows are locked in the order of their numbers.

A subject or key has one waiting task. A blocked task whose twin waits is therefore not let go but `cancelled`: the twin
does its work. A failed or cancelled one whose twin waits stays what it is.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import psycopg
from psycopg.rows import class_row

CANCELLED = "Cancelled"
SUPERSEDED = "Superseded"
FINISHED = ("succeeded", "failed", "cancelled")
RETRIED = ("failed", "cancelled")


class Changed(NamedTuple):
    """`now` is '' where the task is gone. `twin` is the waiting task that stood in the way."""

    task_id: int
    type: str
    was: str
    now: str
    twin: int | None = None


# A try that is under way when its task is cancelled was given back: it does not count, and has its row. What its worker
# brings at its end is refused by the state.
CANCEL = """
WITH held AS MATERIALIZED (
    SELECT t.task_id, t.state AS was, t.fence, t.type, t.user_id, t.attempts, t.worker, t.worker_run_id, t.scheduled_at,
        t.claimed_at, t.handler_version
    FROM queue.tasks AS t
    WHERE t.task_id = ANY (%(task_ids)s) AND t.state IN ('queued', 'blocked', 'running')
    ORDER BY t.task_id FOR UPDATE
), tries AS (
    INSERT INTO queue.attempts (task_id, fence, type, user_id, attempt, host, worker, run_id, due_at, claimed_at,
        finished_at, outcome, error_class, error_message, handler_version)
    SELECT h.task_id, h.fence, h.type, h.user_id, h.attempts, split_part(h.worker, '/', 1), h.worker, h.worker_run_id,
        greatest(h.scheduled_at, 'epoch'), h.claimed_at, clock_timestamp(), 'released', %(error_class)s, %(message)s,
        h.handler_version
    FROM held AS h WHERE h.was = 'running'
)
UPDATE queue.tasks AS t
SET state = 'cancelled', attempts = t.attempts - (h.was = 'running')::integer, lease_until = NULL,
    error_class = %(error_class)s, error_message = %(message)s, is_recoverable = NULL,
    finished_at = clock_timestamp(), updated_at = clock_timestamp()
FROM held AS h
WHERE t.task_id = h.task_id AND t.state IN ('queued', 'blocked', 'running')
RETURNING t.task_id, t.type, h.was, t.state AS now
"""


def cancel(conn: psycopg.Connection, task_ids: Sequence[int], *, message: str) -> list[Changed]:
    """Waiting, blocked and running tasks; `message` says who did it, and why."""
    return _changed(conn, CANCEL, {"task_ids": list(task_ids), "message": message, "error_class": CANCELLED})


BLOCK = """
WITH held AS MATERIALIZED (
    SELECT t.task_id FROM queue.tasks AS t
    WHERE t.task_id = ANY (%(task_ids)s) AND t.state = 'queued' ORDER BY t.task_id FOR UPDATE
)
UPDATE queue.tasks AS t SET state = 'blocked', updated_at = clock_timestamp()
FROM held AS h WHERE t.task_id = h.task_id AND t.state = 'queued'
RETURNING t.task_id, t.type, 'queued' AS was, t.state AS now
"""


def block(conn: psycopg.Connection, task_ids: Sequence[int]) -> list[Changed]:
    return _changed(conn, BLOCK, {"task_ids": list(task_ids)})


UNBLOCK = """
UPDATE queue.tasks AS t SET state = 'queued', updated_at = clock_timestamp()
WHERE t.task_id = ANY (%(task_ids)s) AND t.state = 'blocked'
RETURNING t.task_id, t.type, 'blocked' AS was, t.state AS now
"""
SUPERSEDE = """
UPDATE queue.tasks AS t
SET state = 'cancelled', error_class = %(error_class)s, is_recoverable = NULL,
    error_message = 'task ' || g.twin || ' waits for the same',
    finished_at = clock_timestamp(), updated_at = clock_timestamp()
FROM unnest(%(task_ids)s::bigint[], %(twins)s::bigint[]) AS g (task_id, twin)
WHERE t.task_id = g.task_id AND t.state = 'blocked'
RETURNING t.task_id, t.type, 'blocked' AS was, t.state AS now, g.twin
"""


def unblock(conn: psycopg.Connection, task_ids: Sequence[int]) -> list[Changed]:
    """Of several blocked for the same subject or key the newest waits again, unless a task waits already.

    Raises UniqueViolation when a twin was enqueued at this moment: roll back and call again."""
    twins = _twins(conn, task_ids, ("blocked",))
    free = [task_id for task_id, twin in twins.items() if twin is None]
    taken = {task_id: twin for task_id, twin in twins.items() if twin is not None}
    done = _changed(conn, UNBLOCK, {"task_ids": free}) if free else []
    if taken:
        done += _changed(
            conn,
            SUPERSEDE,
            {"task_ids": list(taken), "twins": list(taken.values()), "error_class": SUPERSEDED},
        )
    return done


# What counted is kept apart when it is forgiven, so that the counters still add up with the rows of the tries.
RETRY = """
WITH held AS MATERIALIZED (
    SELECT t.task_id, t.state AS was FROM queue.tasks AS t
    WHERE t.task_id = ANY (%(task_ids)s) AND t.state IN ('failed', 'cancelled')
)
UPDATE queue.tasks AS t
SET state = 'queued', scheduled_at = statement_timestamp(), finished_at = NULL, lease_until = NULL,
    updated_at = clock_timestamp(),
    error_class = CASE WHEN h.was = 'failed' THEN t.error_class END,
    error_message = CASE WHEN h.was = 'failed' THEN t.error_message END,
    attempts = CASE WHEN %(reset_attempts)s THEN 0 ELSE t.attempts END,
    crashes = CASE WHEN %(reset_attempts)s THEN 0 ELSE t.crashes END,
    forgiven_attempts = t.forgiven_attempts + CASE WHEN %(reset_attempts)s THEN t.attempts ELSE 0 END,
    forgiven_crashes = t.forgiven_crashes + CASE WHEN %(reset_attempts)s THEN t.crashes ELSE 0 END
FROM held AS h
WHERE t.task_id = h.task_id AND t.state IN ('failed', 'cancelled')
RETURNING t.task_id, t.type, h.was, t.state AS now
"""


def retry(conn: psycopg.Connection, task_ids: Sequence[int], *, reset_attempts: bool = False) -> list[Changed]:
    """Failed and cancelled tasks wait again, from now on. One whose twin waits is given back as it was, with the twin.

    Without `reset_attempts` a task that has spent its tries gets one more. Raises UniqueViolation as `unblock` does."""
    twins = _twins(conn, task_ids, RETRIED)
    free = [task_id for task_id, twin in twins.items() if twin is None]
    done = _changed(conn, RETRY, {"task_ids": free, "reset_attempts": reset_attempts}) if free else []
    in_the_way = [twin for twin in twins.values() if twin is not None]
    if in_the_way:
        known = {row.task_id: row for row in _changed(conn, STANDING, {"task_ids": list(twins)})}
        done += [known[task_id]._replace(twin=twin) for task_id, twin in twins.items() if twin is not None]
    return done


STANDING = """
SELECT t.task_id, t.type, t.state AS was, t.state AS now FROM queue.tasks AS t WHERE t.task_id = ANY (%(task_ids)s)
"""

HURRY = """
UPDATE queue.tasks AS t SET scheduled_at = statement_timestamp(), updated_at = clock_timestamp()
WHERE t.task_id = ANY (%(task_ids)s) AND t.state = 'queued' AND t.scheduled_at > statement_timestamp()
RETURNING t.task_id, t.type, 'queued' AS was, t.state AS now
"""


def hurry(conn: psycopg.Connection, task_ids: Sequence[int]) -> list[Changed]:
    """Waiting tasks that were scheduled for later, or pause after an error, are due now."""
    return _changed(conn, HURRY, {"task_ids": list(task_ids)})


PURGE = """
WITH held AS MATERIALIZED (
    SELECT t.task_id FROM queue.tasks AS t
    WHERE t.task_id = ANY (%(task_ids)s) AND t.state IN ('succeeded', 'failed', 'cancelled')
    ORDER BY t.task_id FOR UPDATE
), tries AS (
    DELETE FROM queue.attempts AS a USING held AS h WHERE a.task_id = h.task_id
)
DELETE FROM queue.tasks AS t USING held AS h
WHERE t.task_id = h.task_id AND t.state IN ('succeeded', 'failed', 'cancelled')
RETURNING t.task_id, t.type, t.state AS was, '' AS now
"""


def purge(conn: psycopg.Connection, task_ids: Sequence[int]) -> list[Changed]:
    """Finished tasks go, with the rows of their tries."""
    return _changed(conn, PURGE, {"task_ids": list(task_ids)})


def states(conn: psycopg.Connection, task_ids: Iterable[int]) -> Mapping[int, str]:
    """Those that are not there are left out."""
    return {row.task_id: row.was for row in _changed(conn, STANDING, {"task_ids": list(task_ids)})}


class _Held(NamedTuple):
    task_id: int
    of_subject: tuple[str, int, str] | None
    of_key: tuple[str, str] | None


LOCK = """
SELECT t.task_id, t.type, t.subject_id, t.model_version, t.dedupe_key FROM queue.tasks AS t
WHERE t.task_id = ANY (%(task_ids)s) AND t.state = ANY (%(states)s) ORDER BY t.task_id FOR UPDATE
"""
# A statement of its own: its snapshot is younger than the locks.
WAITING = """
SELECT t.task_id, least(s.task_id, k.task_id) FROM queue.tasks AS t
LEFT JOIN queue.tasks AS s ON s.state = 'queued' AND s.type = t.type AND s.subject_id = t.subject_id
    AND s.model_version = t.model_version
LEFT JOIN queue.tasks AS k ON k.state = 'queued' AND k.type = t.type AND k.dedupe_key = t.dedupe_key
WHERE t.task_id = ANY (%(task_ids)s) AND (s.task_id IS NOT NULL OR k.task_id IS NOT NULL)
"""


def _twins(conn: psycopg.Connection, task_ids: Sequence[int], states: Sequence[str]) -> dict[int, int | None]:
    """Lock those that have one of the states; for each the task that waits, or of these is to wait, in its place."""
    held = [
        _Held(task_id, None if subject is None else (type_, subject, model), None if key is None else (type_, key))
        for task_id, type_, subject, model, key in conn.execute(
            LOCK, {"task_ids": list(task_ids), "states": list(states)}
        )
    ]
    waiting: dict[int, int] = dict(conn.execute(WAITING, {"task_ids": [each.task_id for each in held]}).fetchall())
    chosen: dict[object, int] = {}
    twins: dict[int, int | None] = {}
    for each in reversed(held):
        names = [name for name in (each.of_subject, each.of_key) if name is not None]
        twin = waiting.get(each.task_id) or next((chosen[name] for name in names if name in chosen), None)
        twins[each.task_id] = twin
        if twin is None:
            chosen.update(dict.fromkeys(names, each.task_id))
    return twins


def _changed(conn: psycopg.Connection, statement: str, parameters: Mapping[str, object]) -> list[Changed]:
    with conn.cursor(row_factory=class_row(Changed)) as cursor:
        return cursor.execute(statement.encode(), parameters).fetchall()
