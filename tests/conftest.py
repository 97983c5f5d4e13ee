"""A real PostgreSQL for every test that wants one.

Each test process starts its own embedded server once and migrates one template; a test gets a fresh copy of it, which
is dropped afterwards.

    database         a fresh database with the schema, as jobctl.db.connection.Database
    conn             a connection to it, with the limits of the house
    database_url     the address of that same database as a URL, for DATABASE_URL of a process under test
    empty_database   a fresh database without any schema
    server           the server itself (see bench_postgres)
"""

import sys
from collections.abc import Generator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import hypothesis
import psycopg
import pytest
from psycopg import sql

sys.path.insert(0, str(Path(__file__).parent))  # so that tests can import the benches beside this file

from bench_postgres import Bench, fresh_bench
from jobctl.db.connection import Database
from jobctl.db.migrate import migrate

# No test asserts on elapsed time: a busy machine is no fault of the code.
hypothesis.settings.register_profile("jobctl", deadline=None)
hypothesis.settings.load_profile("jobctl")

TEMPLATE = "jobctl_template"
APPLICATION_NAME = "jobctl-test"


@pytest.fixture(scope="session")
def server() -> Generator[Bench, None, None]:
    with fresh_bench() as bench:
        bench.start()
        with _admin(bench) as admin:
            admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(TEMPLATE)))
        migrate(Database(bench.dsn(TEMPLATE), APPLICATION_NAME))
        yield bench


@pytest.fixture
def database_name(server: Bench) -> Generator[str, None, None]:
    with _fresh_database(server, TEMPLATE) as name:
        yield name


@pytest.fixture
def database(server: Bench, database_name: str) -> Database:
    return Database(server.dsn(database_name), APPLICATION_NAME)


@pytest.fixture
def database_url(server: Bench, database_name: str) -> str:
    return server.url(database_name)


@pytest.fixture
def empty_database(server: Bench) -> Generator[Database, None, None]:
    with _fresh_database(server, "template1") as name:
        yield Database(server.dsn(name), APPLICATION_NAME)


@pytest.fixture
def conn(database: Database) -> Generator[psycopg.Connection, None, None]:
    with database.connect() as connection:
        yield connection


_numbers = count(1)


@contextmanager
def _fresh_database(server: Bench, template: str) -> Generator[str, None, None]:
    name = f"test_{next(_numbers)}"
    # Without a word of WAL: a quarter less for each test.
    create = sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy").format(
        sql.Identifier(name), sql.Identifier(template)
    )
    drop = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
    with _admin(server) as admin:
        admin.execute(create)
    try:
        yield name
    finally:
        with _admin(server) as admin:
            admin.execute(drop)


def _admin(server: Bench) -> psycopg.Connection:
    return psycopg.connect(server.dsn("postgres"), autocommit=True, application_name="jobctl-test-admin")
