"""Embedding tasks that wait for a model version nobody wants any more: `queued` -> `cancelled`, with the reason."""

import psycopg

# What a claim holds at this moment is left alone: it is put off by its handler, and cancelled the next time.
CANCEL = """
WITH held AS MATERIALIZED (
    SELECT t.task_id FROM queue.tasks AS t
    WHERE t.type = 'embed' AND t.state = 'queued' AND t.model_version <> %(model_version)s
        AND (%(branch_id)s::integer IS NULL OR EXISTS (
            SELECT FROM core.items AS i WHERE i.item_id = t.subject_id AND i.branch_id = %(branch_id)s))
    ORDER BY t.task_id LIMIT %(limit)s::bigint FOR UPDATE OF t SKIP LOCKED
)
UPDATE queue.tasks AS t SET state = 'cancelled', error_class = 'Stale', finished_at = clock_timestamp(),
    updated_at = clock_timestamp(),
    error_message = format('made for model %%s, and the model is %%s now', t.model_version, %(model_version)s::text)
FROM held AS h WHERE t.task_id = h.task_id
"""


def cancel(conn: psycopg.Connection, *, model_version: str, branch_id: int | None, limit: int | None) -> int:
    """Up to `limit` of those that are for another version than this one; fewer: that was all. None: all at once."""
    parameters = {"model_version": model_version, "branch_id": branch_id, "limit": limit}
    return conn.execute(CANCEL, parameters).rowcount
