"""Store of dev.etags."""

import threading
from collections.abc import Collection, Generator
from contextlib import contextmanager
from datetime import timedelta
from typing import Final

import psycopg
from psycopg.rows import class_row

from jobctl.github.etags import Kept

# A row is stamped at most once in this time: a 304 is to cost no write.
STAMPED_EVERY: Final = timedelta(days=1)


class StoredEtags:
    """Reads for a client, over the connection that each thread has at hand. `used` are identity and URL of all that
    were found."""

    def __init__(self, conn: psycopg.Connection | None = None) -> None:
        self._conn = conn
        self._here = threading.local()
        self.used: set[tuple[str, str]] = set()

    @contextmanager
    def over(self, conn: psycopg.Connection) -> Generator[None, None, None]:
        """Meanwhile this thread reads over this one."""
        self._here.conn = conn
        try:
            yield
        finally:
            self._here.conn = None

    def find(self, identity: str, url: str) -> Kept | None:
        conn: psycopg.Connection | None = getattr(self._here, "conn", None) or self._conn
        found = find(conn, identity, url) if conn is not None else None
        if found is not None:
            self.used.add((identity, url))
        return found


FIND = "SELECT identity, url, etag, next_url FROM dev.etags WHERE identity = %(identity)s AND url = %(url)s"


def find(conn: psycopg.Connection, identity: str, url: str) -> Kept | None:
    with conn.cursor(row_factory=class_row(Kept)) as cursor:
        return cursor.execute(FIND, {"identity": identity, "url": url}).fetchone()


KEEP = """
INSERT INTO dev.etags AS e (identity, url, etag, next_url)
VALUES (%(identity)s, %(url)s, %(etag)s, %(next_url)s)
ON CONFLICT (identity, url) DO UPDATE
SET etag = excluded.etag, next_url = excluded.next_url, used_at = excluded.used_at
WHERE (e.etag, e.next_url) IS DISTINCT FROM (excluded.etag, excluded.next_url)
    OR e.used_at < excluded.used_at - %(stamped_every)s
"""


def keep(conn: psycopg.Connection, kept: Kept) -> bool:
    """In the transaction that writes the page's rows. False: it stood there already."""
    return conn.execute(KEEP, {**kept._asdict(), "stamped_every": STAMPED_EVERY}).rowcount == 1


STAMP = """
UPDATE dev.etags SET used_at = clock_timestamp()
WHERE identity = %(identity)s AND url = %(url)s AND used_at < clock_timestamp() - %(stamped_every)s
"""


def stamp(conn: psycopg.Connection, identity: str, url: str) -> bool:
    """It was of use. False: that stands there already, or the row is gone."""
    values = {"identity": identity, "url": url, "stamped_every": STAMPED_EVERY}
    return conn.execute(STAMP, values).rowcount == 1


STAMP_ALL = """
UPDATE dev.etags AS e SET used_at = clock_timestamp()
FROM unnest(%(identities)s::text[], %(urls)s::text[]) AS used (identity, url)
WHERE e.identity = used.identity AND e.url = used.url AND e.used_at < clock_timestamp() - %(stamped_every)s
"""


def stamp_all(conn: psycopg.Connection, used: Collection[tuple[str, str]]) -> int:
    """Identity and URL of each that was of use. How many did not say so already."""
    values = {"identities": [each[0] for each in used], "urls": [each[1] for each in used]}
    return conn.execute(STAMP_ALL, {**values, "stamped_every": STAMPED_EVERY}).rowcount


# Tokens end and addresses with a date in them are asked for once, so rows are left behind all the time.
PRUNE = """
DELETE FROM dev.etags WHERE (identity, url) IN (
    SELECT identity, url FROM dev.etags WHERE used_at < clock_timestamp() - %(unused_for)s LIMIT %(limit)s)
"""


def prune(conn: psycopg.Connection, *, unused_for: timedelta, limit: int = 5_000) -> int:
    return conn.execute(PRUNE, {"unused_for": unused_for, "limit": limit}).rowcount


FORGET = "DELETE FROM dev.etags WHERE starts_with(url, %(prefix)s)"


def forget(conn: psycopg.Connection, prefix: str) -> int:
    """Those of the URLs that begin so: what they answer is wanted whole again."""
    return conn.execute(FORGET, {"prefix": prefix}).rowcount
