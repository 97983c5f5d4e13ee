"""Records of a file that is one JSON array: its top-level elements, each as its raw text.

The elements are found by quotes and brackets alone, at the speed of a regular expression and without a limit of depth;
they are not parsed, so one that is no JSON does not end the file. What an element holds, ingest judges.

A broken element can hide where it ends. These signs, which valid JSON never shows, tell it:

- a line ends inside a string: the string ends there;
- a bracket closes that was not the last to open: those opened after its partner are closed with it;
- `{` where an object expects a name: the object before lacks its end, a new element begins here. So it does at a `{` or
  `[` straight after an element, where a comma is missing;
- `]` with nothing to close: the end of the array if nothing follows, else a stray one;
- the file ends with `]`, yet inside an element: a quote is missing. The element ends at its first `}, {`.

A file that ends anywhere else is cut, and refused as a whole.
"""

import io
import re
from collections.abc import Iterator

from jobctl.branches import text
from jobctl.errors import DataError

CHUNK_BYTES = 256 * 1024
TYPED_DEPTH = 100_000  # brackets below are counted, not remembered
RECOVERIES = 100  # each reads the rest of the element again

_SPACES = b" \t\r\n"
# Groups are repeated a bounded number of times, as each time takes memory until the match ends. What is left after the
# bound is a string, or the rest of one, and read as such. No part can match in two ways, so nothing is tried twice.
_STRING = re.compile(rb'[^"\\\n]*(?:\\[^\n][^"\\\n]*){0,1000}')
_SHORT_STRING = rb'"[^"\\\n]*(?:\\[^\n][^"\\\n]*){0,20}"'
_INSIDE = re.compile(rb'[^"\[\]{}]*(?:%b[^"\[\]{}]*){0,200}' % _SHORT_STRING)
_BETWEEN = re.compile(rb'[^"\[\]{},]*(?:%b[^"\[\]{},]*){0,200}' % _SHORT_STRING)
_BYTE = re.compile(rb"[^ \t\r\n]")
_NEXT_COMMA = re.compile(rb"[ \t\r\n]*,")
_NEXT_OBJECT = re.compile(rb"\}[ \t\r\n]*,[ \t\r\n]*(?=\{)")

_QUOTE, _COMMA, _NEWLINE = b'",\n'
_OPEN_OBJECT, _CLOSE_OBJECT, _OPEN_ARRAY, _CLOSE_ARRAY = b"{}[]"


def records(stream: io.BufferedReader) -> Iterator[tuple[int, str]]:
    """Element number, from 1, and text."""
    return enumerate(filter(None, _Splitter(stream).elements()), 1)


class _Nesting:
    """Which brackets are open inside an element."""

    def __init__(self) -> None:
        self._open = bytearray()
        self._objects = 0
        self._deeper = 0

    def __bool__(self) -> bool:
        return bool(self._open)

    @property
    def in_object(self) -> bool:
        return not self._deeper and bool(self._open) and self._open[-1] == _OPEN_OBJECT

    def push(self, bracket: int) -> None:
        if len(self._open) == TYPED_DEPTH:
            self._deeper += 1
            return
        self._open.append(bracket)
        self._objects += bracket == _OPEN_OBJECT

    def pop(self, bracket: int) -> bool:
        """Close up to the partner of a closing bracket. False: it has none here."""
        if self._deeper:
            self._deeper -= 1
            return True
        partner = _OPEN_OBJECT if bracket == _CLOSE_OBJECT else _OPEN_ARRAY
        if not (self._objects if partner == _OPEN_OBJECT else len(self._open) - self._objects):
            return False
        while True:
            last = self._open.pop()
            self._objects -= last == _OPEN_OBJECT
            if last == partner:
                return True

    def clear(self) -> None:
        self._open.clear()
        self._objects = self._deeper = 0


class _Element:
    """The bytes of the element at hand, as far as they were read; over the limit only beginning and digest."""

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0
        self._digest: text.Digest | None = None
        self._last = b""

    @property
    def is_cut(self) -> bool:
        return self._digest is not None

    def add(self, part: bytes) -> None:
        if not self._size:
            part = part.lstrip(_SPACES)
        if not part:
            return
        self._size += len(part)
        self._last = part.rstrip(_SPACES)[-1:] or self._last
        if self._digest is not None:
            self._digest.update(part)
            return
        self._parts.append(part)
        if self._size > text.RECORD_BYTES:
            whole = self.raw()
            self._digest = text.new_digest(whole)
            self._parts = [whole[: text.KEPT_BYTES]]

    def last_byte(self, data: bytes, start: int, end: int) -> bytes:
        """The last byte before `end` that is no space; what lies before `start` was added."""
        near = data[max(start, end - 64) : end].rstrip(_SPACES) or data[start:end].rstrip(_SPACES)
        return near[-1:] or self._last

    def raw(self) -> bytes:
        return b"".join(self._parts)

    def take(self, ending: bytes = b"") -> str:
        """The element's text, '' for none; the next one begins."""
        data = self.raw()
        taken = (
            text.cut(data, self._size, self._digest) if self._digest else text.storable(data.rstrip(_SPACES + ending))
        )
        self._begin()
        return taken


