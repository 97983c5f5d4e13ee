"""Is an archive what it was when it was written: file, manifest, each line, and what the database says of it?"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jobctl.archives import files
from jobctl.archives.failures import ArchiveError
from jobctl.archives.manifest import Manifest
from jobctl.archives.sources import source_of
from jobctl.archives.store import Archive


def check(path: Path, archive: Archive | None) -> Manifest:
    """Reads all of it. Raises ArchiveError that names what is wrong; `archive` is the database's word, or None."""
    if archive is not None:
        assert archive.sha256 is not None
        files.check_whole(path, archive.bytes, archive.sha256)
    found = files.manifest_of(path)
    if archive is None:
        files.check_whole(path, found.bytes, found.sha256)
    else:
        _check_same(found, archive, path)
    names = [name for name, _ in found.columns]
    rows = 0
    ends: list[Mapping[str, Any]] = []
    for line in files.lines(path):
        rows += 1
        if rows in (1, found.rows):
            ends.append(_row(line, names, path, rows))
        elif not line.startswith('{"') or not line.endswith("}"):
            raise ArchiveError(f"{path}, line {rows:,} is no row")
    if not rows or rows != found.rows:
        raise ArchiveError(f"{path} has {rows:,} rows, and its manifest says {found.rows:,}")
    source = source_of(found.table)
    if source is None:
        raise ArchiveError(f"{path} is of {found.table}, which this version does not archive")
    keys = [{name: end.get(name) for name in source.order} for end in (ends[0], ends[-1])]
    if keys != [dict(found.first), dict(found.last)]:
        raise ArchiveError(f"{path} does not begin and end with the rows that its manifest names")
    return found


def _check_same(found: Manifest, archive: Archive, path: Path) -> None:
    said = {"table": archive.table_name, "rows": archive.rows, "bytes": archive.bytes, "sha256": archive.sha256}
    for name, value in said.items():
        if getattr(found, name) != value:
            beside = files.manifest_path(path)
            raise ArchiveError(
                f"the manifest {beside} says that {name} is {getattr(found, name)}, and the database {value}",
                hint="take it back from a copy",
            )


def _row(line: str, names: list[str], path: Path, nth: int) -> Mapping[str, Any]:
    try:
        row: Any = json.loads(line)
    except (ValueError, RecursionError):
        raise ArchiveError(f"{path}, line {nth:,} is no JSON") from None
    if not isinstance(row, dict) or [*row] != names:
        raise ArchiveError(f"{path}, line {nth:,} has not the columns that its manifest names")
    return row  # pyright: ignore[reportUnknownVariableType]  # of JSON
