"""The migration runner: each file once, in order, under a lock, and never against a schema it does not know."""

import threading
import time
from collections.abc import Callable, Generator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from bench_pooler import pgbouncer, pooled
from jobctl.db import migrate as runner
from jobctl.db.connection import Database, locate
from jobctl.db.migrate import current_version, expected_version, migrate, require_schema
from jobctl.errors import ConfigurationError, DatabaseUnavailable, JobctlError, SchemaError


@pytest.fixture
def files(tmp_path: Path) -> Callable[..., Path]:
    """Write migrations: `files("CREATE ...", "ALTER ...")` gives a directory with 0001 and 0002."""

    def write(*texts: str) -> Path:
        for number, text in enumerate(texts, start=1):
            (tmp_path / f"{number:04}_step.sql").write_text(text)
        runner.migrations.cache_clear()
        return tmp_path

    return write


@pytest.fixture
def empty(empty_database: Database) -> Generator[psycopg.Connection, None, None]:
    with empty_database.connect() as conn:
        yield conn


def tables(conn: psycopg.Connection) -> list[str]:
    rows = conn.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY tablename").fetchall()
    return [row[0] for row in rows]


def test_a_fresh_test_database_has_the_schema_this_code_knows(database: Database, conn: psycopg.Connection) -> None:
    assert current_version(conn) == expected_version() > 0
    require_schema(conn)
    assert migrate(database) == []


def test_an_empty_database_is_migrated_and_says_what_was_applied(
    empty_database: Database, empty: psycopg.Connection
) -> None:
    with pytest.raises(SchemaError) as caught:
        require_schema(empty)
    assert caught.value.hint == "run: jobctl db migrate"
    assert caught.value.exit_code == 78
    applied = migrate(empty_database)
    assert [each.version for each in applied] == list(range(1, expected_version() + 1))
    assert applied[0].name == "0001_foundation"
    require_schema(empty)


