"""One file of the archive, from before its first byte until its rows are gone (the steps: `archiving`)."""

from collections import Counter
from collections.abc import Generator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psycopg

from jobctl.archives import files, store
from jobctl.archives.batches import batches
from jobctl.archives.failures import ArchiveError
from jobctl.archives.manifest import Manifest
from jobctl.archives.naming import file_name, key_of, time_of
from jobctl.archives.rows import READ_MS, Asked, Table, prepare
from jobctl.archives.sources import SOURCES, Source
from jobctl.archives.store import Holder
from jobctl.runtime.run import Run

TABLE_OF: Final = {f"archived_{each.kind}": each.table for each in SOURCES}  # by count
COUNTS: Final = ("archived", *TABLE_OF, "archive_files", "archive_bytes", "archive_files_deleted")
MOST_TRIES: Final = 3  # of a batch whose rows somebody else holds


class _Full(Exception):
    """A file has the bytes that it may have."""


@dataclass
class Filled:
    """A draft with its first and its last row. `is_last`: there were no more rows than it took."""

    draft: files.Draft
    first: str = ""
    last: str = ""
    is_last: bool = True


@dataclass
class Filing:
    """What all files of a run have in common, and what has become of them. Without `holder`, in a dry run, no file is
    made, and only what would be in it is counted."""

    run: Run
    conn: psycopg.Connection
    directory: Path
    holder: Holder | None
    schema: int
    file_rows: int
    file_bytes: int
    counts: Counter[str]
    notes: list[str]

    def begin(self, source: Source) -> int | None:
        """None: another run is at a file of this table."""
        assert self.holder is not None
        files.make_directory(self.directory)
        with self.run.effect(self.conn):
            return store.begin(self.conn, source.table, self.holder, host=self.host, directory=self.directory)

    def fill(self, table: Table, asked: Asked, archive_id: int | None) -> Filled | None:
        """None: there was no row."""
        path = None if archive_id is None else self.directory / files.draft_name(archive_id)
        draft: files.Draft | None = None
        try:
            with files.told(path or self.directory):
                draft = files.Draft(path)
                filled = Filled(draft)
                self._read_into(filled, table, asked)
            if draft.rows:
                return filled
        except BaseException:
            self._give_up(draft, archive_id)
            raise
        self._give_up(draft, archive_id)
        return None

    def count(self, source: Source, draft: files.Draft) -> None:
        """Of a dry run."""
        whole = draft.finish()
        self._gone(source, whole.rows)
        self._filed(whole)

    def publish(self, table: Table, filled: Filled, archive_id: int) -> Path:
        """The file is on the disk under its name, and the database knows it."""
        assert self.holder is not None
        draft = self.directory / files.draft_name(archive_id)
        first, last = key_of(table.source, filled.first), key_of(table.source, filled.last)
        times = [time_of(table.source, filled.first), time_of(table.source, filled.last)]
        try:
            with files.told(draft):
                whole = filled.draft.finish()
                path = self.directory / file_name(table.source.table, times[0], times[1], archive_id)
                files.require_free(path)  # before it is this archive's by name, and is removed with it
                told_of = Manifest(
                    table=table.source.table,
                    file=path.name,
                    **whole._asdict(),
                    columns=tuple((each.name, each.type) for each in table.columns),
                    first=first,
                    last=last,
                    first_at=times[0],
                    last_at=times[1],
                    schema=self.schema,
                    archive_id=archive_id,
                    run_id=str(self.run.run_id),
                    host=self.host,
                    written_at=self.run.now.isoformat(),
                )
                with self.run.effect(self.conn):
                    store.name(self.conn, archive_id, self.holder, path.name)
                files.publish(draft, path, told_of)
            files.check_whole(path, whole.bytes, whole.sha256)
            with self.run.effect(self.conn):
                store.written(self.conn, archive_id, self.holder, whole, (first, last), times)
        except BaseException:
            self._give_up(filled.draft, archive_id)
            raise
        self._filed(whole)
        return path

    def delete(self, table: Table, path: Path, archive_id: int) -> None:
        """The rows of a whole file, in its order; then it is complete. Rows that are gone already are not met again."""
        assert self.holder is not None
        changed = 0
        for batch in batches(files.lines(path)):
            self.run.stop.check()
            found = self._delete_batch(table, batch)
            if found is None:
                self.notes.append(f"rows of {path.name} are held by another session; the next run deletes them")
                return
            changed += found
        with self.run.effect(self.conn):
            store.complete(self.conn, archive_id, self.holder)
        self.run.event("archived", table=table.source.table, archive_id=archive_id, file=path.name, changed=changed)
        if changed:
            self.notes.append(f"{changed:,} rows of {table.source.table} were changed meanwhile and stay, too")

    @property
    def host(self) -> str:
        return self.run.identity.host

    def _read_into(self, filled: Filled, table: Table, asked: Asked) -> None:
        try:
            with self.run.database.transaction(self.conn):
                prepare(self.conn, statement_ms=READ_MS)
                with closing(table.read(self.conn, asked, most=self.file_rows)) as lines:
                    for line in lines:
                        filled.first = filled.first or line
                        filled.last = line
                        filled.draft.add(line)
                        if filled.draft.rows % 1_000 == 0:
                            self.run.stop.check()
                        if filled.draft.raw_bytes >= self.file_bytes:
                            raise _Full
                filled.is_last = filled.draft.rows < self.file_rows
        except _Full:
            filled.is_last = False

    def _delete_batch(self, table: Table, batch: list[str]) -> int | None:
        """How many are there as others; None when another session holds some of them all the time."""
        for _ in range(MOST_TRIES):
            changed = 0
            try:
                with self.run.effect(self.conn, wait_for_disk=False):
                    prepare(self.conn)
                    gone = table.delete(self.conn, batch)
                    if gone < len(batch):
                        changed = table.other(self.conn, batch)
            except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected):
                continue
            self._gone(table.source, gone)
            return changed
        return None

    def _gone(self, source: Source, rows: int) -> None:
        self.counts["archived"] += rows
        self.counts[f"archived_{source.kind}"] += rows
        self.run.progress(self.counts["archived"], None)

    def _filed(self, whole: files.Written) -> None:
        self.counts["archive_files"] += 1
        self.counts["archive_bytes"] += whole.bytes

    def _give_up(self, draft: files.Draft | None, archive_id: int | None) -> None:
        """As far as it can be: what is left of it is met by the next run."""
        if draft is not None:
            draft.give_up()
        if archive_id is None:
            return
        with _as_far_as_it_goes():
            mine = store.get(self.conn, archive_id)
            if mine is None or mine.state != "writing" or mine.run_id != self.run.run_id:
                return
            files.remove(self.directory, archive_id, mine.file)
            with self.run.effect(self.conn):
                store.forget(self.conn, mine)


@contextmanager
def _as_far_as_it_goes() -> Generator[None, None, None]:
    """After an error, which is told; a second one would hide it."""
    try:
        yield
    except (psycopg.Error, OSError, ArchiveError):
        return
