"""Three roles against every table there is: what each may do is read from the server, and some of it tried."""

from collections.abc import Generator
from dataclasses import replace

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from jobctl.db.connection import Database
from jobctl.db.grants import script
from jobctl.db.migrate import current_version, migrate, require_schema
from jobctl.errors import ConfigurationError, UsageError

OWNER, WORKER, READER = "grants-owner", "grants-worker", "grants-reader"
ADMINISTRATOR = "grants-administrator"
LEDGER = "jobctl_meta.migrations"
OPERATORS_VIEW = "public.ingestion_jobs"
PRIVILEGES = ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER")
EXPECTED = {
    OWNER: set(PRIVILEGES),
    WORKER: {"SELECT", "INSERT", "UPDATE", "DELETE"},
    READER: {"SELECT"},
}
SCHEMAS = "SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname NOT IN ('information_schema', 'public')"
TABLES = """
SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
ORDER BY 1
"""
HELD = "SELECT p FROM unnest(%(privileges)s::text[]) AS p WHERE has_table_privilege(%(role)s, %(name)s, p)"


@pytest.fixture
def admin(empty_database: Database) -> Generator[psycopg.Connection, None, None]:
    with empty_database.connect() as conn:
        yield conn
        for role in (OWNER, WORKER, READER, ADMINISTRATOR):
            name = sql.Identifier(role)
            row = conn.execute("SELECT FROM pg_roles WHERE rolname = %s", (role,)).fetchone()
            if row is not None:
                conn.execute(sql.SQL("REASSIGN OWNED BY {} TO CURRENT_USER").format(name))
                conn.execute(sql.SQL("DROP OWNED BY {} CASCADE").format(name))
                conn.execute(sql.SQL("DROP ROLE {}").format(name))


def apply_script(conn: psycopg.Connection) -> None:
    conn.execute(script(owner=OWNER, worker=WORKER, reader=READER).encode())


def column(conn: psycopg.Connection, question: str) -> list[str]:
    return [row[0] for row in conn.execute(question.encode()).fetchall()]


def privileges(conn: psycopg.Connection) -> dict[tuple[str, str], set[str]]:
    """Who holds what on which table, as the server answers it."""
    found: dict[tuple[str, str], set[str]] = {}
    for table in column(conn, TABLES):
        for role in (OWNER, WORKER, READER):
            rows = conn.execute(
                "SELECT p FROM unnest(%s::text[]) AS p WHERE has_table_privilege(%s, %s, p)",
                (list(PRIVILEGES), role, table),
            ).fetchall()
            found[role, table] = {row[0] for row in rows}
    return found


def assert_matrix(conn: psycopg.Connection) -> None:
    tables = column(conn, TABLES)
    assert {"ops.job_history", "branch.records", "core.items", "queue.tasks", OPERATORS_VIEW, LEDGER} <= set(tables)
    expected = {(role, table): wanted for role, wanted in EXPECTED.items() for table in tables}
    expected[WORKER, LEDGER] = {"SELECT"}
    assert privileges(conn) == expected
    for schema in [*column(conn, SCHEMAS), "public"]:
        for role, create in ((OWNER, True), (WORKER, False), (READER, False)):
            row = conn.execute(
                "SELECT has_schema_privilege(%(r)s, %(s)s, 'USAGE'), has_schema_privilege(%(r)s, %(s)s, 'CREATE')",
                {"r": role, "s": schema},
            ).fetchone()
            assert row == (True, create), (role, schema)


def log_in(database: Database, admin: psycopg.Connection, role: str) -> Database:
    """The database as this role, by its own log-in."""
    admin.execute(sql.SQL("ALTER ROLE {} PASSWORD 'for-this-test'").format(sql.Identifier(role)))
    return replace(database, dsn=make_conninfo(database.dsn, user=role, password="for-this-test"))


def test_grants_before_the_first_migration_give_the_full_matrix(
    empty_database: Database, admin: psycopg.Connection
) -> None:
    apply_script(admin)
    migrate(log_in(empty_database, admin, OWNER))
    assert_matrix(admin)


