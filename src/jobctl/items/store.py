"""Store of core.items. Rows come as COPY text, rendered by `copy_text`; the caller holds the fence.

New items are copied straight into the table. Items that exist go through a staging table and one merge: their rows are
locked in the order of their keys, only content that differs is written, and an older source version never overwrites a
newer one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import psycopg

# A line begins with item_id, branch_id, record_key, source_version, payload_hash, content_hash, rules and run_id; then
# come the item's own columns, `copy_text.COPY_COLUMNS`. The times are the server's: to parse two of them for each row
# would cost more than all the rest of its head.
COPY_NEW = """
COPY core.items (item_id, branch_id, record_key, source_version, payload_hash, content_hash, rules,
    run_id, name, kind, street, city, region, postal_code, country, latitude, longitude, geo_cell, url, attributes,
    flags, derived, source_updated_at)
FROM STDIN
"""


def insert_new(conn: psycopg.Connection, lines: str) -> None:
    """Raises UniqueViolation when an item exists after all: the caller reads again and decides anew."""
    with conn.cursor() as cursor, cursor.copy(COPY_NEW) as copy:
        copy.write(lines)


CREATE_STAGING = "CREATE TEMPORARY TABLE staged_items (LIKE core.items INCLUDING DEFAULTS) ON COMMIT DROP"

COPY_STAGED = """
COPY pg_temp.staged_items (item_id, branch_id, record_key, source_version, payload_hash, content_hash, rules,
    run_id, name, kind, street, city, region, postal_code, country, latitude, longitude, geo_cell, url, attributes,
    flags, derived, source_updated_at)
FROM STDIN
"""

LOCK_IN_ORDER = """
SELECT FROM core.items WHERE item_id IN (SELECT item_id FROM pg_temp.staged_items) ORDER BY item_id FOR UPDATE
"""

UPDATE_CHANGED = """
UPDATE core.items AS i
SET record_key = s.record_key, source_version = s.source_version, payload_hash = s.payload_hash,
    content_hash = s.content_hash, rules = s.rules, run_id = s.run_id, last_changed_at = now(),
    name = s.name, kind = s.kind, street = s.street, city = s.city, region = s.region, postal_code = s.postal_code,
    country = s.country, latitude = s.latitude, longitude = s.longitude, geo_cell = s.geo_cell, url = s.url,
    attributes = s.attributes, flags = s.flags, derived = s.derived, source_updated_at = s.source_updated_at,
    withdrawn_at = NULL
FROM pg_temp.staged_items AS s
WHERE i.item_id = s.item_id AND s.source_version >= i.source_version
  AND (i.content_hash <> s.content_hash OR i.withdrawn_at IS NOT NULL)
RETURNING i.item_id, i.content_hash
"""

# The source changed in what is not mapped, or the rules changed without effect: only what judges the next run is kept.
UPDATE_MEMORY = """
UPDATE core.items AS i
SET source_version = s.source_version, payload_hash = s.payload_hash, rules = s.rules
FROM pg_temp.staged_items AS s
WHERE i.item_id = s.item_id AND s.source_version >= i.source_version
  AND i.content_hash = s.content_hash AND i.withdrawn_at IS NULL
  AND (i.payload_hash, i.rules, i.source_version) IS DISTINCT FROM (s.payload_hash, s.rules, s.source_version)
"""

COUNT_OLDER = """
SELECT count(*) FROM pg_temp.staged_items AS s JOIN core.items AS i USING (item_id)
WHERE s.source_version < i.source_version
"""


@dataclass(frozen=True, slots=True)
class Merged:
    """`changed`: (item id, content hash) of the rows written; `older`: how many a newer version kept from it."""

    changed: list[tuple[int, UUID]]
    older: int


def merge_known(conn: psycopg.Connection, lines: str) -> Merged:
    """Merge rows whose items exist. Inside a transaction: the staging table goes with it."""
    conn.execute(CREATE_STAGING)
    with conn.cursor() as cursor, cursor.copy(COPY_STAGED) as copy:
        copy.write(lines)
    conn.execute(LOCK_IN_ORDER)
    older = conn.execute(COUNT_OLDER).fetchone()
    changed = conn.execute(UPDATE_CHANGED).fetchall()
    conn.execute(UPDATE_MEMORY)
    assert older is not None
    return Merged([(row[0], row[1]) for row in changed], older[0])


# A tombstone: the row stays, with the time of its withdrawal. Zero rows for one that is withdrawn already.
WITHDRAW = """
UPDATE core.items
SET withdrawn_at = now(), last_changed_at = now(), run_id = %(run_id)s
WHERE item_id IN (SELECT item_id FROM core.items WHERE item_id = ANY(%(item_ids)s) ORDER BY item_id FOR UPDATE)
  AND withdrawn_at IS NULL
RETURNING item_id
"""


def withdraw(conn: psycopg.Connection, item_ids: Sequence[int], *, run_id: UUID) -> list[int]:
    rows = conn.execute(WITHDRAW, {"item_ids": list(item_ids), "run_id": run_id}).fetchall()
    return [row[0] for row in rows]


COUNT_LIVE = "SELECT count(*) FROM core.items WHERE branch_id = %(branch_id)s AND withdrawn_at IS NULL"


def count_live(conn: psycopg.Connection, branch_id: int) -> int:
    row = conn.execute(COUNT_LIVE, {"branch_id": branch_id}).fetchone()
    assert row is not None
    return row[0]
