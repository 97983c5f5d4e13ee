"""Read-only looks at the database, each with a time limit, and what could not be seen said instead of left out.

A look that is refused (the reader's role may not) or takes too long (a table grew, somebody holds a lock) ends alone:
it is rolled back to where it began, the others go on, and `unseen` names it with the reason.
"""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import NamedTuple, TypeVar

import psycopg
from psycopg import IsolationLevel, errors

from jobctl.db.connection import Database, Limits

Answer = TypeVar("Answer")

# Waits for a lock are short: whoever looks must never be what others wait behind.
LOCK_MS = 500
# What ends one look alone. All else (the connection is gone, the SQL is wrong) ends the command.
REFUSED = (errors.InsufficientPrivilege, errors.UndefinedTable, errors.InvalidSchemaName)
TOO_LONG = (errors.QueryCanceled, errors.LockNotAvailable)


class Unseen(NamedTuple):
    what: str
    why: str


@contextmanager
def look(
    database: Database, conn: psycopg.Connection, *, limit_ms: int, one_moment: bool = True
) -> Generator[None, None, None]:
    """A read-only transaction in which no statement takes longer; with `one_moment` all see the same snapshot."""
    conn.isolation_level = IsolationLevel.REPEATABLE_READ if one_moment else IsolationLevel.READ_COMMITTED
    conn.read_only = True
    limits = Limits(min(LOCK_MS, limit_ms), limit_ms, limit_ms + 5_000)
    with database.transaction(conn, limits=limits):
        yield


def ask(
    conn: psycopg.Connection, what: str, question: Callable[[psycopg.Connection], Answer], unseen: list[Unseen]
) -> Answer | None:
    """The answer; None where it could not be had, with the reason added to `unseen`. Inside `look`."""
    try:
        with conn.transaction():
            return question(conn)
    except REFUSED as error:
        unseen.append(Unseen(what, f"refused: {reason(error)}"))
    except TOO_LONG as error:
        unseen.append(Unseen(what, f"took too long: {reason(error)}"))
    return None


def reason(error: psycopg.Error) -> str:
    return error.diag.message_primary or type(error).__name__


MAY_SEE_ALL = "SELECT pg_catalog.pg_has_role('pg_read_all_stats', 'USAGE')"


def sees_sessions(conn: psycopg.Connection) -> bool:
    """Whether the role is shown what sessions of other roles do."""
    row = conn.execute(MAY_SEE_ALL).fetchone()
    return row is not None and row[0]
