"""Reads a report part by part in one snapshot, so that one that the database gives up keeps no other from being told.

Each part is read behind a savepoint. What ends there and no further (a statement beyond its limit, a lock that another
session holds, a table that this role may not read, no room to sort in) is kept with its reason; the snapshot is the
whole transaction's and stays. A connection that is lost ends all of it, and so does a run that is asked to stop.
"""

from collections.abc import Callable
from typing import TypeVar

import psycopg

from jobctl.db.sqlstate import explain, is_connection_lost
from jobctl.redact import Redactor
from jobctl.reports.model import Part
from jobctl.reports.words import one_line
from jobctl.runtime.stop import Stop

LONGEST_REASON = 200
Found = TypeVar("Found")


class Reading:
    """`unread`: why, of each part that was not."""

    def __init__(self, conn: psycopg.Connection, redactor: Redactor, stop: Stop) -> None:
        self.unread: dict[Part, str] = {}
        self._conn = conn
        self._redactor = redactor
        self._stop = stop
        self._first: psycopg.Error | None = None
        self._is_any_read = False

    def part(self, name: Part, read: Callable[[], Found], nothing: Found) -> Found:
        """Inside a transaction: what `read` gives, or `nothing` where the database did not let it."""
        self._stop.check()
        try:
            with self._conn.transaction():
                found = read()
        except psycopg.Error as error:
            self._stop.check()
            if is_connection_lost(error):
                raise
            self._first = self._first or error
            self.unread[name] = one_line(self._redactor.text(explain(error).message), LONGEST_REASON)
            return nothing
        self._is_any_read = True
        return found

    def require_any(self) -> None:
        """Raises the first error where nothing could be read: that is no report."""
        if self._first is not None and not self._is_any_read:
            raise self._first
