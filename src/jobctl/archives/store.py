"""Store of ops.archives: one row a file, from before its first byte to its end.

Who changes a row names the run that has it; a run that was deposed or found dead no longer does, and changes none."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import psycopg
from psycopg.rows import class_row, scalar_row
from psycopg.types.json import Jsonb

from jobctl.archives.files import Written
from jobctl.errors import LockLost


@dataclass(frozen=True, slots=True)
class Archive:
    """`is_held`: a run is at it now. Times that Python has no number for are None."""

    archive_id: int
    table_name: str
    state: str
    host: str
    directory: str
    file: str | None
    rows: int
    bytes: int
    sha256: str | None
    first_key: Mapping[str, Any] | None
    last_key: Mapping[str, Any] | None
    first_at: datetime | None
    last_at: datetime | None
    run_id: UUID
    created_at: datetime
    written_at: datetime | None
    completed_at: datetime | None
    restored_at: datetime | None
    is_held: bool

    @property
    def path(self) -> Path:
        return Path(self.directory) / (self.file or "")


class Holder(NamedTuple):
    run_id: UUID
    lock_key: int
    fence: int


# A run whose row says running, and whose fence is still its lock's newest, is at it. Runs that died are `abandoned` by
# the next start of any job.
SELECT = """
SELECT a.archive_id, a.table_name, a.state, a.host, a.directory, a.file, a.rows, a.bytes, a.sha256, a.first_key,
    a.last_key, CASE WHEN a.first_at BETWEEN '0002-01-01' AND '9998-12-31' THEN a.first_at END AS first_at,
    CASE WHEN a.last_at BETWEEN '0002-01-01' AND '9998-12-31' THEN a.last_at END AS last_at,
    a.run_id, a.created_at, a.written_at, a.completed_at, a.restored_at,
    EXISTS (SELECT FROM ops.job_history AS h JOIN ops.locks AS l ON l.lock_key = a.lock_key AND l.fence = a.fence
        WHERE h.run_id = a.run_id AND h.status = 'running') AS is_held
FROM ops.archives AS a
"""
LISTED = (
    SELECT
    + """
WHERE a.state <> 'discarded' AND (%(table)s::text IS NULL OR a.table_name = %(table)s) AND a.archive_id < %(before)s
ORDER BY a.archive_id DESC LIMIT %(limit)s
"""
)
NO_END = 2**62


def listed(
    conn: psycopg.Connection, *, table: str | None = None, before: int = NO_END, limit: int = 100
) -> list[Archive]:
    """The newest first."""
    with conn.cursor(row_factory=class_row(Archive)) as cursor:
        return cursor.execute(LISTED, {"table": table, "before": before, "limit": limit}).fetchall()


BY_ID = SELECT + "WHERE a.archive_id = %(archive_id)s AND a.state <> 'discarded'"


def get(conn: psycopg.Connection, archive_id: int) -> Archive | None:
    with conn.cursor(row_factory=class_row(Archive)) as cursor:
        return cursor.execute(BY_ID, {"archive_id": archive_id}).fetchone()


UNSETTLED = SELECT + "WHERE a.state <> 'complete' ORDER BY a.archive_id"


def unsettled(conn: psycopg.Connection) -> list[Archive]:
    """What is not an end: begun, not all deleted, given up, or restored for a while."""
    with conn.cursor(row_factory=class_row(Archive)) as cursor:
        return cursor.execute(UNSETTLED).fetchall()


GONE_UNTIL = """
SELECT max(a.last_at) FROM ops.archives AS a
WHERE a.table_name = %(table)s AND a.state IN ('written', 'complete')
    AND a.last_at BETWEEN '0002-01-01' AND '9998-12-31'
"""


def gone_until(conn: psycopg.Connection, table: str) -> datetime | None:
    """The time of the newest row that left a table for a file; None: none has."""
    with conn.cursor(row_factory=scalar_row) as cursor:
        return cursor.execute(GONE_UNTIL, {"table": table}).fetchone()


EXPIRED = (
    SELECT
    + """
