"""The lines of one run in the log file of this host, however long the file is.

All runs of a host share the file, and each line begins with its time, so where a run's lines begin is found by halving:
twenty looks into a gigabyte. From there on they are read to the run's end, up to a bound. A file that was rotated away
since (`jobctl.log.1`, as the shipped logrotate rules leave the last one) is read as well; compressed ones are not.
"""

import json
import os
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

MARGIN: Final = timedelta(seconds=5)  # lines of several processes stand nearly in order of time
MOST_BYTES: Final = 256_000_000
STAMP_BYTES: Final = len('{"time": "2026-01-01T00:00:00.000Z"')
LONGEST_LINE: Final = 1 << 17


@dataclass(frozen=True, slots=True)
class Excerpt:
    """The last lines of a run. `why_not` says why there are none, or why there may be more."""

    lines: tuple[dict[str, Any], ...] = ()
    has_earlier: bool = False
    why_not: str = ""


def excerpt(path: Path, run_id: str, began: datetime, ended: datetime | None, *, limit: int) -> Excerpt:
    """The run's last `limit` lines in the file and the one before it. Raises nothing."""
    kept: deque[dict[str, Any]] = deque(maxlen=limit)
    found, is_cut = 0, False
    try:
        for each in (path.with_name(path.name + ".1"), path):
            if not each.is_file():
                continue
            with each.open("rb") as file:
                reading = _Reading(file, run_id.encode(), began - MARGIN, ended + MARGIN if ended else None)
                for line in reading.lines():
                    found += 1
                    kept.append(line)
                is_cut = is_cut or reading.is_cut
        if not path.exists():
            return Excerpt(tuple(kept), found > limit, f"there is no {path}")
    except OSError as error:
        return Excerpt(tuple(kept), found > limit, f"{path} cannot be read: {error.strerror}")
    why_not = "" if found else f"{path} has no line of it; it may have been rotated away"
    return Excerpt(tuple(kept), found > limit, f"more than {MOST_BYTES:,} bytes lie between" if is_cut else why_not)


@dataclass
class Follower:
    """The lines of a run as they come. A file that is rotated away meanwhile is read to its end, then the new one."""

    path: Path
    run_id: str
    _file: BinaryIO | None = field(default=None, init=False)
    _rest: bytes = field(default=b"", init=False)

    def skip(self) -> None:
        """What stands there is known."""
        self._open()
        if self._file is not None:
            self._file.seek(0, os.SEEK_END)

    def new(self) -> list[dict[str, Any]]:
        """The lines that have come since. Raises OSError."""
        found: list[dict[str, Any]] = []
        while True:
            self._open()
            if self._file is None:
                return found
            found += self._read()
            if not self._is_rotated():
                return found
            self.close()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
        self._file, self._rest = None, b""

    def _open(self) -> None:
        if self._file is None and self.path.is_file():
            self._file = self.path.open("rb")

    def _read(self) -> list[dict[str, Any]]:
        assert self._file is not None
        found: list[dict[str, Any]] = []
        while chunk := self._file.read(1 << 20):
            *whole, self._rest = (self._rest + chunk).split(b"\n")
            for raw in whole:
                line = _parsed(raw) if self.run_id.encode() in raw else None
                if line is not None and line.get("run_id") == self.run_id:
                    found.append(line)
        return found

    def _is_rotated(self) -> bool:
        assert self._file is not None
        try:
            there, opened = self.path.stat(), os.fstat(self._file.fileno())
        except FileNotFoundError:
            return False  # the next line makes it
        return (there.st_dev, there.st_ino) != (opened.st_dev, opened.st_ino)


class _Reading:
    def __init__(self, file: BinaryIO, run_id: bytes, begin: datetime, end: datetime | None) -> None:
        self._file = file
        self._run_id = run_id
        self._begin = begin
        self._end = end
        self.is_cut = False

    def lines(self) -> Iterator[dict[str, Any]]:
        self._seek()
        read = 0
        for raw in self._file:
            read += len(raw)
            if read > MOST_BYTES:
                self.is_cut = True
                return
            if self._run_id in raw:
                line = _parsed(raw)
                if line is not None and line.get("run_id") == self._run_id.decode():
                    yield line
            elif self._end is not None:
                at = time_of(raw)
                if at is not None and at > self._end:
                    return

    def _seek(self) -> None:
        """To the beginning of a line before the run's first one, and not far before it."""
        low, high = 0, self._file.seek(0, os.SEEK_END)
        while high - low > LONGEST_LINE:
            middle = (low + high) // 2
            self._file.seek(middle)
            self._file.readline(LONGEST_LINE)  # the rest of a line
            at = time_of(self._file.readline(LONGEST_LINE))
            if at is not None and at < self._begin:
                low = middle
            else:
                high = middle
        self._file.seek(low)
        if low:
            self._file.readline(LONGEST_LINE)


def time_of(raw: bytes) -> datetime | None:
    """When a line was written; None for what is no line of ours."""
    head = raw[: STAMP_BYTES + 8].decode("ascii", "replace")
    _, found, rest = head.partition('"time": "')
    if not found:
        return None
    try:
        return datetime.fromisoformat(rest.partition('"')[0]).astimezone(UTC)
    except ValueError:
        return None


def _parsed(raw: bytes) -> dict[str, Any] | None:
    try:
        line = json.loads(raw)
    except ValueError:
        return None
    return cast("dict[str, Any]", line) if isinstance(line, dict) else None