def test_grants_after_a_migration_by_another_role_give_the_full_matrix(
    empty_database: Database, admin: psycopg.Connection
) -> None:
    migrate(empty_database)
    apply_script(admin)
    assert_matrix(admin)
    owners = column(
        admin, "SELECT DISTINCT r.rolname FROM pg_class AS c JOIN pg_roles AS r ON r.oid = c.relowner"
        " JOIN pg_namespace AS n ON n.oid = c.relnamespace"
        " WHERE n.nspname IN ('ops', 'core', 'branch', 'queue', 'public')"
    )  # fmt: skip
    assert owners == [OWNER]
    owners = column(
        admin, "SELECT DISTINCT r.rolname FROM pg_proc AS f JOIN pg_roles AS r ON r.oid = f.proowner"
        " JOIN pg_namespace AS n ON n.oid = f.pronamespace WHERE n.nspname IN ('ops', 'core', 'branch', 'queue')"
    )  # fmt: skip
    assert owners == [OWNER]


def test_a_second_run_changes_nothing_and_takes_back_what_was_given_by_hand(
    empty_database: Database, admin: psycopg.Connection
) -> None:
    migrate(empty_database)
    apply_script(admin)
    admin.execute(sql.SQL("GRANT DELETE ON core.items TO {}").format(sql.Identifier(READER)))
    admin.execute("GRANT SELECT ON core.items TO PUBLIC")
    apply_script(admin)
    assert_matrix(admin)
    assert admin.execute("SELECT has_table_privilege('public', 'core.items', 'SELECT')").fetchone() == (False,)


def test_the_worker_works_and_changes_no_structure(empty_database: Database, admin: psycopg.Connection) -> None:
    migrate(empty_database)
    apply_script(admin)
    with log_in(empty_database, admin, WORKER).connect() as worker:
        assert_works_and_changes_no_structure(worker)