def test_an_older_schema_is_refused(conn: psycopg.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    known = expected_version()
    monkeypatch.setattr(runner, "expected_version", lambda: known + 1)
    with pytest.raises(SchemaError, match=rf"\({known}\) is older than this jobctl \({known + 1}\)") as caught:
        require_schema(conn)
    assert caught.value.hint == "run: jobctl db migrate"


def test_a_newer_schema_is_refused_by_runs_and_by_migrate(database: Database, conn: psycopg.Connection) -> None:
    newer = expected_version() + 1
    conn.execute("INSERT INTO jobctl_meta.migrations VALUES (%s, 'later', 'x', 0, now(), 'x', 'x')", (newer,))
    for attempt in (lambda: require_schema(conn), lambda: migrate(database)):
        with pytest.raises(SchemaError, match=rf"\({newer}\) is newer than this jobctl \({newer - 1}\)") as caught:
            attempt()
        assert "upgrade jobctl" in caught.value.hint


def test_only_what_is_missing_is_applied(
    empty_database: Database, empty: psycopg.Connection, files: Callable[..., Path]
) -> None:
    first, second = "CREATE TABLE public.one ()", "CREATE TABLE public.two ()"
    assert [a.version for a in migrate(empty_database, directory=files(first))] == [1]
    assert [a.version for a in migrate(empty_database, directory=files(first, second))] == [2]
    assert tables(empty) == ["one", "two"]


def test_a_file_that_was_changed_after_it_was_applied_is_refused(
    empty_database: Database, files: Callable[..., Path]
) -> None:
    migrate(empty_database, directory=files("CREATE TABLE public.one ()"))
    with pytest.raises(SchemaError, match="0001_step was changed"):
        migrate(empty_database, directory=files("CREATE TABLE public.one (x integer)"))


def test_a_gap_in_the_numbers_is_refused(empty_database: Database, files: Callable[..., Path]) -> None:
    directory = files("SELECT 1", "SELECT 1", "SELECT 1")
    (directory / "0002_step.sql").unlink()
    with pytest.raises(ConfigurationError, match="not numbered"):
        migrate(empty_database, directory=directory)


def test_a_file_that_fails_leaves_nothing_and_is_named(
    empty_database: Database, empty: psycopg.Connection, files: Callable[..., Path]
) -> None:
    directory = files("CREATE TABLE public.one ()", "CREATE TABLE public.two (); SELECT 1/0")
    with pytest.raises(JobctlError, match=r"migration 0002_step: .*division by zero"):
        migrate(empty_database, directory=directory)
    assert tables(empty) == ["one"]
    assert current_version(empty) == 1


def test_a_percent_sign_and_several_statements_pass_as_they_are(
    empty_database: Database, empty: psycopg.Connection, files: Callable[..., Path]
) -> None:
    migrate(
        empty_database,
        directory=files("CREATE TABLE public.one (); SELECT 'a%s' LIKE 'a%'; CREATE TABLE public.two ()"),
    )
    assert tables(empty) == ["one", "two"]


def test_an_index_is_built_concurrently_outside_a_transaction(
    empty_database: Database, empty: psycopg.Connection, files: Callable[..., Path]
) -> None:
    index = (
        "-- jobctl: no-transaction\nDROP INDEX CONCURRENTLY IF EXISTS public.by_x;\n"
        "-- jobctl: next statement\nCREATE INDEX CONCURRENTLY by_x ON public.one (x);\n"
    )
    migrate(empty_database, directory=files("CREATE TABLE public.one (x integer)", index))
    row = empty.execute("SELECT indisvalid FROM pg_index WHERE indexrelid = 'public.by_x'::regclass").fetchone()
    assert row == (True,)
    assert current_version(empty) == 2


def test_many_callers_at_once_apply_each_file_once_and_concurrent_indexes_do_not_deadlock(
    empty_database: Database, empty: psycopg.Connection, files: Callable[..., Path]
) -> None:
    directory = files(
        "CREATE TABLE public.one (x integer); CREATE SEQUENCE public.runs; SELECT nextval('public.runs')",
        "-- jobctl: no-transaction\nCREATE INDEX CONCURRENTLY by_x ON public.one (x);\n",
        "SELECT nextval('public.runs')",
    )
    runner.migrations(directory)
    results: list[list[int]] = []

    def one() -> None:
        results.append([each.version for each in migrate(empty_database, directory=directory, wait_limit_s=30)])

    threads = [threading.Thread(target=one) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(40)
    assert sorted(version for each in results for version in each) == [1, 2, 3]
    assert len(results) == 6
    assert empty.execute("SELECT last_value FROM public.runs").fetchone() == (2,)


def test_a_held_lock_is_waited_for_up_to_the_limit(
    empty_database: Database, empty: psycopg.Connection, files: Callable[..., Path]
) -> None:
    empty.execute("SELECT pg_advisory_lock(%s)", (runner.LOCK_KEY,))
    with pytest.raises(DatabaseUnavailable, match="another migration"):
        migrate(empty_database, directory=files("SELECT 1"), wait_limit_s=0.3)
    assert current_version(empty) == 0


def test_a_table_lock_of_others_is_waited_for_in_short_tries(
    empty_database: Database, empty: psycopg.Connection, files: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "LOCK_TIMEOUT_MS", 100)
    monkeypatch.setattr(runner, "PAUSE_S", 0.05)
    first = "CREATE TABLE public.one ()"
    migrate(empty_database, directory=files(first))
    holder = empty_database.connect()
    holder.execute("BEGIN")
    holder.execute("LOCK TABLE public.one IN ACCESS SHARE MODE")

    def let_go() -> None:
        time.sleep(0.5)
        holder.close()

    thread = threading.Thread(target=let_go)
    thread.start()
    applied = migrate(empty_database, directory=files(first, "ALTER TABLE public.one ADD COLUMN x integer"))
    thread.join()
    assert [each.version for each in applied] == [2]


def test_a_table_lock_that_stays_ends_the_migration_with_nothing_applied(
    empty_database: Database, empty: psycopg.Connection, files: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "LOCK_TIMEOUT_MS", 50)
    monkeypatch.setattr(runner, "PAUSE_S", 0.01)
    monkeypatch.setattr(runner, "TRIES", 3)
    migrate(empty_database, directory=files("CREATE TABLE public.one ()"))
    with empty.transaction():
        empty.execute("LOCK TABLE public.one IN ACCESS SHARE MODE")
        with pytest.raises(JobctlError, match="0002_step"):
            migrate(empty_database, directory=files("CREATE TABLE public.one ()", "DROP TABLE public.one"))
    assert tables(empty) == ["one"]


def test_the_lock_is_free_after_a_failure(empty_database: Database, files: Callable[..., Path]) -> None:
    with pytest.raises(JobctlError):
        migrate(empty_database, directory=files("SELECT 1/0"))
    assert [each.version for each in migrate(empty_database, directory=files("SELECT 1"), wait_limit_s=1)] == [1]


def test_an_old_server_is_refused(empty_database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "OLDEST_SERVER", 990_000)
    with pytest.raises(ConfigurationError, match="PostgreSQL 15 or later"):
        migrate(empty_database)


@pytest.mark.skipif(pgbouncer() is None, reason="no pgbouncer here")
@pytest.mark.parametrize("mode", ["transaction", "session"])
def test_a_pooler_is_refused_before_anything_is_written(
    mode: str, empty_database: Database, empty: psycopg.Connection
) -> None:
    with pooled(empty_database.dsn, mode) as url:
        found = locate(url, "jobctl-test")
        for database in (found, replace(found, pooled=False)):  # found out even where nobody looked before
            with pytest.raises(ConfigurationError, match="migrate needs a direct connection"):
                migrate(database)
    assert current_version(empty) == 0


def test_a_role_that_may_not_read_the_version_is_told_about_grants(
    database: Database, conn: psycopg.Connection
) -> None:
    conn.execute("CREATE ROLE outsider")
    try:
        conn.execute("SET ROLE outsider")
        with pytest.raises(ConfigurationError, match="may not read") as caught:
            current_version(conn)
        assert "jobctl db grants" in caught.value.hint
    finally:
        conn.execute("RESET ROLE")
        conn.execute("DROP ROLE outsider")
