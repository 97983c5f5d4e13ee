"""A connection that is there when it is needed, and made anew when the server went away under it."""

from collections.abc import Callable

import psycopg

from jobctl.db.sqlstate import is_connection_lost
from jobctl.errors import DatabaseUnavailable
from jobctl.runtime.stop import shut


class Line:
    """Used by one thread; only `cut` may be called by another."""

    def __init__(self, connect: Callable[[], psycopg.Connection]) -> None:
        self._connect = connect
        self._conn: psycopg.Connection | None = None

    def conn(self) -> psycopg.Connection:
        """Raises DatabaseUnavailable when nobody answers."""
        if self._conn is None or self._conn.closed:
            self._conn = self._connect()
        return self._conn

    def drop(self) -> None:
        """After an error that leaves its state in doubt."""
        conn, self._conn = self._conn, None
        if conn is not None:
            conn.close()

    def cut(self) -> None:
        """End whatever waits on it, from another thread."""
        conn = self._conn
        if conn is not None and not conn.closed:
            shut(conn)


def is_away(error: BaseException) -> bool:
    """The server is out of reach for now; whatever was on its way may or may not have been done."""
    return isinstance(error, DatabaseUnavailable) or is_connection_lost(error)
