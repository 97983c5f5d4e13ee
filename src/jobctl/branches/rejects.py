"""Store of branch.rejects: records that ingest refused, kept with the reason and what the source sent.

`ingest-branch` writes and resolves them; here they are looked at, exported and marked to be tried again.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import psycopg
from psycopg.rows import class_row, scalar_row

# Raw records can be large: a list shows their beginning, an export reads as many at once as fit its memory.
SHOWN_CHARACTERS = 2_000
EXPORT_ROWS = 1_000
EXPORT_BYTES = 4_000_000


@dataclass(frozen=True, slots=True)
class Reject:
    """`payload` is what the source sent; in a list only its beginning, when `payload_bytes` is more."""

    reject_id: int
    record_no: int
    record_key: str
    run_id: UUID
    reason: str
    field: str
    detail: str
    payload: str
    payload_bytes: int
    rejected_at: datetime
    resolved_at: datetime | None
    resolution: str | None


@dataclass(frozen=True, slots=True)
class ReasonCount:
    reason: str
    field: str
    rejects: int
    newest_at: datetime


LIST = """
SELECT reject_id, record_no, record_key, run_id, reason, field, detail, left(payload, %(characters)s) AS payload,
    octet_length(payload) AS payload_bytes, rejected_at, resolved_at, resolution
FROM branch.rejects
WHERE branch_id = %(branch_id)s AND reject_id > %(after)s
  AND (%(reason)s::text IS NULL OR reason = %(reason)s)
  AND (%(resolved)s OR resolved_at IS NULL)
ORDER BY reject_id
LIMIT %(limit)s
"""


def list_rejects(
    conn: psycopg.Connection,
    branch_id: int,
    *,
    reason: str | None = None,
    after: int = 0,
    limit: int = 50,
    resolved: bool = False,
) -> list[Reject]:
    """One page, oldest first; `after` is the last reject_id of the page before. Open ones, or all with `resolved`."""
    parameters = {
        "branch_id": branch_id,
        "reason": reason,
        "after": after,
        "limit": limit,
        "resolved": resolved,
        "characters": SHOWN_CHARACTERS,
    }
    with conn.cursor(row_factory=class_row(Reject)) as cursor:
        return cursor.execute(LIST, parameters).fetchall()


# Sizes first (they are known without reading the texts), then the texts of as many as fit; at least one.
EXPORT = """
WITH page AS (
    SELECT reject_id, octet_length(payload) AS payload_bytes FROM branch.rejects
    WHERE branch_id = %(branch_id)s AND reject_id > %(after)s
      AND (%(reason)s::text IS NULL OR reason = %(reason)s)
      AND (%(resolved)s OR resolved_at IS NULL)
    ORDER BY reject_id
    LIMIT %(limit)s
), fitting AS (
    SELECT reject_id, payload_bytes,
        coalesce(sum(payload_bytes) OVER (ORDER BY reject_id ROWS UNBOUNDED PRECEDING EXCLUDE CURRENT ROW), 0) AS before
    FROM page
)
SELECT j.reject_id, j.record_no, j.record_key, j.run_id, j.reason, j.field, j.detail, j.payload, f.payload_bytes,
    j.rejected_at, j.resolved_at, j.resolution
FROM fitting AS f JOIN branch.rejects AS j USING (reject_id)
WHERE f.before = 0 OR f.before + f.payload_bytes <= %(bytes)s
ORDER BY j.reject_id
"""


def iterate(
    conn: psycopg.Connection, branch_id: int, *, reason: str | None = None, resolved: bool = False
) -> Iterator[Reject]:
    """All of them, whole, a page at a time: no transaction is held open while a slow reader takes them."""
    parameters = {
        "branch_id": branch_id,
        "reason": reason,
        "after": 0,
        "limit": EXPORT_ROWS,
        "resolved": resolved,
        "bytes": EXPORT_BYTES,
    }
    with conn.cursor(row_factory=class_row(Reject)) as cursor:
        while page := cursor.execute(EXPORT, parameters).fetchall():
            yield from page
            parameters["after"] = page[-1].reject_id


COUNT_BY_REASON = """
SELECT reason, field, count(*) AS rejects, max(rejected_at) AS newest_at
FROM branch.rejects
WHERE branch_id = %(branch_id)s AND (%(reason)s::text IS NULL OR reason = %(reason)s)
  AND (%(resolved)s OR resolved_at IS NULL)
GROUP BY reason, field
ORDER BY count(*) DESC, reason, field
"""


def count_by_reason(
    conn: psycopg.Connection, branch_id: int, *, reason: str | None = None, resolved: bool = False
) -> list[ReasonCount]:
    with conn.cursor(row_factory=class_row(ReasonCount)) as cursor:
        return cursor.execute(
            COUNT_BY_REASON, {"branch_id": branch_id, "reason": reason, "resolved": resolved}
        ).fetchall()


COUNT_OPEN = "SELECT count(*) FROM branch.rejects WHERE branch_id = %(branch_id)s AND resolved_at IS NULL"


def count_open(conn: psycopg.Connection, branch_id: int) -> int:
    with conn.cursor(row_factory=scalar_row) as cursor:
        return int(cursor.execute(COUNT_OPEN, {"branch_id": branch_id}).fetchone() or 0)


@dataclass(frozen=True, slots=True)
class Marked:
    rejects: int
    last_reject_id: int | None


# Rules '' are nobody's rules, so the reject no longer answers for its record; the new change position brings the record
# before the next run. Records are locked in order of their number, as every writer of several does.
MARK_FOR_REPLAY = """
WITH page AS (
    SELECT reject_id, record_no FROM branch.rejects
    WHERE branch_id = %(branch_id)s AND reject_id > %(after)s AND resolved_at IS NULL
      AND (%(reason)s::text IS NULL OR reason = %(reason)s)
    ORDER BY reject_id
    LIMIT %(limit)s
    FOR UPDATE
), marked AS (
    UPDATE branch.rejects AS j SET rules = '' FROM page
    WHERE j.reject_id = page.reject_id AND j.resolved_at IS NULL AND j.rules <> ''
), records AS (
    SELECT r.record_no FROM branch.records AS r JOIN page USING (record_no) ORDER BY r.record_no FOR UPDATE OF r
), moved AS (
    UPDATE branch.records AS r SET changed_xid = pg_current_xact_id()
    FROM records WHERE r.record_no = records.record_no
)
SELECT count(*) AS rejects, max(reject_id) AS last_reject_id FROM page
"""


def mark_for_replay(
    conn: psycopg.Connection, branch_id: int, *, reason: str | None = None, after: int = 0, limit: int = 10_000
) -> Marked:
    """One batch of open rejects: the next run of `ingest-branch` judges their records anew. 0 rejects: that was all."""
    with conn.cursor(row_factory=class_row(Marked)) as cursor:
        marked = cursor.execute(
            MARK_FOR_REPLAY, {"branch_id": branch_id, "reason": reason, "after": after, "limit": limit}
        ).fetchone()
    return marked or Marked(0, None)


DELETE_BATCH = """
DELETE FROM branch.rejects WHERE reject_id IN (
    SELECT reject_id FROM branch.rejects WHERE branch_id = %(branch_id)s ORDER BY reject_id LIMIT %(limit)s)
"""


def delete_batch(conn: psycopg.Connection, branch_id: int, *, limit: int) -> int:
    return conn.execute(DELETE_BATCH, {"branch_id": branch_id, "limit": limit}).rowcount
