"""What a command prints: all of it to a file, the end of it in memory, watched for patterns line by line."""

import os
import re
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

from jobctl import log

LOG = log.get_logger()

KEPT_BYTES = 16_384
LONGEST_LINE = 8_192
LOOK_EACH_S = 1.0  # whether the file was rotated away


class Output:
    """Takes what both streams say, in the order in which it comes. A file that cannot be written fails no run."""

    def __init__(self, path: Path, *, conditions: Sequence[re.Pattern[str] | None] = (), shows: bool = False) -> None:
        self.total_bytes = 0
        self._path = path
        self._shows = shows
        self._patterns = [pattern for pattern in conditions if pattern is not None]
        self._seen: set[re.Pattern[str]] = set()
        self._end = bytearray()
        self._line = bytearray()
        self._last_line = ""
        self._file: int | None = None
        self._looked_at = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def begin(self, title: str) -> None:
        """A new attempt: patterns and the end are its own."""
        self.total_bytes = 0
        self._seen.clear()
        self._end.clear()
        self._line.clear()
        self._last_line = ""
        self._write(f"--- {title}\n".encode())

    def take(self, data: bytes, stream: int) -> None:
        """Bytes that came on stream 1 or 2."""
        self.total_bytes += len(data)
        self._end += data
        del self._end[: max(0, len(self._end) - KEPT_BYTES)]
        self._write(data)
        if self._shows:
            target = sys.stdout if stream == 1 else sys.stderr
            with suppress(OSError, ValueError):
                target.buffer.write(data)
                target.buffer.flush()
        self._line += data
        *whole, rest = self._line.split(b"\n")
        for line in whole:
            self._look_at(line)
        self._line = bytearray(rest)
        if len(self._line) > LONGEST_LINE:  # a line without end is judged in pieces
            self._look_at(self._line)
            self._line.clear()

    def finish(self) -> None:
        """The command has ended: its last line may have had no end."""
        if self._line:
            self._look_at(self._line)
            self._line.clear()

    def has_seen(self, pattern: re.Pattern[str]) -> bool:
        return pattern in self._seen

    def last_line(self) -> str:
        return self._last_line

    def tail(self) -> str:
        """The end of what was printed, with a mark where it was cut. No NUL: PostgreSQL's text takes none."""
        cut = self.total_bytes - len(self._end)
        mark = f"[... {cut} bytes cut, the whole is in {self._path} ...]\n" if cut else ""
        return mark + self._end.decode("utf-8", "replace").replace("\0", "\N{REPLACEMENT CHARACTER}")

    def _look_at(self, line: bytes | bytearray) -> None:
        text = line[:LONGEST_LINE].decode("utf-8", "replace").rstrip()
        if text:
            self._last_line = text
        self._seen.update(pattern for pattern in self._patterns if pattern.search(text))

    def _write(self, data: bytes) -> None:
        try:
            file = self._opened()
            while data:
                data = data[os.write(file, data) :]
        except OSError as error:
            if self._looked_at >= 0:
                LOG.error("output_not_written", path=str(self._path), error=error)  # noqa: TRY400 - one line
            self._looked_at = -1.0  # said once

    def _opened(self) -> int:
        """The file, opened anew when it was rotated away."""
        now = time.monotonic()
        if self._file is not None and now - self._looked_at < LOOK_EACH_S:
            return self._file
        if self._file is not None:
            try:
                is_same = os.path.samestat(os.fstat(self._file), os.stat(self._path))  # noqa: PTH116 - both as one call
            except OSError:
                is_same = False
            if not is_same:
                os.close(self._file)
                self._file = None
        if self._file is None:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            self._file = os.open(self._path, flags, 0o600)
        self._looked_at = now
        return self._file
