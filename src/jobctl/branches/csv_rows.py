"""Records of a CSV file: the header row names the fields, each further row becomes a JSON object of strings.

What a row must be, and what becomes of one that is not:

- quotes are read strictly. Where they do not match (a quote inside an unquoted field is fine; text after a closing
  quote, or a quote that is never closed, is not) the first line of the row is a record of its own, which validation
  refuses, and reading goes on with the next line. So a stray quote costs its line and not what follows;
- a row with fewer fields than the header lacks the last ones; with more, it is refused, unless the surplus is empty;
- a row without any content is none. A column without a name is called column_3 after its place; the second column of
  one name is name_2.

A refused row is kept as a JSON array, which no valid record is: what is wrong, then the fields or the raw line.
"""

import csv
import io
import json
from collections import deque
from collections.abc import Iterator

from jobctl.branches import text
from jobctl.branches.lines import Line, lines
from jobctl.errors import DataError

DELIMITERS = ",;\t|"
ROW_LINES = 10_000  # of one row; a quote that stays open longer is taken for a stray one

_encode = json.JSONEncoder(ensure_ascii=False).encode


class _NotARow(Exception):
    """The row grows beyond what one can be; the reader gives it up."""


class _Feed:
    """Gives lines to the csv module, remembers those of the row at hand, and takes them back."""

    def __init__(self, stream: io.BufferedReader) -> None:
        self._lines = lines(stream)
        self._again: deque[Line] = deque()
        self.row: list[Line] = []
        self.ended = False
        self._size = 0

    def __iter__(self) -> "_Feed":
        return self

    def __next__(self) -> str:
        line = self._again.popleft() if self._again else next(self._lines, None)
        if line is None:
            self.ended = True
            raise StopIteration
        self.row.append(line)
        self._size += len(line.data)
        if line.cut or self._size > text.RECORD_BYTES or len(self.row) > ROW_LINES:
            raise _NotARow("the row is too long, or a quote is never closed")
        return line.data.decode(errors="surrogateescape")

    def begin_row(self) -> None:
        self.row = []
        self._size = 0

    def give_up_row(self) -> Line:
        """Its first line; the others are read again, each as the beginning of a row."""
        first, *others = self.row
        self._again.extendleft(reversed(others))
        self.ended = False
        self.begin_row()
        return first


def records(stream: io.BufferedReader, sample: bytes, delimiter: str | None = None) -> Iterator[tuple[int, str]]:
    """Line number and JSON text of each row."""
    if b"\r" in sample and b"\n" not in sample:
        raise DataError("the file's lines end in CR alone", hint="convert it: tr '\\r' '\\n'")
    csv.field_size_limit(text.RECORD_BYTES)
    delimiter = delimiter or sniff_delimiter(sample)
    feed = _Feed(stream)
    header: list[str] | None = None
    reader = csv.reader(feed, delimiter=delimiter, strict=True)
    while True:
        feed.begin_row()
        try:
            row = next(reader)
        except StopIteration:
            return
        except (csv.Error, _NotARow) as error:
            if header is None:
                raise DataError(f"the header row is not CSV: {error}", hint="name the format: --format") from error
            if feed.ended and not feed.row[-1].data.endswith(b"\n"):
                number = feed.row[0].number
                raise DataError(
                    f"the file is cut: it ends inside a quoted field of the row that begins on line {number}",
                    hint="fetch it again, or mend the quotes of that line",
                ) from error
            first = feed.give_up_row()
            raw = first.cut or first.data.decode(errors="surrogateescape").rstrip("\r\n")
            yield first.number, _refused(f"csv: {error}", [raw])
            reader = csv.reader(feed, delimiter=delimiter, strict=True)
            continue
        if header is None:
            header = _names(row)
            continue
        if not any(row) or not any(map(str.strip, row)):
            continue
        first, last = feed.row[0], feed.row[-1]
        if len(row) < len(header) and not last.data.endswith(b"\n"):
            raise DataError(
                f"the file is cut: line {first.number}, the last, has {len(row)} of {len(header)} fields and no end",
                hint="fetch it again, or end the line with a newline if it is meant so",
            )
        if len(row) > len(header) and any(row[len(header) :]):
            yield first.number, _refused(f"csv: {len(row)} fields, the header has {len(header)}", row)
        else:
            yield first.number, text.mended(_encode(dict(zip(header, row, strict=False))))


def sniff_delimiter(sample: bytes) -> str:
    """The one that stands most often in the header, outside quotes."""
    header = b"".join(sample.lstrip().partition(b"\n")[0].split(b'"')[::2]).decode(errors="replace")
    return max(DELIMITERS, key=header.count)


def _names(row: list[str]) -> list[str]:
    names: list[str] = []
    for place, raw in enumerate(row, 1):
        name = wanted = raw.strip() or f"column_{place}"
        again = 1
        while name in names:
            again += 1
            name = f"{wanted}_{again}"
        names.append(name)
    return names


def _refused(why: str, fields: list[str]) -> str:
    return text.mended(_encode([why, *fields]))
