"""Rows back from a file into their table, exactly as they were. Doing it twice changes nothing.

The whole file is checked before the first row goes in. What is there already stays; a row whose place is taken by
another one is left out and told. Batches are short transactions, so a restore that was cut off is finished by the next.
"""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import psycopg

from jobctl.archives import files
from jobctl.archives.batches import batches
from jobctl.archives.checking import check
from jobctl.archives.failures import ArchiveError
from jobctl.archives.lines import Column, columns_of
from jobctl.archives.manifest import Manifest
from jobctl.archives.rows import Table, prepare
from jobctl.archives.sources import source_of
from jobctl.archives.store import Archive
from jobctl.db.connection import Database
from jobctl.db.migrate import current_version

MOST_NAMED = 20


class Restored(NamedTuple):
    """`conflicts` of the rows are not there as they were; some of their keys."""

    table: str
    rows: int
    restored: int
    unchanged: int
    conflicts: int
    keys: tuple[str, ...]


def restore(
    database: Database,
    conn: psycopg.Connection,
    path: Path,
    archive: Archive | None,
    *,
    begin: Callable[[], None],
    dry_run: bool,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Restored:
    """`begin` is called when all is checked, before the first row goes in."""
    told_of = check(path, archive)
    table = table_of(conn, told_of, path)
    begin()
    put, conflicts, done = 0, 0, 0
    keys: list[str] = []
    for batch in batches(files.lines(path)):
        with _told(path), database.transaction(conn):
            prepare(conn)
            put += table.put(conn, batch)
            missing = table.missing(conn, batch)
            if dry_run:
                raise psycopg.Rollback
        conflicts += len(missing)
        keys += missing[: MOST_NAMED - len(keys)]
        done += len(batch)
        progress(done, told_of.rows)
    return Restored(told_of.table, told_of.rows, put, told_of.rows - put - conflicts, conflicts, tuple(keys))


def table_of(conn: psycopg.Connection, told_of: Manifest, path: Path) -> Table:
    """The table of today with the columns of the file. Raises ArchiveError where they do not fit."""
    source = source_of(told_of.table)
    if source is None:
        raise ArchiveError(f"{path} is of {told_of.table}, which this version does not archive")
    version = current_version(conn)
    if told_of.schema > version:
        raise ArchiveError(
            f"{path} was written under schema {told_of.schema}, and this database has {version}",
            hint="update jobctl, then: jobctl db migrate",
        )
    there = {each.name: each for each in columns_of(conn, told_of.table)}
    columns: list[Column] = []
    for name, type_ in told_of.columns:
        if name not in there:
            raise ArchiveError(f"{path} has the column {name}, which {told_of.table} no longer has")
        if there[name].type != type_:
            raise ArchiveError(f"{name} of {told_of.table} is {there[name].type} now, and {type_} in {path}")
        columns.append(there[name])
    return Table(source, columns)


@contextmanager
def _told(path: Path) -> Generator[None, None, None]:
    """What the row belongs to is gone, or the row is none that the table takes."""
    try:
        yield
    except psycopg.errors.ForeignKeyViolation as error:
        detail = error.diag.message_detail or str(error)
        raise ArchiveError(f"what a row of {path} belongs to is not there any more: {detail}") from error
    except (psycopg.IntegrityError, psycopg.DataError) as error:
        raise ArchiveError(f"the table does not take a row of {path}: {error.diag.message_primary}") from error
