"""Store of branch.records, as far as loads and the removal of a branch write it: staging, one merge, tombstones.

A load copies its file into a staging table that only its transaction sees, and merges once it has read all of it. So a
file that breaks off changes nothing, and a record that stands as the file has it is not written again. The branch's row
is locked meanwhile: no other load or replay of this branch moves the records between the statements of a merge.

(changed_xid, record_no) is the position by which `ingest-branch` reads on; each change gives the row the merge's.
"""

from dataclasses import dataclass

import psycopg
from psycopg.rows import class_row, scalar_row

# Sorts and hashes of a large merge in memory rather than on disk, for this transaction.
MERGE_MEMORY = "SELECT pg_catalog.set_config('work_mem', '64MB', true)"

CREATE_STAGING = """
CREATE TEMPORARY TABLE staged_records (
    line_no bigint NOT NULL, record_key text NOT NULL, payload text NOT NULL, payload_hash uuid NOT NULL,
    source_version bigint
) ON COMMIT DROP
"""

COPY_STAGED = """
COPY pg_temp.staged_records (line_no, record_key, payload, payload_hash, source_version) FROM STDIN
"""


def create_staging(conn: psycopg.Connection) -> None:
    conn.execute(MERGE_MEMORY)
    conn.execute(CREATE_STAGING)


# The planner knows nothing of a temporary table that was just filled.
ANALYZE_STAGING = "ANALYZE pg_temp.staged_records"

COUNT_STAGED_KEYS = 'SELECT count(DISTINCT record_key COLLATE "C") FROM pg_temp.staged_records'

# Of several records of one key the newest by its own account stays, and of those the last in the file.
DELETE_DUPLICATES = """
DELETE FROM pg_temp.staged_records AS s USING (
    SELECT line_no, row_number() OVER (
        PARTITION BY record_key COLLATE "C" ORDER BY source_version DESC NULLS LAST, line_no DESC) AS place
    FROM pg_temp.staged_records) AS d
WHERE s.line_no = d.line_no AND d.place > 1
"""


def drop_duplicates(conn: psycopg.Connection, rows: int) -> int:
    """Leave one staged record a key; how many went."""
    conn.execute(ANALYZE_STAGING)
    with conn.cursor(row_factory=scalar_row) as cursor:
        keys = cursor.execute(COUNT_STAGED_KEYS).fetchone()
    return 0 if keys == rows else conn.execute(DELETE_DUPLICATES).rowcount


@dataclass(frozen=True, slots=True)
class Comparison:
    """How the staged records stand to the branch's."""

    new: int
    changed: int
    unchanged: int
    stale: int


# A record without a readable version of its own (NULL) is taken as newer than what stands.
COMPARE = """
SELECT
    count(*) FILTER (WHERE r.record_no IS NULL) AS new,
    count(*) FILTER (WHERE r.source_version > s.source_version
        AND (r.payload_hash <> s.payload_hash OR r.withdrawn_at IS NOT NULL)) AS stale,
    count(*) FILTER (WHERE r.payload_hash = s.payload_hash AND r.withdrawn_at IS NULL) AS unchanged,
    count(*) FILTER (WHERE (r.payload_hash <> s.payload_hash OR r.withdrawn_at IS NOT NULL)
        AND (r.source_version > s.source_version) IS NOT TRUE) AS changed
FROM pg_temp.staged_records AS s
LEFT JOIN branch.records AS r ON r.branch_id = %(branch_id)s AND r.record_key = s.record_key
"""


def compare(conn: psycopg.Connection, branch_id: int) -> Comparison:
    with conn.cursor(row_factory=class_row(Comparison)) as cursor:
        found = cursor.execute(COMPARE, {"branch_id": branch_id}).fetchone()
    return found or Comparison(0, 0, 0, 0)


# In the file's order, so that neighbours in the file are neighbours in the table. Where all are new, the staging table
# gives that order by itself, and a sort of a large first load is saved.
INSERT_ALL = """
INSERT INTO branch.records (branch_id, record_key, payload, payload_hash, source_version, load_id)
SELECT %(branch_id)s, s.record_key, s.payload, s.payload_hash, coalesce(s.source_version, %(load_id)s), %(load_id)s
FROM pg_temp.staged_records AS s
"""

INSERT_NEW = """
INSERT INTO branch.records (branch_id, record_key, payload, payload_hash, source_version, load_id)
SELECT %(branch_id)s, s.record_key, s.payload, s.payload_hash, coalesce(s.source_version, %(load_id)s), %(load_id)s
FROM pg_temp.staged_records AS s
WHERE NOT EXISTS (SELECT FROM branch.records AS r WHERE r.branch_id = %(branch_id)s AND r.record_key = s.record_key)
ORDER BY s.line_no
"""


