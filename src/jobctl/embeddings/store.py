"""Store of core.embeddings and core.embedding_models.

Who writes vectors holds locks on their items' rows, in the order of their keys as ingest does, and has seen under them
that the items still are what was embedded. So a vector of an earlier text never replaces that of a later one, two
writers never meet in one row, and no vector outlives its item.
"""

from collections.abc import Iterable, Sequence
from struct import Struct
from typing import NamedTuple

import psycopg
from psycopg.rows import args_row, class_row
from pydantic_core import from_json

from jobctl.embeddings.text import Source
from jobctl.embeddings.vector import Vector, as_array, as_type_vector
from jobctl.errors import ConfigurationError


class Pending(NamedTuple):
    """An item that is to be embedded, and of which text and state its vector is, if it has one. Hashes are 16 bytes."""

    item_id: int
    content_hash: bytes
    text_hash: bytes | None
    embedded_content_hash: bytes | None
    source: Source


# What is withdrawn is left out.
READ = """
SELECT i.item_id, uuid_send(i.content_hash), uuid_send(e.text_hash), uuid_send(e.content_hash),
    i.name, i.kind, i.street, i.city, i.region, i.derived #>> '{region,0}', i.country, i.attributes::text
FROM core.items AS i
LEFT JOIN core.embeddings AS e ON e.item_id = i.item_id AND e.model_version = %(model_version)s
WHERE i.item_id = ANY(%(item_ids)s::text::bigint[]) AND i.withdrawn_at IS NULL
"""


def read(conn: psycopg.Connection, item_ids: Sequence[int], *, model_version: str) -> list[Pending]:
    with conn.cursor(binary=True, row_factory=args_row(_pending)) as cursor:
        return cursor.execute(READ, {"item_ids": _array(item_ids), "model_version": model_version}).fetchall()


def _pending(
    item_id: int,
    content_hash: bytes,
    text_hash: bytes | None,
    embedded_content_hash: bytes | None,
    name: str,
    kind: str | None,
    street: str | None,
    city: str | None,
    region: str | None,
    region_as_written: str | None,
    country: str | None,
    attributes: str | None,
) -> Pending:
    parsed = from_json(attributes) if attributes is not None else None
    source = Source(name, kind, street, city, region, region_as_written, country, parsed)
    return Pending(item_id, content_hash, text_hash, embedded_content_hash, source)


def _array(item_ids: Iterable[int]) -> str:
    """An array as text: the client library takes 8 us for each number of a list."""
    return "{" + ",".join(map(str, item_ids)) + "}"


LOCK = """
SELECT i.item_id, uuid_send(i.content_hash) FROM core.items AS i
WHERE i.item_id = ANY(%(item_ids)s::text::bigint[]) AND i.withdrawn_at IS NULL
ORDER BY i.item_id FOR NO KEY UPDATE
"""


def lock(conn: psycopg.Connection, item_ids: Sequence[int]) -> dict[int, bytes]:
    """Until the transaction ends: each item's content hash, without those that were withdrawn or are gone."""
    with conn.cursor(binary=True) as cursor:
        return dict(cursor.execute(LOCK, {"item_ids": _array(item_ids)}).fetchall())


class Row(NamedTuple):
    item_id: int
    text_hash: bytes
    content_hash: bytes
    vector: Vector


DELETE = """
DELETE FROM core.embeddings WHERE item_id = ANY(%(item_ids)s::text::bigint[]) AND model_version = %(model_version)s
"""
COPY = """
COPY core.embeddings (item_id, model_version, text_hash, content_hash, vector) FROM STDIN (FORMAT binary)
"""
_COPY_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_COPY_TRAILER = b"\xff\xff"
_ITEM_ID = Struct("!hiq")  # fields of the row, length, value
_LENGTH = Struct("!i")


