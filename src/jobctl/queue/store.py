"""Store of queue.tasks, as far as other jobs need it: leaving work behind, in their own transaction.

A subject has at most one waiting task of a type and model version. A newer request supersedes it in place: the waiting
task then speaks of the newer content, and keeps its turn.
"""

from collections.abc import Iterable, Sequence
from uuid import UUID

import psycopg

EMBED = "embed"

COPY_NEW = "COPY queue.tasks (type, subject_id, model_version, content_hash, run_id) FROM STDIN"


def enqueue_new_embeddings(conn: psycopg.Connection, lines: str) -> None:
    """Tasks of items that did not exist before, as COPY text of `embedding_line`: none of them can be waiting yet."""
    with conn.cursor() as cursor, cursor.copy(COPY_NEW) as copy:
        copy.write(lines)


def embedding_line(item_id: str, model_version: str, content_hash: str, run_id: str) -> str:
    """One COPY line; the model version must be free of tabs and backslashes (settings see to it)."""
    return f"{EMBED}\t{item_id}\t{model_version}\t{content_hash}\t{run_id}\n"


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
