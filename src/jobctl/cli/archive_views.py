"""How archives look to a program and to a person."""

import socket
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from jobctl.archives.checking import check
from jobctl.archives.failures import ArchiveError
from jobctl.archives.restoring import Restored
from jobctl.archives.store import Archive
from jobctl.cli.render import note, print_table, print_text

if TYPE_CHECKING:
    from jobctl.cli.run_command import ScopeReport

WHOLE: Final = "whole"
WRONG: Final = "wrong"
ELSEWHERE: Final = "elsewhere"
UNFINISHED: Final = "unfinished"


class Verified(NamedTuple):
    """`elsewhere`: the file lies on another host, which alone can look at it."""

    archive: Archive
    verdict: str
    said: str


def verify(archive: Archive) -> Verified:
    if archive.state == "writing":
        return Verified(archive, UNFINISHED, "it is being written, or its run died; nothing of it was deleted")
    if archive.host != socket.gethostname() and not archive.path.exists():
        return Verified(archive, ELSEWHERE, f"look at it on {archive.host}")
    try:
        check(archive.path, archive)
    except ArchiveError as error:
        return Verified(archive, WRONG, error.message)
    return Verified(archive, WHOLE, "")


def shown(archive: Archive) -> dict[str, Any]:
    """Its JSON object."""
    return {
        "archive_id": archive.archive_id,
        "table": archive.table_name,
        "state": archive.state,
        "host": archive.host,
        "file": str(archive.path) if archive.file else None,
        "rows": archive.rows,
        "bytes": archive.bytes,
        "sha256": archive.sha256,
        "first_key": archive.first_key,
        "last_key": archive.last_key,
        "first_at": archive.first_at,
        "last_at": archive.last_at,
        "run_id": archive.run_id,
        "created_at": archive.created_at,
        "written_at": archive.written_at,
        "completed_at": archive.completed_at,
        "restored_at": archive.restored_at,
    }


def print_archives(found: Sequence[Archive]) -> None:
    if not found:
        print_text("nothing was archived yet: `jobctl report` does it weekly, `jobctl archive run` now")
        return
    rows = [
        (
            each.archive_id,
            each.table_name,
            each.state,
            f"{each.rows:,}",
            size(each.bytes),
            _days(each),
            each.host,
        )
        for each in found
    ]
    print_table("", ("id", "table", "state", "rows", "size", "from - until (UTC)", "host"), rows)
    for directory in dict.fromkeys(f"{each.host}:{each.directory}" for each in found):
        print_text(f"files are in {directory}")


def print_verified(found: Sequence[Verified]) -> None:
    for each in found:
        if each.verdict != WHOLE:
            print_text(f"{each.verdict}: archive {each.archive.archive_id} of {each.archive.table_name}: {each.said}")
    whole = [each for each in found if each.verdict == WHOLE]
    rows = sum(each.archive.rows for each in whole)
    print_text(f"{len(whole):,} of {len(found):,} archives are whole, with {rows:,} rows")


def print_restored(done: Restored, *, dry_run: bool) -> None:
    would = " (dry run: nothing was written)" if dry_run else ""
    of = f"{done.restored:,} of {done.rows:,} rows restored, {done.unchanged:,} there already"
    print_text(f"{done.table}: {of}{would}")
    if done.conflicts:
        named = "; ".join(done.keys[:5]) + ("; ..." if done.conflicts > 5 else "")
        note(f"{done.conflicts:,} rows are there as others and stay so: {named}")


def told(scope: "ScopeReport") -> list[str]:
    """What a run archived, in lines that fit a terminal."""
    from jobctl.cli.run_command import status_line
    from jobctl.jobs.report.filing import TABLE_OF
    from jobctl.runtime.outcome import COMPLETED

    lines = [] if scope.status == COMPLETED else [status_line(scope)]
    lines += [f"  {table}: {scope.counts[name]:,} rows" for name, table in TABLE_OF.items() if scope.counts.get(name)]
    if files := scope.counts.get("archive_files"):
        lines.append(f"  in {files:,} file{'s' * (files != 1)}, {size(scope.counts['archive_bytes'])}")
    if deleted := scope.counts.get("archive_files_deleted"):
        lines.append(f"  old files deleted: {deleted:,}")
    return lines or ["  nothing is past"]


def show_progress(done: int, total: int, *, shown: bool) -> None:
    if shown and sys.stderr.isatty():
        sys.stderr.write(f"\r  {done:,} of {total:,}")
        sys.stderr.flush()


def end_progress(*, shown: bool) -> None:
    if shown and sys.stderr.isatty():
        sys.stderr.write("\r\x1b[K")


def size(count: int) -> str:
    if count < 1_000:
        return f"{count} bytes"
    return f"{count / 1e3:,.0f} kB" if count < 1e6 else f"{count / 1e6:,.1f} MB"


def _days(archive: Archive) -> str:
    ends = [f"{each:%Y-%m-%d}" if each else "" for each in (archive.first_at, archive.last_at)]
    return " - ".join(dict.fromkeys(each for each in ends if each))
