"""How it stands with the embeddings, by branch and model version; and which items lack one."""

from collections.abc import Generator
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import psycopg
from psycopg.rows import class_row


class Standing(NamedTuple):
    """Of one branch and model version: `items` = embedded + pending + failed + stale + missing for the present one. Of
    another version every vector is stale. `last_hour` vectors were made in the hour before now, between two moments."""

    branch: str
    model_version: str
    is_current: bool
    items: int
    embedded: int
    pending: int
    failed: int
    stale: int
    missing: int
    last_hour: int
    first_at: datetime | None
    last_at: datetime | None

    @property
    def per_s(self) -> float | None:
        """Rate from the first to the last vector of the last hour; None: fewer than two."""
        if self.first_at is None or self.last_at is None or self.last_at <= self.first_at:
            return None
        return self.last_hour / (self.last_at - self.first_at).total_seconds()


STANDING = """
WITH counted AS (
    SELECT s.branch_id, s.model_version,
        count(*) FILTER (WHERE s.status = 'embedded') AS embedded,
        count(*) FILTER (WHERE s.status = 'pending') AS pending,
        count(*) FILTER (WHERE s.status = 'failed') AS failed,
        count(*) FILTER (WHERE s.status = 'stale') AS stale,
        count(*) FILTER (WHERE s.embedded_at > %(hour_ago)s) AS last_hour,
        min(s.embedded_at) FILTER (WHERE s.embedded_at > %(hour_ago)s) AS first_at,
        max(s.embedded_at) FILTER (WHERE s.embedded_at > %(hour_ago)s) AS last_at
    FROM core.embedding_status AS s GROUP BY 1, 2
), live AS (
    SELECT i.branch_id, count(*) AS items FROM core.items AS i WHERE i.withdrawn_at IS NULL GROUP BY 1
), shown AS (
    SELECT c.branch_id, c.model_version FROM counted AS c UNION SELECT l.branch_id, %(model_version)s FROM live AS l
)
SELECT b.slug AS branch, v.model_version, v.model_version = %(model_version)s AS is_current,
    coalesce(l.items, 0) AS items,
    CASE WHEN v.model_version = %(model_version)s THEN coalesce(c.embedded, 0) ELSE 0 END AS embedded,
    coalesce(c.pending, 0) AS pending,
    coalesce(c.failed, 0) AS failed,
    CASE WHEN v.model_version = %(model_version)s THEN coalesce(c.stale, 0) ELSE c.embedded + c.stale END AS stale,
    CASE WHEN v.model_version = %(model_version)s
        THEN coalesce(l.items, 0) - coalesce(c.embedded + c.pending + c.failed + c.stale, 0) ELSE 0 END AS missing,
    coalesce(c.last_hour, 0) AS last_hour, c.first_at, c.last_at
FROM shown AS v
JOIN branch.branches AS b ON b.branch_id = v.branch_id
LEFT JOIN live AS l ON l.branch_id = v.branch_id
LEFT JOIN counted AS c ON c.branch_id = v.branch_id AND c.model_version = v.model_version
ORDER BY b.slug COLLATE "C", is_current DESC, v.model_version
"""


def standing(conn: psycopg.Connection, *, model_version: str, hour_ago: datetime) -> list[Standing]:
    with conn.cursor(row_factory=class_row(Standing)) as cursor:
        return cursor.execute(STANDING, {"model_version": model_version, "hour_ago": hour_ago}).fetchall()


LACKING = """
SELECT i.item_id, i.content_hash FROM core.items AS i
LEFT JOIN core.embedding_status AS s ON s.item_id = i.item_id AND s.model_version = %(model_version)s
WHERE i.withdrawn_at IS NULL AND (%(branch_id)s::integer IS NULL OR i.branch_id = %(branch_id)s)
    AND CASE WHEN %(failed)s THEN s.status = 'failed' ELSE coalesce(s.status, 'stale') IN ('failed', 'stale') END
ORDER BY i.item_id
"""


def lacking(
    conn: psycopg.Connection, *, model_version: str, branch_id: int | None, failed: bool, batch_size: int = 5_000
) -> Generator[list[tuple[int, UUID]], None, None]:
    """Batches of (item id, content hash) of items that have no current vector of this version and no task that will
    make it; with `failed` only those whose task failed. Inside a transaction, which holds the cursor."""
    with conn.cursor("lacking") as cursor:
        cursor.execute(LACKING, {"model_version": model_version, "branch_id": branch_id, "failed": failed})
        while batch := cursor.fetchmany(batch_size):
            yield batch
