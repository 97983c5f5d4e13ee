"""What a command prints: all of it to a file, the end of it to history, to a terminal live.

The file is the user's own: nothing is taken out of it, and only its owner can read it. What goes to history is redacted
and bounded: KEPT_BYTES from the end, for the end is where a failure is told. A file that cannot be written fails no
run; the report says what is missing.
"""

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from jobctl.appended_file import AppendedFile
from jobctl.jobs.wrapped.conditions import last_line_of

KEPT_BYTES = 16_384
MARGIN_BYTES = 4_096  # read beyond what is kept, so that the cut falls between two lines
STREAMS = (1, 2)  # stdout and stderr


class Output:
    """All the output of a run, over its tries."""

    def __init__(self, path: Path | None, *, shows: bool, redact: Callable[[str], str]) -> None:
        self.bytes_read = 0
        self.lost = ""
        self._redact = redact
        self._end = bytearray()
        self._file = AppendedFile(path) if path is not None else None
        self._is_at_line_start = True
        self._live = set(STREAMS) if shows else set[int]()

    def add(self, stream: int, chunk: bytes) -> None:
        self.bytes_read += len(chunk)
        self._keep(chunk)
        self._append(chunk)
        if stream in self._live:
            self._pass_on(stream, chunk)

    def header(self, text: str) -> None:
        """A line of ours, in the file alone."""
        self._append(("" if self._is_at_line_start else "\n").encode() + f"=== {text}\n".encode("utf-8", "replace"))

    def close(self) -> None:
        if not self._is_at_line_start:
            self._append(b"\n")
        if self._file is not None:
            self._file.close()

    def end(self) -> str:
        """The last KEPT_BYTES of what came, without secrets, with a mark where it was cut."""
        raw = bytes(self._end[-(KEPT_BYTES + MARGIN_BYTES) :])
        is_cut = len(raw) < self.bytes_read
        if is_cut:  # what stands before the first line end may be half a secret
            raw = raw[raw.find(b"\n", 0, MARGIN_BYTES) + 1 :]
        text = self._redact(raw.decode("utf-8", "replace").replace("\0", "\ufffd"))
        kept = text.encode("utf-8", "replace")
        if len(kept) > KEPT_BYTES:
            kept = kept[-KEPT_BYTES:]
            kept = kept[kept.find(b"\n", 0, MARGIN_BYTES) + 1 :]
            is_cut = True
        shown = kept.decode("utf-8", "ignore")
        return f"[... {self.bytes_read - len(kept)} bytes cut ...]\n{shown}" if is_cut else shown

    def last_line(self) -> str:
        return last_line_of(bytes(self._end[-(KEPT_BYTES + MARGIN_BYTES) :]).decode("utf-8", "replace"))

    def _keep(self, chunk: bytes) -> None:
        self._end += chunk
        if len(self._end) > 4 * (KEPT_BYTES + MARGIN_BYTES):  # seldom, for each cut moves the rest
            del self._end[: -(KEPT_BYTES + MARGIN_BYTES)]

    def _append(self, chunk: bytes) -> None:
        if self._file is None or self.lost or not chunk:
            return
        try:
            rest = chunk
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            self.lost = f"the output is not all in {self._file.path}: {error.strerror}"
        self._is_at_line_start = chunk.endswith(b"\n")

    def _pass_on(self, stream: int, chunk: bytes) -> None:
        try:
            with suppress(InterruptedError):
                while chunk:
                    chunk = chunk[os.write(stream, chunk) :]
        except OSError:  # the reader went away: no reason to end the command
            self._live.discard(stream)
