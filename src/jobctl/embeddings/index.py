"""The index of a model version's vectors: pgvector's HNSW over their cosine distance, one a model version.

It is partial, and over the vectors as of this version's number of dimensions, since the column has none. Without it a
search reads every vector of the version, which is exact, and quick enough for tens of thousands; with it a search is
approximate and each new vector costs about a millisecond. So who embeds very many makes it afterwards.
"""

from hashlib import blake2b
from typing import LiteralString, NamedTuple

import psycopg
from psycopg import sql

from jobctl.db.connection import NO_LIMITS, Database
from jobctl.embeddings import store
from jobctl.embeddings.store import Model
from jobctl.errors import ConfigurationError, DataError

# What HNSW takes of the type vector, and of halves, which are exact enough to find candidates by.
MOST_DIMENSIONS = 2_000
MOST_OF_HALVES = 4_000
MEMORY = "256MB"
PGVECTOR_HINT = "as a superuser: CREATE EXTENSION vector; then once more: jobctl embeddings index"


class Index(NamedTuple):
    """`is_valid`: it was finished; one that was not is of no use and is made anew."""

    name: str
    is_valid: bool
    bytes: int


def name_of(model_version: str) -> str:
    return f"embeddings_of_{blake2b(model_version.encode(), digest_size=6).hexdigest()}"


FIND = """
SELECT c.relname AS name, x.indisvalid AS is_valid, pg_catalog.pg_relation_size(c.oid) AS bytes
FROM pg_catalog.pg_index AS x JOIN pg_catalog.pg_class AS c ON c.oid = x.indexrelid
WHERE x.indrelid = 'core.embeddings'::pg_catalog.regclass AND c.relname = %(name)s
"""


def find(conn: psycopg.Connection, model_version: str) -> Index | None:
    row = conn.execute(FIND, {"name": name_of(model_version)}).fetchone()
    return Index(*row) if row is not None else None


def indexed_expression(schema: str, dimensions: int) -> sql.Composed:
    """The vector as the index has it; a search that says it in other words does not use the index."""
    return sql.SQL("(e.vector::{}({}))").format(sql.Identifier(schema, type_of(dimensions)), sql.Literal(dimensions))


def type_of(dimensions: int) -> LiteralString:
    return "vector" if dimensions <= MOST_DIMENSIONS else "halfvec"


CREATE = (
    "CREATE INDEX CONCURRENTLY {name} ON core.embeddings USING hnsw ({vector} {operators}) WHERE model_version = {of}"
)


def create(database: Database, model_version: str) -> Index:
    """Make the index, beside whoever reads and writes, or anew where an earlier attempt was not finished.

    Where pgvector came after the table, the column first becomes of its type. Raises ConfigurationError without it."""
    if database.pooled:
        raise ConfigurationError(
            "an index is made by a session of one's own, and a connection pooler stands between",
            hint="set DATABASE_URL to the server's own address for this one command",
        )
    with database.connect(limits=NO_LIMITS, purpose="embeddings index") as conn:
        known = store.model(conn, model_version)
        if known is None:
            raise DataError(
                f"there are no vectors of model version {model_version!r} yet",
                hint="run: jobctl embeddings reembed; jobctl work --type embed",
            )
        schema = store.extension_schema(conn) or _adopt_extension(conn)
        if known.dimensions > MOST_OF_HALVES:
            raise ConfigurationError(
                f"vectors of {known.dimensions} dimensions have too many for an index, which takes {MOST_OF_HALVES}",
                hint="search works without; or set dimensions of [embeddings] and another model version",
            )
        found = find(conn, model_version)
        if found is not None and found.is_valid:
            return found
        if found is not None:
            drop(conn, model_version)
        conn.execute("SELECT pg_catalog.set_config('maintenance_work_mem', %(memory)s, false)", {"memory": MEMORY})
        conn.execute(_create_statement(known, schema))
        made = find(conn, model_version)
        assert made is not None
        return made


def _create_statement(known: Model, schema: str) -> sql.Composed:
    kind = type_of(known.dimensions)
    expression = sql.SQL("(vector::{}({}))").format(sql.Identifier(schema, kind), sql.Literal(known.dimensions))
    return sql.SQL(CREATE).format(
        name=sql.Identifier(name_of(known.model_version)),
        vector=expression,
        operators=sql.Identifier(schema, f"{kind}_cosine_ops"),
        of=sql.Literal(known.model_version),
    )


def drop(conn: psycopg.Connection, model_version: str) -> bool:
    """False: there was none."""
    if find(conn, model_version) is None:
        return False
    name = sql.Identifier("core", name_of(model_version))
    conn.execute(sql.SQL("DROP INDEX CONCURRENTLY IF EXISTS {}").format(name))
    return True


EXTENSION = """
SELECT n.nspname FROM pg_catalog.pg_extension AS x JOIN pg_catalog.pg_namespace AS n ON n.oid = x.extnamespace
WHERE x.extname = 'vector'
"""
AS_PGVECTOR = "ALTER TABLE core.embeddings ALTER COLUMN vector TYPE {type} USING vector::{type}"


def _adopt_extension(conn: psycopg.Connection) -> str:
    """Turn the plain arrays into pgvector's type; the table is rewritten, and locked meanwhile."""
    row = conn.execute(EXTENSION).fetchone()
    if row is None:
        raise ConfigurationError("this PostgreSQL has no extension pgvector, so there is no index", hint=PGVECTOR_HINT)
    conn.execute(sql.SQL(AS_PGVECTOR).format(type=sql.Identifier(row[0], "vector")))
    return str(row[0])
