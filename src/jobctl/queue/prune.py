"""Finished tasks past their time are deleted, with their tries unless these are left to the archive.

It walks the tasks in the order of their numbers, a window at a time, which the primary key gives at any size, and ends
where the windows are younger than every cutoff: what was created after a cutoff cannot have ended before it. What the
walk meets again each time is only what was kept: old tasks that wait or are blocked, and failed ones.

(The tries have a BRIN index on their end, and it does not lead here: once rows were deleted, new ones fill their pages,
and each such range claims the times of both, for a summary never shrinks. After one cycle with 300,000 tries it led to
as many rows again, of which none was old.)
"""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import psycopg

WINDOW = """
SELECT count(*) AS seen, max(w.task_id) AS last, min(w.created_at) AS oldest
FROM (SELECT t.task_id, t.created_at FROM queue.tasks AS t
    WHERE t.task_id > %(after)s ORDER BY t.task_id LIMIT %(size)s) AS w
"""
# Bounds of the window stand beside each key, or a plan for few rows of a short table would read all of it. A task that
# somebody holds is left for the next time.
PRUNE = """
WITH past AS MATERIALIZED (
    SELECT t.task_id FROM queue.tasks AS t
    WHERE t.task_id > %(after)s AND t.task_id <= %(last)s AND CASE
        WHEN t.state IN ('succeeded', 'cancelled') THEN coalesce(t.finished_at, t.updated_at) < %(finished_before)s
        WHEN t.state = 'failed' THEN coalesce(t.finished_at, t.updated_at) < %(failed_before)s
        ELSE false END
        AND (%(types)s::text[] IS NULL OR t.type = ANY (%(types)s))
    FOR UPDATE OF t SKIP LOCKED
), gone AS (
    DELETE FROM queue.tasks AS t USING past AS p
    WHERE t.task_id = p.task_id AND t.task_id > %(after)s AND t.task_id <= %(last)s
    RETURNING t.task_id
), tries AS (
    DELETE FROM queue.attempts AS a USING past AS p
    WHERE NOT %(tries_stay)s AND a.task_id = p.task_id AND a.task_id > %(after)s AND a.task_id <= %(last)s
    RETURNING a.fence
)
SELECT (SELECT count(*) FROM gone) AS tasks, (SELECT count(*) FROM tries) AS tries
"""


class Cutoffs(NamedTuple):
    """Succeeded and cancelled tasks that ended before the one, failed ones that ended before the other, are past."""

    finished_before: datetime
    failed_before: datetime


class Pruned(NamedTuple):
    """What one window held and what of it went. `last` is its last task; None when there was none."""

    tasks: int
    tries: int
    seen: int
    last: int | None
    oldest: datetime | None

    def is_last(self, cutoffs: Cutoffs, size: int) -> bool:
        return self.seen < size or self.oldest is None or self.oldest > max(cutoffs)


def prune(
    conn: psycopg.Connection,
    cutoffs: Cutoffs,
    *,
    after: int,
    size: int,
    types: Sequence[str] | None = None,
    tries_stay: bool = False,
) -> Pruned:
    """Inside the caller's transaction: delete what is past among the `size` tasks that follow `after`."""
    with conn.cursor() as cursor:
        seen, last, oldest = cursor.execute(WINDOW, {"after": after, "size": size}).fetchone() or (0, None, None)
        parameters = {**cutoffs._asdict(), "after": after, "last": last, "types": types, "tries_stay": tries_stay}
        tasks, tries = (cursor.execute(PRUNE, parameters).fetchone() if seen else None) or (0, 0)
    return Pruned(tasks, tries, seen, last, oldest)