WHERE a.state = 'complete' AND a.host = %(host)s AND a.written_at < %(before)s ORDER BY a.archive_id
"""
)


def expired(conn: psycopg.Connection, *, host: str, before: datetime) -> list[Archive]:
    """Those of this host whose files were written before then. One that is restored is none of them."""
    with conn.cursor(row_factory=class_row(Archive)) as cursor:
        return cursor.execute(EXPIRED, {"host": host, "before": before}).fetchall()


# Zero rows: somebody else writes a file of this table.
BEGIN = """
INSERT INTO ops.archives (table_name, host, directory, run_id, lock_key, fence)
VALUES (%(table)s, %(host)s, %(directory)s, %(run_id)s, %(lock_key)s, %(fence)s)
ON CONFLICT (table_name) WHERE state = 'writing' DO NOTHING
RETURNING archive_id
"""


def begin(conn: psycopg.Connection, table: str, holder: Holder, *, host: str, directory: Path) -> int | None:
    values = {"table": table, "host": host, "directory": str(directory), **holder._asdict()}
    row = conn.execute(BEGIN, values).fetchone()
    return row[0] if row is not None else None


NAME = """
UPDATE ops.archives SET file = %(file)s
WHERE archive_id = %(archive_id)s AND run_id = %(run_id)s AND state = 'writing'
"""


def name(conn: psycopg.Connection, archive_id: int, holder: Holder, file: str) -> None:
    """Before it stands under that name, so that what a death leaves is found."""
    values = {"archive_id": archive_id, "run_id": holder.run_id, "file": file}
    _changed(conn.execute(NAME, values).rowcount)


WRITTEN = """
UPDATE ops.archives SET state = 'written', written_at = clock_timestamp(), rows = %(rows)s, bytes = %(bytes)s,
    sha256 = %(sha256)s, first_key = %(first)s, last_key = %(last)s, first_at = %(first_at)s::timestamptz,
    last_at = %(last_at)s::timestamptz
WHERE archive_id = %(archive_id)s AND run_id = %(run_id)s AND state = 'writing' AND file IS NOT NULL
"""


def written(
    conn: psycopg.Connection,
    archive_id: int,
    holder: Holder,
    whole: Written,
    keys: Sequence[Mapping[str, Any]],
    times: Sequence[str | None],
) -> None:
    """The file is on the disk. `keys` and `times` are those of its first and its last row."""
    values = {
        "archive_id": archive_id,
        "run_id": holder.run_id,
        **whole._asdict(),
        "first": Jsonb(dict(keys[0])),
        "last": Jsonb(dict(keys[1])),
        "first_at": times[0],
        "last_at": times[1],
    }
    _changed(conn.execute(WRITTEN, values).rowcount)


COMPLETE = """
UPDATE ops.archives SET state = 'complete', completed_at = clock_timestamp(), restored_at = NULL
WHERE archive_id = %(archive_id)s AND run_id = %(run_id)s AND state = 'written'
"""


def complete(conn: psycopg.Connection, archive_id: int, holder: Holder) -> None:
    _changed(conn.execute(COMPLETE, {"archive_id": archive_id, "run_id": holder.run_id}).rowcount)


# Zero rows: another run was quicker.
TAKE_OVER = """
UPDATE ops.archives SET state = %(state)s, run_id = %(run_id)s, lock_key = %(lock_key)s, fence = %(fence)s
WHERE archive_id = %(archive_id)s AND run_id = %(was)s AND state = %(was_state)s
"""


def take_over(conn: psycopg.Connection, archive: Archive, holder: Holder, *, state: str) -> bool:
    """From a run that is over. To `discarded`, so that its file is removed; else to `written`, to go on deleting."""
    values = {
        **holder._asdict(),
        "state": state,
        "archive_id": archive.archive_id,
        "was": archive.run_id,
        "was_state": archive.state,
    }
    return conn.execute(TAKE_OVER, values).rowcount == 1


FORGET = "DELETE FROM ops.archives WHERE archive_id = %(archive_id)s AND state = %(state)s AND run_id = %(run_id)s"


def forget(conn: psycopg.Connection, archive: Archive) -> bool:
    """The row goes; the file is the caller's affair. False: it changed meanwhile."""
    values = {"archive_id": archive.archive_id, "state": archive.state, "run_id": archive.run_id}
    return conn.execute(FORGET, values).rowcount == 1


# Zero rows: it was forgotten, or its rows are not all deleted.
RESTORED = """
UPDATE ops.archives SET state = 'restored', restored_at = clock_timestamp()
WHERE archive_id = %(archive_id)s AND state IN ('complete', 'restored')
"""


def restored(conn: psycopg.Connection, archive_id: int) -> bool:
    """Before the first row is back, so that no archive takes it meanwhile."""
    return conn.execute(RESTORED, {"archive_id": archive_id}).rowcount == 1


def is_due(archive: Archive, *, now: datetime, stays: timedelta) -> bool:
    """Whether the rows of a restored archive are to go again."""
    return archive.state == "restored" and archive.restored_at is not None and archive.restored_at < now - stays


def _changed(rows: int) -> None:
    if not rows:
        raise LockLost("another run took this archive over", hint="nothing is lost: the other run goes on with it")