def insert_new(conn: psycopg.Connection, branch_id: int, load_id: int, *, all_are_new: bool) -> int:
    statement = INSERT_ALL if all_are_new else INSERT_NEW
    return conn.execute(statement, {"branch_id": branch_id, "load_id": load_id}).rowcount


# Rows are locked in the order of their keys. A version never falls: a record without one keeps what stands.
UPDATE_CHANGED = """
WITH changed AS MATERIALIZED (
    SELECT r.record_no, s.line_no
    FROM branch.records AS r
    JOIN pg_temp.staged_records AS s ON r.record_key = s.record_key
    WHERE r.branch_id = %(branch_id)s
      AND (r.payload_hash <> s.payload_hash OR r.withdrawn_at IS NOT NULL)
      AND (r.source_version > s.source_version) IS NOT TRUE
    ORDER BY r.record_key COLLATE "C"
    FOR UPDATE OF r
)
UPDATE branch.records AS r
SET payload = s.payload, payload_hash = s.payload_hash,
    source_version = coalesce(s.source_version, greatest(r.source_version, %(load_id)s)), load_id = %(load_id)s,
    changed_xid = pg_current_xact_id(), changed_at = clock_timestamp(), withdrawn_at = NULL
FROM changed JOIN pg_temp.staged_records AS s USING (line_no)
WHERE r.record_no = changed.record_no
"""


def update_changed(conn: psycopg.Connection, branch_id: int, load_id: int) -> int:
    """Content that differs from what stands, and records that were withdrawn and are there again."""
    return conn.execute(UPDATE_CHANGED, {"branch_id": branch_id, "load_id": load_id}).rowcount


@dataclass(frozen=True, slots=True)
class Missing:
    """Live records, and how many of them the file does not have."""

    live: int
    missing: int


COUNT_MISSING = """
SELECT count(*) AS live, count(*) FILTER (WHERE s.record_key IS NULL) AS missing
FROM branch.records AS r
LEFT JOIN pg_temp.staged_records AS s ON s.record_key = r.record_key
WHERE r.branch_id = %(branch_id)s AND r.withdrawn_at IS NULL
"""


def count_missing(conn: psycopg.Connection, branch_id: int) -> Missing:
    with conn.cursor(row_factory=class_row(Missing)) as cursor:
        return cursor.execute(COUNT_MISSING, {"branch_id": branch_id}).fetchone() or Missing(0, 0)


WITHDRAW_MISSING = """
WITH missing AS MATERIALIZED (
    SELECT r.record_no FROM branch.records AS r
    WHERE r.branch_id = %(branch_id)s AND r.withdrawn_at IS NULL
      AND NOT EXISTS (SELECT FROM pg_temp.staged_records AS s WHERE s.record_key = r.record_key)
    ORDER BY r.record_key COLLATE "C"
    FOR UPDATE OF r
)
UPDATE branch.records AS r
SET withdrawn_at = clock_timestamp(), load_id = %(load_id)s, changed_xid = pg_current_xact_id(),
    changed_at = clock_timestamp()
FROM missing WHERE r.record_no = missing.record_no
"""


def withdraw_missing(conn: psycopg.Connection, branch_id: int, load_id: int) -> int:
    """Tombstones for the live records that the file does not have."""
    return conn.execute(WITHDRAW_MISSING, {"branch_id": branch_id, "load_id": load_id}).rowcount


# After a large load the planner must not take the table for what it was before.
ANALYZE = "ANALYZE branch.records"


def analyze(conn: psycopg.Connection) -> None:
    conn.execute(ANALYZE)


@dataclass(frozen=True, slots=True)
class RecordCounts:
    live: int
    withdrawn: int
    without_key: int


# A key that begins with # stands for a record whose own cannot be read.
COUNT = """
SELECT count(*) FILTER (WHERE withdrawn_at IS NULL) AS live,
    count(*) FILTER (WHERE withdrawn_at IS NOT NULL) AS withdrawn,
    count(*) FILTER (WHERE withdrawn_at IS NULL AND record_key ~ '^#[0-9a-f]{32}$') AS without_key
FROM branch.records WHERE branch_id = %(branch_id)s
"""


def count(conn: psycopg.Connection, branch_id: int) -> RecordCounts:
    with conn.cursor(row_factory=class_row(RecordCounts)) as cursor:
        return cursor.execute(COUNT, {"branch_id": branch_id}).fetchone() or RecordCounts(0, 0, 0)


DELETE_BATCH = """
DELETE FROM branch.records WHERE record_no IN (
    SELECT record_no FROM branch.records WHERE branch_id = %(branch_id)s ORDER BY record_key LIMIT %(limit)s)
"""


def delete_batch(conn: psycopg.Connection, branch_id: int, *, limit: int) -> int:
    """How many went; 0 when none was left."""
    return conn.execute(DELETE_BATCH, {"branch_id": branch_id, "limit": limit}).rowcount