def assert_works_and_changes_no_structure(worker: psycopg.Connection) -> None:
    require_schema(worker)
    worker.execute("INSERT INTO queue.tasks (type, dedupe_key) VALUES ('embed', '1')")
    worker.execute("INSERT INTO branch.branches (slug, title, field_map) VALUES ('a', 'A', '{}')")
    worker.execute("CREATE TEMPORARY TABLE staging (x integer)")
    assert worker.execute("SELECT count(*) FROM pg_stat_activity WHERE query <> ''").fetchone() != (0,)
    for statement in (
        "CREATE TABLE ops.x ()",
        "CREATE TABLE public.x ()",
        "CREATE SCHEMA x",
        "ALTER TABLE core.items ADD COLUMN x integer",
        "DROP TABLE core.items",
        "TRUNCATE core.items",
        "CREATE INDEX ON core.items (name)",
        "DROP SCHEMA ops CASCADE",
        "UPDATE jobctl_meta.migrations SET version = 9",
        "DELETE FROM jobctl_meta.migrations",
        "CREATE ROLE x",
        "CREATE FUNCTION ops.f() RETURNS integer LANGUAGE sql AS 'SELECT 1'",
        "COPY core.items TO PROGRAM 'cat'",
        "ALTER SYSTEM SET fsync = off",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            worker.execute(statement.encode())


def test_the_worker_sees_and_ends_its_own_sessions(empty_database: Database, admin: psycopg.Connection) -> None:
    apply_script(admin)
    worker = log_in(empty_database, admin, WORKER)
    with worker.connect() as conn, worker.connect() as stuck:
        stuck.execute("SELECT 'this one'")
        row = conn.execute(
            "SELECT query, pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = %s", (stuck.info.backend_pid,)
        ).fetchone()
        assert row == ("SELECT 'this one'", True)


def test_the_reader_reads_and_writes_nothing(empty_database: Database, admin: psycopg.Connection) -> None:
    migrate(empty_database)
    apply_script(admin)
    with log_in(empty_database, admin, READER).connect() as reader:
        assert_reads_and_writes_nothing(reader)


def assert_reads_and_writes_nothing(reader: psycopg.Connection) -> None:
    assert current_version(reader) > 0
    reader.execute("SELECT * FROM core.items")
    for statement in (
        "INSERT INTO queue.tasks (type, dedupe_key) VALUES ('embed', '1')",
        "UPDATE core.items SET name = 'x'",
        "DELETE FROM ops.job_history",
        "CREATE TABLE public.x ()",
        "CREATE TEMPORARY TABLE x (y integer)",
        "SELECT * FROM core.items FOR UPDATE",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            reader.execute(statement.encode())


OPERATORS_QUERY = "SELECT job_type, status, organization_id, site_url, error_message, updated_at FROM ingestion_jobs"
PAUSE = "UPDATE ingestion_jobs SET status='blocked' WHERE status='queued'"
GO_ON = "UPDATE ingestion_jobs SET status='queued' WHERE status='blocked'"


@pytest.mark.parametrize("is_migrated_first", [True, False])
def test_operators_queries_run_as_they_are_with_the_search_path_of_a_fresh_session(
    empty_database: Database, admin: psycopg.Connection, is_migrated_first: bool
) -> None:
    if is_migrated_first:
        migrate(empty_database)
        apply_script(admin)
    else:
        apply_script(admin)
        migrate(log_in(empty_database, admin, OWNER))
    admin.execute(
        "INSERT INTO queue.tasks (type, organization_id, site_url) VALUES ('crawl', 'o1', 'https://a.example')"
    )
    for role in (OWNER, WORKER, READER):
        dsn = log_in(empty_database, admin, role).dsn
        with psycopg.connect(dsn, autocommit=True) as session:
            rows = session.execute(OPERATORS_QUERY).fetchall()
            assert [row[:5] for row in rows] == [("crawl", "queued", "o1", "https://a.example", None)]
            if role == READER:
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    session.execute(PAUSE)
                continue
            assert session.execute(PAUSE).rowcount == 1
            assert admin.execute("SELECT state FROM queue.tasks").fetchone() == ("blocked",)
            assert session.execute(GO_ON).rowcount == 1
    assert admin.execute("SELECT state FROM queue.tasks").fetchone() == ("queued",)


@pytest.mark.parametrize("is_migrated_first", [True, False])
def test_an_administrator_who_is_no_superuser_but_owns_the_database_can_run_it(
    empty_database: Database, admin: psycopg.Connection, is_migrated_first: bool
) -> None:
    """As on a managed server. Since PostgreSQL 16 whoever makes a role has none of its rights by that alone."""
    name = sql.Identifier(admin.info.dbname)
    admin.execute(sql.SQL("CREATE ROLE {} LOGIN CREATEROLE").format(sql.Identifier(ADMINISTRATOR)))
    admin.execute(sql.SQL("ALTER DATABASE {} OWNER TO {}").format(name, sql.Identifier(ADMINISTRATOR)))
    administrator = log_in(empty_database, admin, ADMINISTRATOR)
    if is_migrated_first:
        migrate(administrator)
    for _ in range(2):
        with administrator.connect() as conn:
            apply_script(conn)
    if not is_migrated_first:
        migrate(log_in(empty_database, admin, OWNER))
    assert_matrix(admin)
    with psycopg.connect(log_in(empty_database, admin, WORKER).dsn) as session:
        assert session.execute(PAUSE).rowcount == 0


def test_an_owner_without_rights_on_schema_public_is_told_how_to_get_them(
    empty_database: Database, admin: psycopg.Connection
) -> None:
    apply_script(admin)
    admin.execute(sql.SQL("REVOKE CREATE ON SCHEMA public FROM {}").format(sql.Identifier(OWNER)))
    with pytest.raises(ConfigurationError, match="permission denied for schema public") as caught:
        migrate(log_in(empty_database, admin, OWNER))
    assert "jobctl db grants" in caught.value.hint
    apply_script(admin)
    assert migrate(log_in(empty_database, admin, OWNER))[0].version == 3


def test_outsiders_may_not_even_connect(admin: psycopg.Connection) -> None:
    apply_script(admin)
    row = admin.execute("SELECT has_database_privilege('public', current_database(), 'CONNECT')").fetchone()
    assert row == (False,)


@pytest.mark.parametrize("name", ["", "Robert'; DROP", 'a"b', "$jobctl$", "pg_read_all_data", "public", "a" * 64, "ü"])
def test_names_that_are_no_fit_role_names_are_refused(name: str) -> None:
    with pytest.raises(UsageError):
        script(owner=name, worker="w", reader="r")


def test_the_three_roles_are_different() -> None:
    with pytest.raises(UsageError, match="different"):
        script(owner="a", worker="a", reader="r")
