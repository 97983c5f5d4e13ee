"""What stands between us and PostgreSQL: nothing, or a pooler, and in which mode it works.

A pooler does not say its mode to an ordinary client. It shows in who gets which server session: in session mode two
clients never share one, in transaction mode the second is given the one that the first has just put back.
"""

import threading
from typing import Literal

import psycopg

from jobctl.db.connection import Database
from jobctl.errors import JobctlError
from jobctl.monitor.doctor.finding import Finding, ok, warning

CHECK = "database.pooler"
Kind = Literal["direct", "session", "transaction"]

TRIES = 3
SECOND_CLIENT_LIMIT_S = 2
PID = "SELECT pg_catalog.pg_backend_pid()"


def kind_of(database: Database, first: psycopg.Connection) -> Kind:
    """The kind of the connection; `first` is one that is idle. (Statement mode is refused when we connect.)"""
    if not database.pooled:
        return "direct"
    shared = threading.Event()
    second = threading.Thread(target=_look, args=(database, first, shared), daemon=True)
    second.start()
    second.join(SECOND_CLIENT_LIMIT_S)  # in session mode with a full pool the second client waits for ever
    return "transaction" if shared.is_set() else "session"


def judge(kind: Kind) -> Finding:
    if kind == "direct":
        return ok(CHECK, "connected to the server itself")
    if kind == "session":
        return ok(CHECK, "connected through a pooler in session mode")
    return warning(
        CHECK,
        "connected through a pooler in transaction mode",
        why="it works; each run that is under way keeps one server connection of the pool for its lock, and migrations"
        " want a direct connection",
        mend="count one connection for each run in default_pool_size, and migrate with the server's own address",
    )


def _look(database: Database, first: psycopg.Connection, shared: threading.Event) -> None:
    try:
        with database.connect() as other:
            for _ in range(TRIES):
                before = _pid(first)
                with other.transaction():
                    taken = _pid(other)
                    # While the other keeps it, a first client in transaction mode is given another one.
                    if taken == before or _pid(first) != before:
                        shared.set()
                        return
    except (psycopg.Error, JobctlError):
        return


def _pid(conn: psycopg.Connection) -> int:
    row = conn.execute(PID).fetchone()
    assert row is not None
    return row[0]