class _Splitter:
    def __init__(self, stream: io.BufferedReader) -> None:
        self._stream = stream
        self._data = b""
        self._start = 0  # in the data at hand: of the element, or of what is not yet added to it
        self._position = 0
        self._element = _Element()
        self._nesting = _Nesting()
        self._in_string = False
        self._escaped = False  # the data at hand ends with the backslash of an escape
        self._last = b""  # the last byte read that is no space
        self._recoveries = 0

    def elements(self) -> Iterator[str]:
        self._data = self._from_next_byte()
        if not self._data.startswith(b"["):
            raise DataError("the file does not begin with [ as a JSON array does", hint="name the format: --format")
        self._start = self._position = 1
        while True:
            while (byte := self._next_mark()) is not None:
                if byte == _QUOTE:
                    self._in_string = True
                elif byte == _COMMA:
                    yield self._take()
                    self._start += 1
                elif byte in (_OPEN_OBJECT, _OPEN_ARRAY):
                    if self._begins_anew(byte):
                        yield self._take(b",")
                        self._nesting.clear()
                    self._nesting.push(byte)
                elif not self._nesting.pop(byte) and byte == _CLOSE_ARRAY and self._is_end_of_array():
                    yield self._take()
                    return
                self._position += 1
            self._element.add(self._data[self._start :])
            self._data = self._read()
            self._start = self._position = 0
            if not self._data:
                ended, self._data = self._unclosed()
                yield ended
                if not self._data:
                    return

    def _next_mark(self) -> int | None:
        """The next quote or bracket outside a string, between elements also a comma; None at the end of the data."""
        data, position = self._data, self._position
        while position < len(data):
            if self._in_string:
                position = self._through_string(position)
                continue
            match = (_INSIDE if self._nesting else _BETWEEN).match(data, position)
            position = match.end() if match else position
            break
        self._position = position
        return data[position] if position < len(data) else None

    def _through_string(self, position: int) -> int:
        """Where the string ends, or the data does."""
        data = self._data
        if self._escaped:
            self._escaped = False
            position += data[position] != _NEWLINE
        while (match := _STRING.match(data, position)) and match.end() > position:
            position = match.end()
        if data[position : position + 1] == b"\\":
            position += 1
            self._escaped = position == len(data)
        if position < len(data):
            self._in_string = False
            position += 1
        return position

    def _take(self, ending: bytes = b"") -> str:
        """The element that ends here; what follows belongs to the next one."""
        self._element.add(self._data[self._start : self._position])
        self._start = self._position
        return self._element.take(ending)

    def _begins_anew(self, bracket: int) -> bool:
        """Whether this opening bracket shows that the element before it has lost its end."""
        if self._nesting and not (bracket == _OPEN_OBJECT and self._nesting.in_object):
            return False
        before = self._element.last_byte(self._data, self._start, self._position)
        return before != b":" if self._nesting else before in (b"}", b"]")

    def _is_end_of_array(self) -> bool:
        """Whether this `]`, which has nothing to close in the element, is the last byte of the file."""
        after = self._position + 1
        if not _BYTE.search(self._data, after):
            rest = self._from_next_byte()
            if not rest:
                return True
            self._data = self._data[:after] + rest
        if not self._nesting and not _NEXT_COMMA.match(self._data, after):
            raise DataError("something follows the end of the JSON array", hint="one array a file")
        return False

    def _unclosed(self) -> tuple[str, bytes]:
        """The file has ended inside an element: this element as far as its likely end, and what follows it."""
        self._recoveries += 1
        if self._last != b"]" or self._element.is_cut or self._recoveries > RECOVERIES:
            raise DataError(
                "the file is cut, or brackets or quotes do not match: it ends before its JSON array does",
                hint="fetch it again; one record a line (NDJSON) keeps a broken record from hiding others",
            )
        raw = self._element.raw()
        self._element.take()
        self._nesting.clear()
        self._in_string = self._escaped = False
        boundary = _NEXT_OBJECT.search(raw)
        if boundary is None:
            return text.storable(raw.rstrip(_SPACES)[:-1]), b""
        return text.storable(raw[: boundary.start() + 1]), raw[boundary.end() :]

    def _from_next_byte(self) -> bytes:
        """The next chunk from the first byte on that is no space; nothing at the end of the file."""
        while chunk := self._read():
            if rest := chunk.lstrip(_SPACES):
                return rest
        return b""

    def _read(self) -> bytes:
        chunk = self._stream.read1(CHUNK_BYTES)
        self._last = chunk.rstrip(_SPACES)[-1:] or self._last
        return chunk
