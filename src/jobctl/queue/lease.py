"""Holding on to claimed tasks: the lease, and the proof of it inside a handler's own transaction."""

from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from jobctl.errors import JobctlError
from jobctl.queue import arrays
from jobctl.queue.task import Task


class TaskLost(JobctlError):
    """The task was given to another worker, cancelled, or its lease is over: nothing of this try counts any more."""


# A lease that is over is taken up again as long as nobody has given the task away. A row that somebody has locked keeps
# its lease and holds up no other: it is just being ended or rescued, or an operator's transaction is open over it.
EXTEND = """
WITH held AS MATERIALIZED (
    SELECT t.task_id, t.fence, t.claimed_at
    FROM unnest(
        %(task_ids)s::text::bigint[], %(fences)s::text::bigint[], %(claimed_at)s::text::timestamptz[]
    ) AS e (task_id, fence, claimed_at)
    JOIN queue.tasks AS t ON t.task_id = e.task_id AND t.fence = e.fence AND t.claimed_at = e.claimed_at
    WHERE t.state = 'running'
),
free AS MATERIALIZED (
    SELECT t.task_id FROM held AS e
    JOIN queue.tasks AS t ON t.task_id = e.task_id AND t.fence = e.fence AND t.claimed_at = e.claimed_at
    WHERE t.state = 'running'
    FOR NO KEY UPDATE OF t SKIP LOCKED
),
extended AS (
    UPDATE queue.tasks AS t SET lease_until = statement_timestamp() + make_interval(secs => %(lease_s)s)
    FROM free AS f WHERE t.task_id = f.task_id
)
SELECT h.task_id FROM held AS h
"""


def extend(conn: psycopg.Connection, tasks: Sequence[Task], *, lease_s: float) -> list[int]:
    """Gives the tasks that are lost: given away, or cancelled."""
    if not tasks:
        return []
    rows = conn.execute(EXTEND, arrays.of_tries(tasks) | {"lease_s": lease_s}, prepare=True)
    return _missing(tasks, {task_id for (task_id,) in rows})


# The lock lets the heartbeat extend the lease, and keeps rescuers and whoever cancels away (all of them, the operators'
# view included, lock FOR UPDATE), until the transaction has ended. A stronger one would hold up the beats, too: after a
# transaction longer than the lease its end would be refused, and the task done again.
CHECK_HELD = """
SELECT t.task_id
FROM unnest(
    %(task_ids)s::text::bigint[], %(fences)s::text::bigint[], %(claimed_at)s::text::timestamptz[]
) AS e (task_id, fence, claimed_at)
JOIN queue.tasks AS t ON t.task_id = e.task_id AND t.fence = e.fence AND t.claimed_at = e.claimed_at
WHERE t.state = 'running' AND t.lease_until > statement_timestamp()
FOR KEY SHARE OF t
"""


def check_held(conn: psycopg.Connection, tasks: Sequence[Task]) -> None:
    """Inside a transaction: until it ends nobody gives these tasks away. Raises TaskLost if one of them is lost."""
    rows = conn.execute(CHECK_HELD, arrays.of_tries(tasks))
    lost = _missing(tasks, {task_id for (task_id,) in rows})
    if lost:
        raise _lost(lost)


SAVE_CHECKPOINT = """
UPDATE queue.tasks AS t SET checkpoint = %(checkpoint)s
WHERE t.task_id = %(task_id)s AND t.fence = %(fence)s AND t.claimed_at = %(claimed_at)s AND t.state = 'running'
    AND t.lease_until > statement_timestamp()
"""


def save_checkpoint(conn: psycopg.Connection, task: Task, value: Any) -> None:
    """Raises TaskLost if the task is lost."""
    held = {"task_id": task.task_id, "fence": task.fence, "claimed_at": task.claimed_at}
    if conn.execute(SAVE_CHECKPOINT, held | {"checkpoint": Jsonb(value)}).rowcount != 1:
        raise _lost([task.task_id])


def _missing(tasks: Sequence[Task], found: set[int]) -> list[int]:
    return [task.task_id for task in tasks if task.task_id not in found]


def _lost(task_ids: Sequence[int]) -> TaskLost:
    which = ", ".join(map(str, task_ids[:10])) + (", ..." if len(task_ids) > 10 else "")
    return TaskLost(
        f"no longer held: {'task' if len(task_ids) == 1 else 'tasks'} {which}",
        hint="jobctl queue why ID says what happened",
    )
