"""Store of queue.tasks, as far as other jobs need it: leaving work behind, in their own transaction.

A subject has at most one waiting task of a type and model version. A newer request supersedes it in place: the waiting
task then speaks of the newer content, and keeps its turn.
"""

from collections.abc import Iterable, Sequence
from uuid import UUID

import psycopg

# The hash is the item's own, written a moment ago by this transaction: it does not travel a second time.
ENQUEUE_NEW = """
INSERT INTO queue.tasks (type, subject_id, model_version, content_hash, run_id)
SELECT 'embed', i.item_id, %(model_version)s, i.content_hash, i.run_id
FROM core.items AS i
WHERE i.item_id = ANY(%(item_ids)s::bigint[])
ORDER BY i.item_id
"""


def enqueue_new_embeddings(conn: psycopg.Connection, item_ids: Iterable[str], *, model_version: str) -> int:
    """Tasks of items that did not exist before: none of them can be waiting yet."""
    array = "{" + ",".join(item_ids) + "}"
    return conn.execute(ENQUEUE_NEW, {"item_ids": array, "model_version": model_version}).rowcount


ENQUEUE = """
INSERT INTO queue.tasks AS t (type, subject_id, model_version, content_hash, run_id)
SELECT 'embed', s.subject_id, %(model_version)s, s.content_hash, %(run_id)s
FROM unnest(%(subject_ids)s::bigint[], %(content_hashes)s::uuid[]) AS s (subject_id, content_hash)
ORDER BY s.subject_id
ON CONFLICT (type, subject_id, model_version) WHERE state = 'queued' AND subject_id IS NOT NULL
DO UPDATE SET content_hash = excluded.content_hash, run_id = excluded.run_id, updated_at = now()
"""


def enqueue_embeddings(
    conn: psycopg.Connection, items: Iterable[tuple[int, UUID]], *, model_version: str, run_id: UUID
) -> int:
    """One waiting task for each (item id, content hash), new or superseding."""
    pairs = list(items)
    if not pairs:
        return 0
    return conn.execute(
        ENQUEUE,
        {
            "subject_ids": [item_id for item_id, _ in pairs],
            "content_hashes": [content_hash for _, content_hash in pairs],
            "model_version": model_version,
            "run_id": run_id,
        },
    ).rowcount


CANCEL = """
UPDATE queue.tasks SET state = 'cancelled', updated_at = now()
WHERE type = 'embed' AND subject_id = ANY(%(subject_ids)s) AND state = 'queued'
"""


def cancel_embeddings(conn: psycopg.Connection, subject_ids: Sequence[int]) -> int:
    """Items that were withdrawn need no embedding; a task already running ends by itself."""
    return conn.execute(CANCEL, {"subject_ids": list(subject_ids)}).rowcount
