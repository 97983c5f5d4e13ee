"""Records of an NDJSON file: each line as it stands, whether it is JSON or not. What it is worth, ingest judges."""

import io
import json
from collections.abc import Iterator

from jobctl.branches.lines import lines
from jobctl.branches.text import storable
from jobctl.errors import DataError


def records(stream: io.BufferedReader) -> Iterator[tuple[int, str]]:
    """Line number and text. Blank lines hold nothing and are passed over."""
    for number, data, cut in lines(stream):
        if cut:
            yield number, cut
        elif stripped := data.strip():
            if not data.endswith(b"\n") and _is_broken_off(stripped):
                raise DataError(
                    f"the file is cut: line {number}, the last one, breaks off in the middle of a record",
                    hint="fetch it again, or end the line with a newline if it is meant so",
                )
            yield number, storable(stripped)


def _is_broken_off(line: bytes) -> bool:
    """Only the last line can be, and only one that has begun as an object."""
    if not line.startswith(b"{"):
        return False
    try:
        json.loads(line, parse_int=float)
    except ValueError:
        return not line.endswith(b"}")
    except RecursionError:
        return False
    return False