def write(conn: psycopg.Connection, rows: Sequence[Row], *, model_version: str) -> None:
    """Put these vectors in the place of any that their items have of this model version. The items are locked."""
    conn.execute(DELETE, {"model_version": model_version, "item_ids": _array(row.item_id for row in rows)})
    field = as_array if extension_schema(conn) is None else as_type_vector
    name = model_version.encode()
    of_model = _LENGTH.pack(len(name)) + name + _LENGTH.pack(16)
    of_hash = _LENGTH.pack(16)
    parts = [_COPY_HEADER]
    for item_id, text_hash, content_hash, vector in rows:
        parts += (_ITEM_ID.pack(5, 8, item_id), of_model, text_hash, of_hash, content_hash, field(vector))
    parts.append(_COPY_TRAILER)
    with conn.cursor() as cursor, cursor.copy(COPY) as copy:
        copy.write(b"".join(parts))


CONFIRM = """
UPDATE core.embeddings AS e SET content_hash = i.content_hash
FROM core.items AS i
WHERE i.item_id = e.item_id AND e.item_id = ANY(%(item_ids)s::text::bigint[]) AND e.model_version = %(model_version)s
"""


def confirm(conn: psycopg.Connection, item_ids: Sequence[int], *, model_version: str) -> int:
    """The items changed, but not in their text: their vectors answer for the state they have now. They are locked."""
    return conn.execute(CONFIRM, {"item_ids": _array(item_ids), "model_version": model_version}).rowcount


FORGET = "DELETE FROM core.embeddings WHERE item_id = ANY(%(item_ids)s::text::bigint[])"


def forget(conn: psycopg.Connection, item_ids: Sequence[int]) -> int:
    """Items that were withdrawn, in the transaction that withdrew them."""
    return conn.execute(FORGET, {"item_ids": _array(item_ids)}).rowcount


# The type of the column decides, not the extension: that may have come later.
EXTENSION_SCHEMA = """
SELECT n.nspname FROM pg_catalog.pg_attribute AS a
JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid
JOIN pg_catalog.pg_namespace AS n ON n.oid = t.typnamespace
WHERE a.attrelid = 'core.embeddings'::pg_catalog.regclass AND a.attname = 'vector' AND t.typname = 'vector'
"""


def extension_schema(conn: psycopg.Connection) -> str | None:
    """Where pgvector's names are, when the column is of its type; None: it is a plain array."""
    row = conn.execute(EXTENSION_SCHEMA).fetchone()
    return row[0] if row is not None else None


class Model(NamedTuple):
    model_version: str
    model: str
    dimensions: int


MODEL = """
SELECT model_version, model, dimensions FROM core.embedding_models WHERE model_version = %(model_version)s
"""


def model(conn: psycopg.Connection, model_version: str) -> Model | None:
    with conn.cursor(row_factory=class_row(Model)) as cursor:
        return cursor.execute(MODEL, {"model_version": model_version}).fetchone()


# Nobody's row is overwritten: whoever came first has said what this version is.
REGISTER = """
INSERT INTO core.embedding_models (model_version, model, dimensions)
VALUES (%(model_version)s, %(model)s, %(dimensions)s)
ON CONFLICT (model_version) DO NOTHING
"""


def register(conn: psycopg.Connection, wanted: Model) -> None:
    """Say what a model version is, or see that it is that. Raises ConfigurationError when it is another model."""
    known = model(conn, wanted.model_version)
    if known is None:
        conn.execute(REGISTER, wanted._asdict())
        known = model(conn, wanted.model_version)
        assert known is not None
    require_same(known, wanted.model, wanted.dimensions)


def require_same(known: Model, name: str, dimensions: int) -> None:
    """Raises ConfigurationError when the settings mean another model than the vectors of this version were made by."""
    if (known.model, known.dimensions) != (name, dimensions):
        raise ConfigurationError(
            f"model version {known.model_version!r} stands for {known.model} with {known.dimensions} dimensions, "
            f"and the settings mean {name} with {dimensions}",
            hint="give the new model a name of its own in JOBCTL_EMBED_MODEL_VERSION, then: jobctl embeddings reembed",
        )
