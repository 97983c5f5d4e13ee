"""The schema of embeddings for an owner who is no superuser: with pgvector, without it, and where it comes later."""

from collections.abc import Generator
from contextlib import contextmanager

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from bench_embeddings import has_pgvector, vector_for
from jobctl.db.connection import Database
from jobctl.db.migrate import migrate
from jobctl.embeddings import index, store
from jobctl.embeddings.search import search
from jobctl.embeddings.store import Model, Row
from jobctl.errors import ConfigurationError

OWNER = "vectors-owner"
ITEM = """
INSERT INTO core.items (item_id, branch_id, record_key, name, source_version, payload_hash, content_hash, rules, run_id)
SELECT 1, b.branch_id, 'k', 'One', 1, u, u, 'r', u
FROM branch.branches AS b, (SELECT gen_random_uuid() AS u) AS made
"""


@pytest.fixture
def admin(empty_database: Database) -> Generator[psycopg.Connection, None, None]:
    with empty_database.connect() as conn:
        conn.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'for-this-test'").format(sql.Identifier(OWNER)))
        database = sql.Identifier(conn.info.dbname)
        conn.execute(sql.SQL("GRANT CREATE ON DATABASE {} TO {}").format(database, sql.Identifier(OWNER)))
        conn.execute(sql.SQL("GRANT USAGE, CREATE ON SCHEMA public TO {}").format(sql.Identifier(OWNER)))
        yield conn
        conn.execute(sql.SQL("DROP OWNED BY {} CASCADE").format(sql.Identifier(OWNER)))
        conn.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(OWNER)))


@contextmanager
def as_role(database: Database, role: str) -> Generator[tuple[Database, psycopg.Connection], None, None]:
    theirs = Database(make_conninfo(database.dsn, user=role, password="for-this-test"), "test")
    with theirs.connect() as conn:
        yield theirs, conn


def write_and_find(conn: psycopg.Connection) -> None:
    """What a worker does to vectors, and a search."""
    known = Model("m", "test/hash", 8)
    with conn.transaction():
        hashes = store.lock(conn, [1])
        store.register(conn, known)
        store.write(conn, [Row(1, bytes(16), hashes[1], vector_for("One"))], model_version="m")
    with conn.transaction():
        (hit,) = search(conn, vector_for("One"), known).hits
    assert (hit.name, hit.is_current, round(hit.score, 4)) == ("One", True, 1.0)


def test_owner_without_the_right_to_create_extensions_gets_plain_arrays_that_become_vectors_later(
    empty_database: Database, admin: psycopg.Connection
) -> None:
    with as_role(empty_database, OWNER) as (theirs, conn):
        migrate(theirs)
        assert store.extension_schema(conn) is None
        conn.execute("INSERT INTO branch.branches (slug, title, field_map) VALUES ('a', 'A', '{}')")
        conn.execute(ITEM)
        write_and_find(conn)
        with pytest.raises(ConfigurationError, match="no extension pgvector") as caught:
            index.create(theirs, "m")
        assert "CREATE EXTENSION vector" in caught.value.hint
        if has_pgvector(admin):
            admin.execute("CREATE EXTENSION vector SCHEMA public")
            assert index.create(theirs, "m").is_valid
            assert store.extension_schema(conn) == "public"
            write_and_find(conn)


def test_vectors_are_of_the_type_of_an_extension_that_is_there_wherever_it_is(
    empty_database: Database, admin: psycopg.Connection
) -> None:
    if not has_pgvector(admin):
        return
    admin.execute('CREATE SCHEMA "Their extensions"; CREATE EXTENSION vector SCHEMA "Their extensions"')
    admin.execute(sql.SQL('GRANT USAGE ON SCHEMA "Their extensions" TO {}').format(sql.Identifier(OWNER)))
    with as_role(empty_database, OWNER) as (theirs, conn):
        migrate(theirs)
        assert store.extension_schema(conn) == "Their extensions"
        conn.execute("INSERT INTO branch.branches (slug, title, field_map) VALUES ('a', 'A', '{}')")
        conn.execute(ITEM)
        write_and_find(conn)
        assert index.create(theirs, "m").is_valid
        write_and_find(conn)


def test_extension_in_a_schema_that_is_closed_to_the_owner_is_not_used(
    empty_database: Database, admin: psycopg.Connection
) -> None:
    if not has_pgvector(admin):
        return
    admin.execute("CREATE SCHEMA closed; CREATE EXTENSION vector SCHEMA closed")
    with as_role(empty_database, OWNER) as (theirs, conn):
        migrate(theirs)
        assert store.extension_schema(conn) is None
