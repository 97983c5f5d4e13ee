"""Store of branch.branches and of branch.loads, the account of what each load did to a branch."""

from dataclasses import asdict
from datetime import datetime
from typing import Any, NamedTuple

import psycopg
from psycopg.rows import class_row, scalar_row
from psycopg.types.json import Jsonb

from jobctl.branches.branch import Branch, Definition, unknown_branch
from jobctl.branches.load_report import LoadReport

INSERT = """
INSERT INTO branch.branches AS b
    (slug, title, field_map, default_country, expected_freshness, max_withdraw_share)
VALUES (%(slug)s, %(title)s, %(field_map)s, %(default_country)s, %(expected_freshness)s, %(max_withdraw_share)s)
ON CONFLICT (slug) DO NOTHING
RETURNING branch_id, slug, title, field_map, schema_version, default_country, expected_freshness,
    round(max_withdraw_share::numeric, 6)::float8 AS max_withdraw_share, active, loaded_at, created_at, updated_at
"""


def insert(conn: psycopg.Connection, definition: Definition) -> Branch | None:
    """None: the slug is taken."""
    with conn.cursor(row_factory=class_row(Branch)) as cursor:
        return cursor.execute(INSERT, _parameters(definition)).fetchone()


# Another field map or country makes other items of the same records: that is another version of the schema, and the
# next run judges all records again. Another title does not.
UPDATE = """
UPDATE branch.branches
SET title = %(title)s, field_map = %(field_map)s, default_country = %(default_country)s,
    expected_freshness = %(expected_freshness)s, max_withdraw_share = %(max_withdraw_share)s,
    schema_version = schema_version + ((field_map, default_country)
        IS DISTINCT FROM (%(field_map)s::jsonb, %(default_country)s::text))::integer,
    updated_at = clock_timestamp()
WHERE slug = %(slug)s AND schema_version = %(schema_version)s
RETURNING branch_id, slug, title, field_map, schema_version, default_country, expected_freshness,
    round(max_withdraw_share::numeric, 6)::float8 AS max_withdraw_share, active, loaded_at, created_at, updated_at
"""


def update(conn: psycopg.Connection, definition: Definition, *, schema_version: int) -> Branch | None:
    """None: the branch no longer has the version that the caller has seen, or is gone."""
    with conn.cursor(row_factory=class_row(Branch)) as cursor:
        return cursor.execute(UPDATE, _parameters(definition) | {"schema_version": schema_version}).fetchone()


GET = """
SELECT branch_id, slug, title, field_map, schema_version, default_country, expected_freshness,
    round(max_withdraw_share::numeric, 6)::float8 AS max_withdraw_share, active, loaded_at, created_at, updated_at
FROM branch.branches WHERE slug = %(slug)s
"""


def get(conn: psycopg.Connection, slug: str) -> Branch | None:
    with conn.cursor(row_factory=class_row(Branch)) as cursor:
        return cursor.execute(GET, {"slug": slug}).fetchone()


def require(conn: psycopg.Connection, slug: str) -> Branch:
    """Raises UsageError with the nearest names when there is no such branch."""
    branch = get(conn, slug)
    if branch is None:
        raise unknown_branch(slug, slugs(conn))
    return branch


# Keeps loads, replays and the removal of one branch apart.
LOCK = """
SELECT branch_id, slug, title, field_map, schema_version, default_country, expected_freshness,
    round(max_withdraw_share::numeric, 6)::float8 AS max_withdraw_share, active, loaded_at, created_at, updated_at
FROM branch.branches WHERE branch_id = %(branch_id)s FOR UPDATE
"""


def lock(conn: psycopg.Connection, branch_id: int) -> Branch | None:
    """Until the transaction ends. None: the branch is gone."""
    with conn.cursor(row_factory=class_row(Branch)) as cursor:
        return cursor.execute(LOCK, {"branch_id": branch_id}).fetchone()


