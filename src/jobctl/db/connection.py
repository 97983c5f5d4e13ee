"""Connections to PostgreSQL, each with the limits of the house, directly or through a pooler.

A pooler in transaction mode hands each transaction to another server session, so nothing set on the session can be
trusted: there the limits are set inside every transaction (`transaction`), no statement is prepared, and a session lock
is never used. A pooler is recognised by the backend's pid: PgBouncer gives its client a number of its own.
"""

import os
import socket
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import NamedTuple

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from jobctl.db.sqlstate import translated
from jobctl.errors import ConfigurationError

APPLICATION_NAME_BYTES = 63  # PostgreSQL cuts longer names


class Limits(NamedTuple):
    """Time limits of a session, in milliseconds, each below the next; 0 switches one off."""

    lock_ms: int = 2_000
    statement_ms: int = 25_000
    idle_in_transaction_ms: int = 30_000


USUAL_LIMITS = Limits()
NO_LIMITS = Limits(0, 0, 0)


@dataclass(frozen=True, slots=True)
class Database:
    """Where PostgreSQL is and how sessions behave there. `pooled` is found out by the first connection (`locate`)."""

    dsn: str
    application_name: str
    pooled: bool = False
    limits: Limits = USUAL_LIMITS
    connect_timeout_s: int = 5

    def connect(self, *, limits: Limits | None = None, purpose: str = "") -> psycopg.Connection:
        """An autocommit connection; transactions are opened with `transaction`.

        Raises DatabaseUnavailable when nobody answers and ConfigurationError when we are turned away."""
        name = f"{self.application_name}/{purpose}" if purpose else self.application_name
        with translated():
            conn = psycopg.connect(
                make_conninfo(
                    self.dsn,
                    application_name=name.encode()[:APPLICATION_NAME_BYTES].decode(errors="ignore"),
                    connect_timeout=self.connect_timeout_s,
                    keepalives=1,
                    keepalives_idle=5,
                    keepalives_interval=2,
                    keepalives_count=3,
                    tcp_user_timeout=10_000,
                ),
                autocommit=True,
            )
            if self.pooled:
                conn.prepare_threshold = None
                conn.execute("SET timezone TO 'UTC'")  # one of the few that a pooler keeps for each client
            else:
                conn.execute(_settings_statement(limits or self.limits, local=False))
        return conn

    @contextmanager
    def transaction(
        self, conn: psycopg.Connection, *, limits: Limits | None = None
    ) -> Generator[psycopg.Connection, None, None]:
        """A transaction with the limits of the house, wherever it runs."""
        with conn.transaction():
            if self.pooled or limits is not None:
                conn.execute(_settings_statement(limits or self.limits, local=True))
            yield conn


def locate(
    dsn: str,
    application_name: str,
    limits: Limits | None = None,
    *,
    check: Callable[[psycopg.Connection], None] | None = None,
    connect_timeout_s: int = 5,
) -> Database:
    """Connect once and see whether a pooler stands between, and whether it lets a transaction stay together.

    `check` is called with that connection, so that what else must be asked first costs no second one.
    Raises as `Database.connect` does, and ConfigurationError for a pooler in statement mode."""
    with translated():
        conn = psycopg.connect(
            make_conninfo(dsn, connect_timeout=connect_timeout_s, application_name=application_name),
            autocommit=True,
            prepare_threshold=None,
        )
    with conn:
        with translated():
            row = conn.execute("SELECT pg_catalog.pg_backend_pid()").fetchone()
        pooled = row is None or row[0] != conn.info.backend_pid
        if pooled:
            try:
                conn.execute("BEGIN")
            except psycopg.Error as error:
                raise ConfigurationError(
                    "the pooler in front of PostgreSQL is in statement mode: no lock can be held through it",
                    hint="set its pool_mode to transaction or session, or point DATABASE_URL at the server",
                ) from error
            conn.execute("ROLLBACK")
        if check is not None:
            with translated():
                check(conn)
    return Database(dsn, application_name, pooled, limits or Limits(), connect_timeout_s)


def widen_send_buffer(conn: psycopg.Connection, size: int) -> None:
    """Let the kernel take this many bytes at once, if it will: for connections that send large blocks."""
    with suppress(OSError), socket.socket(fileno=os.dup(conn.fileno())) as ours:
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, size)


def _settings_statement(limits: Limits, *, local: bool) -> sql.Composed:
    values = {
        "lock_timeout": f"{limits.lock_ms}ms",
        "statement_timeout": f"{limits.statement_ms}ms",
        "idle_in_transaction_session_timeout": f"{limits.idle_in_transaction_ms}ms",
        # A killed client's query ends within this, and gives its locks back.
        "client_connection_check_interval": "1000ms",
        "search_path": "pg_catalog",
        "timezone": "UTC",
        "jit": "off",
    }
    call = sql.SQL("set_config({}, {}, {})")
    return sql.SQL("SELECT {}").format(
        sql.SQL(", ").join(call.format(name, value, sql.Literal(local)) for name, value in values.items())
    )
