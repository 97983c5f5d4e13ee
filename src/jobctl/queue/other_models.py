"""Embedding tasks that wait for another model version than the wanted one, of all items or those of one branch."""

import psycopg
from psycopg.rows import scalar_row

WAITING = """
SELECT t.task_id FROM queue.tasks AS t
WHERE t.type = 'embed' AND t.state = 'queued' AND t.model_version <> %(model_version)s AND t.task_id > %(after)s
    AND (%(branch_id)s::integer IS NULL OR EXISTS (
        SELECT FROM core.items AS i WHERE i.item_id = t.subject_id AND i.branch_id = %(branch_id)s))
ORDER BY t.task_id LIMIT %(size)s
"""


def waiting(conn: psycopg.Connection, *, model_version: str, branch_id: int | None, after: int, size: int) -> list[int]:
    """The next `size` of them after a task; whether each may be cancelled, `stale.cancel` judges."""
    parameters = {"model_version": model_version, "branch_id": branch_id, "after": after, "size": size}
    with conn.cursor(row_factory=scalar_row) as cursor:
        return cursor.execute(WAITING, parameters).fetchall()
