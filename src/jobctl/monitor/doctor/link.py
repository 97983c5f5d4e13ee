"""The doctor's connection to the database: opened by the first check that needs it, and nothing is started for it.

All checks that ask the database are made one after the other by one thread, so one connection serves them.
"""

from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from jobctl.errors import JobctlError
from jobctl.monitor.doctor.finding import NotAsked
from jobctl.settings import Settings

if TYPE_CHECKING:
    import psycopg

    from jobctl.db.connection import Database

CONNECT_LIMIT_S = 3
STATEMENT_LIMIT_MS = 2_000
LOCK_LIMIT_MS = 500


class NotRunning(NotAsked):
    """The embedded server is not up. That is no fault: the next run starts it."""


class Link:
    """`error` is why there is no connection, once one was asked for."""

    def __init__(self, settings: Settings | None) -> None:
        self._settings = settings
        self._database: Database | None = None
        self._conn: psycopg.Connection | None = None
        self._refusal: NotAsked | None = None
        self.error: JobctlError | None = None

    @property
    def database(self) -> "Database":
        """Where the database is. Raises NotAsked where it cannot be used, NotRunning where nobody has started it."""
        if self._database is None:
            self._open()
        assert self._database is not None
        return self._database

    @property
    def connection(self) -> "psycopg.Connection":
        """The connection itself, idle. Raises as `database` does."""
        _ = self.database
        assert self._conn is not None
        return self._conn

    @contextmanager
    def transaction(self) -> Generator["psycopg.Connection"]:
        """A transaction with short limits, on the one connection."""
        if self.connection.closed:
            raise NotAsked("the connection to the database was lost meanwhile")
        with self.database.transaction(self.connection) as conn:
            yield conn

    @contextmanager
    def on_our_schema(self) -> Generator["psycopg.Connection"]:
        """A transaction where the tables are those that this jobctl knows; else NotAsked."""
        from jobctl.db import migrate

        with self.transaction() as conn:
            if migrate.current_version(conn) != migrate.expected_version():
                raise NotAsked("the schema is not the one this jobctl knows")
            yield conn

    def close(self) -> None:
        if self._conn is not None:
            with suppress(Exception):
                self._conn.close()

    def _open(self) -> None:
        """Once: whoever asks again after a failure hears at once that there is nothing to ask."""
        if self._refusal is not None:
            raise self._refusal
        if self._settings is None:
            raise NotAsked("the settings are faulty")
        from jobctl.db.connection import Limits, locate

        try:
            dsn = _address(self._settings)
            limits = Limits(LOCK_LIMIT_MS, STATEMENT_LIMIT_MS, STATEMENT_LIMIT_MS)
            database = locate(dsn, "jobctl/doctor", limits, connect_timeout_s=CONNECT_LIMIT_S)
            self._conn = database.connect()
            self._database = database
        except NotRunning as refusal:
            self._refusal = refusal
            raise
        except JobctlError as error:
            self.error = error
            self._refusal = NotAsked("there is no connection to the database")
            raise self._refusal from error


def _address(settings: Settings) -> str:
    if settings.database_url is not None:
        return settings.database_url.get_secret_value()
    from jobctl.db import embedded

    found = embedded.status(settings.data_dir)
    if found.state != "running":
        raise NotRunning(f"the embedded PostgreSQL is {found.state}")
    return embedded.dsn(settings.data_dir)
