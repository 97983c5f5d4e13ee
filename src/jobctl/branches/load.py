"""Load a file into a branch: all of it or nothing, and only what differs is written.

One transaction copies the file into a staging table and merges it when the last record was read. A file that is cut, a
key pressed, a process killed: the branch is as before. Loading a file twice writes no record the second time.

What is a record's key, and of which version it is, the branch's field map says; the caller hands both in as functions
(`Mapped`). A record whose key cannot be read has one made from its content, so that it is kept once, judged by ingest
and told as a reject.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import psycopg

from jobctl.branches import records, store
from jobctl.branches.branch import Branch
from jobctl.branches.load_report import LoadReport
from jobctl.branches.locking import lock_branch
from jobctl.branches.readers import Format, format_of, read_records
from jobctl.branches.sources import Source, open_source
from jobctl.db.connection import Database, Limits
from jobctl.db.sqlstate import translated
from jobctl.errors import DataError, SourceError

# A load takes as long as its file; it waits this long for another load of the same branch.
LOCK_MS = 60_000
KEY_BYTES = 1_024  # an index entry holds no more than 2,700
SAMPLE_RECORDS = 100
SAMPLE_CHARACTERS = 100_000
FEWEST_TO_GUARD = 10
ANALYZE_FROM = 10_000
FUTURE_MICROSECONDS = 2 * 86_400 * 1_000_000

_PROGRESS_ROWS = 1_000


@dataclass(frozen=True, slots=True)
class Mapped:
    """What the branch's field map tells of a record's text. `version_of` is given when it maps updated_at: microseconds
    since 1970, None where unreadable. `missing_in` names the mapped source fields that a sample has nowhere."""

    key_of: Callable[[str], str | None]
    version_of: Callable[[str], int | None] | None = None
    missing_in: Callable[[Iterable[str]], Sequence[str]] = lambda _: ()


@dataclass(frozen=True, slots=True)
class Progress:
    rows: int
    bytes_read: int
    bytes_total: int | None


def load(
    database: Database,
    branch: Branch,
    path: str | Path,
    mapped: Mapped,
    *,
    fmt: Format | None = None,
    delimiter: str | None = None,
    full: bool = False,
    max_withdraw_share: float | None = None,
    dry_run: bool = False,
    progress: Callable[[Progress], None] | None = None,
) -> LoadReport:
    """Raises DataError when the file is cut or damaged, or would withdraw too much: the branch is then as before."""
    with open_source(path) as source:
        fmt = fmt or format_of(source)
        with database.connect(limits=Limits(LOCK_MS, 0, 0), purpose=f"load {branch.slug}") as conn:
            with translated(), database.transaction(conn, limits=Limits(LOCK_MS, 0, 0)):
                if lock_branch(conn, branch).schema_version != branch.schema_version:
                    raise SourceError(
                        f"the definition of branch {branch.slug!r} was changed meanwhile", hint="load again"
                    )
                report = _load(
                    conn,
                    branch,
                    _Incoming(source, fmt, delimiter, mapped, progress),
                    full=full,
                    share=branch.max_withdraw_share if max_withdraw_share is None else max_withdraw_share,
                    dry_run=dry_run,
                )
                if dry_run:
                    raise psycopg.Rollback
            if not dry_run and report.inserted + report.updated >= ANALYZE_FROM:
                _analyze(conn)
    return report


class _Incoming:
    """The records of the file on their way into the staging table, counted."""

    def __init__(
        self,
        source: Source,
        fmt: Format,
        delimiter: str | None,
        mapped: Mapped,
        progress: Callable[[Progress], None] | None,
    ) -> None:
        self.source = source
        self.format = fmt
        self.rows = 0
        self.without_key = 0
        self.missing_fields: tuple[str, ...] = ()
        self._records = read_records(source, fmt, delimiter=delimiter)
        self._mapped = mapped
        self._progress = progress
        self._sample: list[str] | None = []

    def copy_to_staging(self, conn: psycopg.Connection) -> None:
        key_of, version_of = self._mapped.key_of, self._mapped.version_of
        latest = time.time_ns() // 1_000 + FUTURE_MICROSECONDS
        with conn.cursor() as cursor, cursor.copy(records.COPY_STAGED) as copy:
            for number, payload in self._records:
                digest = blake2b(payload.encode(), digest_size=16).hexdigest()
                key = key_of(payload)
                if key is None or not _is_storable(key):
                    key = f"#{digest}"
                    self.without_key += 1
                version = version_of(payload) if version_of is not None else None
                if version is not None and not -latest < version < latest:
                    version = None  # a date of the far future would keep all later versions out
                copy.write_row((number, key, payload, digest, version))
                self.rows += 1
                if self._sample is not None:
                    self._take_sample(payload)
                if self.rows % _PROGRESS_ROWS == 0:
                    self._tell()
        self._end_sample()
        self._tell()

    def _take_sample(self, payload: str) -> None:
        if self._sample is not None and len(payload) <= SAMPLE_CHARACTERS:
            self._sample.append(payload)
            if len(self._sample) == SAMPLE_RECORDS:
                self._end_sample()

    def _end_sample(self) -> None:
        if self._sample:
            self.missing_fields = tuple(self._mapped.missing_in(self._sample))
        self._sample = None

    def _tell(self) -> None:
        if self._progress is not None:
            self._progress(Progress(self.rows, self.source.bytes_read, self.source.size))


def _load(
    conn: psycopg.Connection, branch: Branch, incoming: _Incoming, *, full: bool, share: float, dry_run: bool
) -> LoadReport:
    began = time.monotonic()
    branch_id = branch.branch_id
    load_id = store.next_load_id(conn)
    records.create_staging(conn)
    incoming.copy_to_staging(conn)
    duplicates = records.drop_duplicates(conn, incoming.rows)
    comparison = records.compare(conn, branch_id)
    withdrawn = 0
    if full:
        _check_withdrawal(records.count_missing(conn, branch_id), branch, rows=incoming.rows, share=share)
        withdrawn = records.withdraw_missing(conn, branch_id, load_id)
    updated = records.update_changed(conn, branch_id, load_id) if comparison.changed else 0
    inserted = 0
    if comparison.new:
        all_are_new = comparison.new == incoming.rows - duplicates
        inserted = records.insert_new(conn, branch_id, load_id, all_are_new=all_are_new)
    report = LoadReport(
        load_id=load_id,
        source=incoming.source.name,
        format=incoming.format.value,
        full=full,
        dry_run=dry_run,
        rows=incoming.rows,
        bytes=incoming.source.bytes_decoded,
        inserted=inserted,
        updated=updated,
        unchanged=comparison.unchanged,
        duplicates=duplicates,
        stale=comparison.stale,
        withdrawn=withdrawn,
        without_key=incoming.without_key,
        missing_fields=incoming.missing_fields,
        duration_ms=round((time.monotonic() - began) * 1000),
    )
    store.insert_load(conn, branch_id, report)
    return report


def _check_withdrawal(found: records.Missing, branch: Branch, *, rows: int, share: float) -> None:
    if not rows:
        raise DataError("the file has no records, and --full would withdraw all there are", hint="nothing was changed")
    if found.live >= FEWEST_TO_GUARD and found.missing > share * found.live:
        raise DataError(
            f"{found.missing:,} of {found.live:,} live records of branch {branch.slug!r} are missing from the file, "
            f"more than the share of {share:.0%} that a full load may withdraw",
            hint="nothing was changed; if the file is right, allow it once: --max-withdraw-share 1",
        )


def _is_storable(key: str) -> bool:
    if not key or "\0" in key:
        return False
    try:
        return len(key.encode()) <= KEY_BYTES
    except UnicodeEncodeError:
        return False


def _analyze(conn: psycopg.Connection) -> None:
    """The load is committed, whatever becomes of this: without it plans are slower until autovacuum does the same."""
    try:
        records.analyze(conn)
    except psycopg.Error:
        return
