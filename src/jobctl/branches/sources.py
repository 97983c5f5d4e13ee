"""Where a load's bytes come from: a file or stdin, gzip or not, as one buffered stream without a byte order mark."""

import gzip
import io
import os
import sys
import zlib
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISDIR, S_ISREG
from typing import Any, BinaryIO, Protocol

from jobctl.errors import DataError, UsageError

SAMPLE_BYTES = 64 * 1024
BUFFER_BYTES = 256 * 1024
STDIN = "-"

_GZIP = b"\x1f\x8b"
_UTF8_MARK = b"\xef\xbb\xbf"
_OTHER_MARKS = {b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16", b"\0\0\xfe\xff": "UTF-32"}


class Readable(Protocol):
    def readinto(self, buffer: "memoryview[int]", /) -> int | None: ...


class _Counted(io.RawIOBase):
    """Hands on what another stream gives, after `head`, and counts it."""

    def __init__(self, inner: Readable, head: bytes = b"") -> None:
        self._inner = inner
        self._head = head
        self.count = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "memoryview[int]", /) -> int | None:  # pyright: ignore[reportIncompatibleMethodOverride]
        if self._head:
            size = min(len(buffer), len(self._head))
            buffer[:size] = self._head[:size]
            self._head = self._head[size:]
        else:
            size = self._inner.readinto(buffer)
        self.count += size or 0
        return size


class _Unpacked(io.RawIOBase):
    """The content of a gzip stream; what is wrong with the packing is told as an error of the data."""

    def __init__(self, packed: BinaryIO) -> None:
        self._inner = gzip.GzipFile(fileobj=packed, mode="rb")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "memoryview[int]", /) -> int | None:  # pyright: ignore[reportIncompatibleMethodOverride]
        try:
            return self._inner.readinto(buffer)
        except EOFError as error:
            raise DataError("the gzip file is cut: it ends before its end mark", hint="fetch it again") from error
        except (gzip.BadGzipFile, zlib.error) as error:
            raise DataError(f"the gzip file is damaged: {error}", hint="fetch it again") from error


@dataclass(frozen=True, slots=True)
class Source:
    """An open source. `stream` gives decoded bytes; `sample` is their beginning, which `stream` gives again."""

    name: str
    size: int | None
    sample: bytes
    stream: "io.BufferedReader[Any]"
    _packed: _Counted
    _plain: _Counted

    @property
    def bytes_read(self) -> int:
        """Of the file as it lies on disk, for progress against `size`."""
        return self._packed.count

    @property
    def bytes_decoded(self) -> int:
        return self._plain.count


@contextmanager
def open_source(path: str | Path, *, stdin: io.RawIOBase | None = None) -> Generator[Source, None, None]:
    """Raises UsageError when there is no such file to read, DataError when it is none that holds records."""
    with ExitStack() as stack:
        if str(path) == STDIN:
            size = None
            raw = stdin or stack.enter_context(io.FileIO(sys.stdin.fileno(), "rb", closefd=False))
        else:
            try:
                raw = stack.enter_context(io.FileIO(path, "rb"))
            except OSError as error:
                raise UsageError(f"cannot read {path}: {error.strerror}", hint="name a file, or - for stdin") from error
            status = os.fstat(raw.fileno())
            if S_ISDIR(status.st_mode):
                raise UsageError(f"cannot read {path}: it is a directory", hint="name a file, or - for stdin")
            size = status.st_size if S_ISREG(status.st_mode) else None
        packed = _Counted(raw)
        head = _read_up_to(packed, len(_GZIP))
        rest = _Counted(packed, head)
        plain = _Counted(_Unpacked(io.BufferedReader(rest, BUFFER_BYTES)) if head == _GZIP else rest)
        sample = _read_up_to(plain, SAMPLE_BYTES)
        for mark, encoding in _OTHER_MARKS.items():
            if sample.startswith(mark):
                raise DataError(f"the file is {encoding}, not UTF-8", hint=f"convert it: iconv -f {encoding} -t UTF-8")
        sample = sample.removeprefix(_UTF8_MARK)
        stream = io.BufferedReader(_Counted(plain, sample), BUFFER_BYTES)
        yield Source(str(path), size, sample, stream, packed, plain)


def _read_up_to(stream: io.RawIOBase, size: int) -> bytes:
    """A pipe gives as little as one byte a call."""
    parts: list[bytes] = []
    while size > 0 and (part := stream.read(size)):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)
