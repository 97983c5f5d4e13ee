"""Rows that are past move from the database into files, table by table, file by file.

A row is deleted only when it is on the disk of this host, in a file that stands under its name. Four commits make a
file: it is begun (nothing else writes one of this table), it is named, it is written, and, batch by batch, its rows are
gone. A death leaves it at one of these, and the next run goes on from there: what was not whole is removed and written
anew, for nothing was deleted; of what was whole the rest of the rows is deleted, by the file itself. So no row is lost,
and none is in two files.

The file lies on the host that ran. A whole file whose rows are not all deleted waits for a run on a host that sees it
(the same one, or another with the same directory mounted); meanwhile its stretch of rows is left alone.

Nobody waits for it: rows are read without a lock, a few megabytes at a time are held, and a batch of deletes is a
transaction of some milliseconds that touches only rows which nobody changes.
"""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, NamedTuple

import psycopg

from jobctl import clock
from jobctl.archives import sources, store
from jobctl.archives.lines import columns_of
from jobctl.archives.naming import key_of
from jobctl.archives.rows import READ_MS, Asked, Key, Span, Table
from jobctl.archives.sources import SOURCES, Source
from jobctl.archives.store import Holder
from jobctl.db.migrate import current_version
from jobctl.db.sqlstate import translated
from jobctl.errors import JobctlError
from jobctl.jobs.report.filing import COUNTS, Filing
from jobctl.jobs.report.leftovers import expire, settle
from jobctl.runtime.run import Run
from jobctl.settings import Settings

FILE_ROWS: Final = 100_000
FILE_BYTES: Final = 128_000_000  # before they are packed


@dataclass(frozen=True, slots=True)
class Options:
    """`until`: the monotonic moment after which no further file is begun."""

    settings: Settings
    until: float = math.inf
    file_rows: int = FILE_ROWS
    file_bytes: int = FILE_BYTES


class Archived(NamedTuple):
    """What a job tells of it: `counts` are rows that are in files and no longer in the database (in a dry run: would
    be), and the files with their bytes. `error` ended it before it was done; what is counted was done before."""

    counts: Mapping[str, int]
    notes: tuple[str, ...] = ()
    error: JobctlError | None = None


def archive(run: Run, options: Options) -> Archived:
    """Whatever ends it (a full disk, a lost lock, a signal), nothing was deleted that is not in a whole file."""
    settings = options.settings.archive_settings
    counts: Counter[str] = Counter(dict.fromkeys(COUNTS, 0))
    notes: list[str] = []
    try:
        with translated(), run.connect("archive") as conn:
            filing = Filing(
                run,
                conn,
                options.settings.archive_dir,
                None if run.grant is None else Holder(run.run_id, run.grant.lock_key, run.grant.fence),
                current_version(conn),
                options.file_rows,
                options.file_bytes,
                counts,
                notes,
            )
            expire(filing, keeps=None if settings.files_days is None else timedelta(days=settings.files_days))
            if filing.holder is not None:
                settle(filing, filing.holder, stays=timedelta(days=settings.restored_days))
            payload_days = options.settings.sync_settings.payload_days
            bounds = sources.bounds(conn, settings, payload_days=payload_days, now=run.now)
            for source in SOURCES:
                if source.kind in settings.takes:
                    _take(filing, source, bounds, until=options.until)
    except JobctlError as error:
        return Archived(counts, tuple(notes), run.stop.reason or error)
    return Archived(counts, tuple(notes))


def _take(filing: Filing, source: Source, bounds: Mapping[str, object], *, until: float) -> None:
    """File by file, each behind the one before."""
    table = Table(source, columns_of(filing.conn, source.table))
    after: Key | None = None
    while True:
        filing.run.stop.check()
        asked = _asked(filing.conn, source, bounds, after)
        if not _is_any(filing, table, asked):
            return
        if clock.monotonic() > until:
            filing.notes.append(f"there is more of {source.table} to archive; the next run goes on")
            return
        archive_id = None
        if filing.holder is not None:
            archive_id = filing.begin(source)
            if archive_id is None:
                filing.notes.append(f"another run archives {source.table}; it is left to that one")
                return
        filled = filing.fill(table, asked, archive_id)
        if filled is None:
            return
        after = key_of(source, filled.last)
        if archive_id is None:
            filing.count(source, filled.draft)
        else:
            filing.delete(table, filing.publish(table, filled, archive_id), archive_id)
        if filled.is_last:
            return


def _asked(conn: psycopg.Connection, source: Source, bounds: Mapping[str, object], after: Key | None) -> Asked:
    """Without the stretches of archives whose rows have not all left, or are back."""
    spans = [
        Span(each.first_key, each.last_key)
        for each in store.unsettled(conn)
        if each.table_name == source.table and each.state in ("written", "restored")
        if each.first_key is not None and each.last_key is not None
    ]
    return Asked(bounds, after, spans)


def _is_any(filing: Filing, table: Table, asked: Asked) -> bool:
    with filing.run.database.transaction(filing.conn):
        filing.conn.execute("SELECT set_config('statement_timeout', %(ms)s, true)", {"ms": f"{READ_MS}ms"})
        return table.has_any(filing.conn, asked)