LIST = """
SELECT branch_id, slug, title, field_map, schema_version, default_country, expected_freshness,
    round(max_withdraw_share::numeric, 6)::float8 AS max_withdraw_share, active, loaded_at, created_at, updated_at
FROM branch.branches
WHERE %(active)s::boolean IS NULL OR active = %(active)s
ORDER BY slug
"""


def list_branches(conn: psycopg.Connection, *, active: bool | None = None) -> list[Branch]:
    with conn.cursor(row_factory=class_row(Branch)) as cursor:
        return cursor.execute(LIST, {"active": active}).fetchall()


SLUGS = "SELECT slug FROM branch.branches ORDER BY slug"


def slugs(conn: psycopg.Connection) -> list[str]:
    with conn.cursor(row_factory=scalar_row) as cursor:
        return cursor.execute(SLUGS).fetchall()


SET_ACTIVE = """
UPDATE branch.branches SET active = %(active)s, updated_at = clock_timestamp()
WHERE branch_id = %(branch_id)s AND active <> %(active)s
"""


def set_active(conn: psycopg.Connection, branch_id: int, *, active: bool) -> bool:
    """False: it was so already."""
    return conn.execute(SET_ACTIVE, {"branch_id": branch_id, "active": active}).rowcount == 1


DELETE = "DELETE FROM branch.branches WHERE branch_id = %(branch_id)s"


def delete(conn: psycopg.Connection, branch_id: int) -> bool:
    """Its loads go with it; its records must have gone before. False: it was gone already."""
    return conn.execute(DELETE, {"branch_id": branch_id}).rowcount == 1


class Load(NamedTuple):
    """A row of branch.loads: rows = inserted + updated + unchanged + stale + duplicates."""

    load_id: int
    branch_id: int
    source: str
    format: str
    full_load: bool
    bytes: int
    rows: int
    inserted: int
    updated: int
    unchanged: int
    duplicates: int
    stale: int
    withdrawn: int
    loaded_at: datetime
    duration_ms: int


NEXT_LOAD_ID = "SELECT nextval(pg_get_serial_sequence('branch.loads', 'load_id'))"


def next_load_id(conn: psycopg.Connection) -> int:
    """Drawn before the load, since its records carry it."""
    with conn.cursor(row_factory=scalar_row) as cursor:
        return int(cursor.execute(NEXT_LOAD_ID).fetchone() or 0)


INSERT_LOAD = """
WITH told AS (
    UPDATE branch.branches SET loaded_at = clock_timestamp() WHERE branch_id = %(branch_id)s
)
INSERT INTO branch.loads (load_id, branch_id, source, format, full_load, bytes, rows, inserted, updated, unchanged,
    duplicates, stale, withdrawn, duration_ms)
OVERRIDING SYSTEM VALUE
VALUES (%(load_id)s, %(branch_id)s, %(source)s, %(format)s, %(full)s, %(bytes)s, %(rows)s, %(inserted)s,
    %(updated)s, %(unchanged)s, %(duplicates)s, %(stale)s, %(withdrawn)s, %(duration_ms)s)
"""


def insert_load(conn: psycopg.Connection, branch_id: int, report: LoadReport) -> None:
    """The account of a load, in its transaction; the branch is loaded as of now."""
    conn.execute(INSERT_LOAD, report._asdict() | {"branch_id": branch_id})


LOADS = """
SELECT load_id, branch_id, source, format, full_load, bytes, rows, inserted, updated, unchanged, duplicates, stale,
    withdrawn, loaded_at, duration_ms
FROM branch.loads WHERE branch_id = %(branch_id)s ORDER BY loaded_at DESC, load_id DESC LIMIT %(limit)s
"""


def recent_loads(conn: psycopg.Connection, branch_id: int, *, limit: int = 5) -> list[Load]:
    with conn.cursor(row_factory=class_row(Load)) as cursor:
        return cursor.execute(LOADS, {"branch_id": branch_id, "limit": limit}).fetchall()


def _parameters(definition: Definition) -> dict[str, Any]:
    return asdict(definition) | {"field_map": Jsonb(dict(definition.field_map))}
