"""Embedding tasks that nobody needs any more: `queued` or `failed` -> `cancelled`, each with its reason.

A task is stale when its item is gone or was withdrawn, when it was made for another version of the model than the
current one, or when its item has changed and a newer task for it waits. A task whose item has changed and that has no
successor is not: it will embed the item as it then is.

core.items is read here, as by `store.enqueue_new_embeddings`, so that ids need not travel to be judged.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import psycopg
from psycopg.rows import class_row, scalar_row

STALE = "Stale"


class Place(NamedTuple):
    """How far the waiting tasks have been looked at, in the order of their subjects."""

    subject_id: int
    model_version: str


START = Place(-(2**63), "")

# In the order of the index that keeps a subject to one waiting task. What it gives is a suspicion: CANCEL judges.
WAITING = """
WITH page AS MATERIALIZED (
    SELECT t.task_id, t.subject_id, t.model_version, t.content_hash
    FROM queue.tasks AS t
    WHERE t.type = 'embed' AND t.state = 'queued' AND t.subject_id IS NOT NULL
        AND (t.subject_id, t.model_version) > (%(subject_id)s, %(model_version)s)
    ORDER BY t.subject_id, t.model_version LIMIT %(size)s
)
SELECT count(*) AS seen,
    (array_agg(p.subject_id ORDER BY p.subject_id DESC, p.model_version DESC))[1] AS subject_id,
    (array_agg(p.model_version ORDER BY p.subject_id DESC, p.model_version DESC))[1] AS model_version,
    coalesce(array_agg(p.task_id ORDER BY p.task_id) FILTER (WHERE i.item_id IS NULL OR i.withdrawn_at IS NOT NULL
        OR p.model_version <> %(current)s OR p.content_hash IS DISTINCT FROM i.content_hash), '{}') AS suspects
FROM page AS p LEFT JOIN core.items AS i ON i.item_id = p.subject_id
"""


class Page(NamedTuple):
    seen: int
    subject_id: int | None
    model_version: str | None
    suspects: list[int]

    @property
    def end(self) -> Place | None:
        """None: there was nothing more."""
        if self.subject_id is None or self.model_version is None:
            return None
        return Place(self.subject_id, self.model_version)


def waiting(conn: psycopg.Connection, *, after: Place, current: str, size: int) -> Page:
    """The next waiting tasks, and which of them may be stale where `current` is the model's version."""
    parameters = {**after._asdict(), "current": current, "size": size}
    with conn.cursor(row_factory=class_row(Page)) as cursor:
        return cursor.execute(WAITING, parameters).fetchone()  # pyright: ignore[reportReturnType]  # one row, always


# Those that would get another round, were they not stale.
FAILED = """
SELECT t.task_id
FROM queue.tasks AS t LEFT JOIN core.items AS i ON i.item_id = t.subject_id
WHERE t.type = 'embed' AND t.state = 'failed' AND t.is_recoverable AND t.finished_at >= %(since)s
    AND t.subject_id IS NOT NULL
    AND (i.item_id IS NULL OR i.withdrawn_at IS NOT NULL
        OR t.model_version <> %(current)s OR t.content_hash IS DISTINCT FROM i.content_hash)
ORDER BY t.task_id
"""


def failed(conn: psycopg.Connection, *, since: datetime, current: str) -> list[int]:
    """The failed ones that may be stale, of those that failed at `since` or later."""
    with conn.cursor(row_factory=scalar_row) as cursor:
        return cursor.execute(FAILED, {"since": since, "current": current}).fetchall()


# A request that came in meanwhile has touched its task: `updated_at` is asked again of the locked row, so that it is
# not taken for what the snapshot shows. What a claim holds at this moment is left alone.
CANCEL = """
WITH judged AS MATERIALIZED (
    SELECT t.task_id, t.updated_at, CASE
        WHEN i.item_id IS NULL THEN 'the item is gone'
        WHEN i.withdrawn_at IS NOT NULL THEN 'the item was withdrawn'
        WHEN t.model_version <> %(current)s
            THEN format('made for model %%s, and the model is %%s now', t.model_version, %(current)s::text)
        WHEN t.content_hash IS DISTINCT FROM i.content_hash AND EXISTS (
            SELECT FROM queue.tasks AS n WHERE n.type = 'embed' AND n.state = 'queued'
                AND n.subject_id = t.subject_id AND n.model_version = t.model_version AND n.task_id > t.task_id)
            THEN 'the item has changed, and a newer request waits'
        END AS reason
    FROM queue.tasks AS t LEFT JOIN core.items AS i ON i.item_id = t.subject_id
    WHERE t.task_id = ANY (%(task_ids)s) AND t.type = 'embed' AND t.state IN ('queued', 'failed')
        AND t.subject_id IS NOT NULL
), held AS MATERIALIZED (
    SELECT t.task_id, j.reason
    FROM judged AS j JOIN queue.tasks AS t ON t.task_id = j.task_id
    WHERE j.reason IS NOT NULL AND t.state IN ('queued', 'failed') AND t.updated_at = j.updated_at
    ORDER BY t.task_id
    FOR UPDATE OF t SKIP LOCKED
)
UPDATE queue.tasks AS t SET state = 'cancelled', error_class = %(stale)s, error_message = h.reason,
    finished_at = clock_timestamp(), updated_at = clock_timestamp()
FROM held AS h
WHERE t.task_id = h.task_id
RETURNING h.reason
"""


def cancel(conn: psycopg.Connection, task_ids: Sequence[int], *, current: str) -> list[str]:
    """The reason of each that was stale, and is cancelled now."""
    with conn.cursor(row_factory=scalar_row) as cursor:
        return cursor.execute(CANCEL, {"task_ids": list(task_ids), "current": current, "stale": STALE}).fetchall()
