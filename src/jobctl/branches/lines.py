"""Lines of a byte stream in bounded memory."""

import io
from collections.abc import Iterator
from typing import NamedTuple

from jobctl.branches import text


class Line(NamedTuple):
    """`data` has its line end, unless the file ends without one. A line over the limit has `cut` instead: its mark."""

    number: int
    data: bytes
    cut: str = ""


def lines(stream: io.BufferedReader) -> Iterator[Line]:
    number = 0
    limit = text.RECORD_BYTES
    while data := stream.readline(limit + 2):  # room for a line end
        number += 1
        if len(data) > limit and len(data.rstrip(b"\r\n")) > limit:
            yield Line(number, b"", _rest_of_long_line(stream, data))
        else:
            yield Line(number, data)


def _rest_of_long_line(stream: io.BufferedReader, start: bytes) -> str:
    digest = text.new_digest(start)
    size = len(start)
    ended = start.endswith(b"\n")
    start = start[: text.KEPT_BYTES]
    while not ended and (part := stream.readline(io.DEFAULT_BUFFER_SIZE * 32)):
        digest.update(part)
        size += len(part)
        ended = part.endswith(b"\n")
    return text.cut(start, size, digest)
