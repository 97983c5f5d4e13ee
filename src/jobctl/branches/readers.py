"""The records of a source, one by one, in bounded memory, whatever its format.

Each reader gives (number, text): the line or element it begins at, and the record as text that PostgreSQL can hold.
A record that is none is given all the same, in a form that validation refuses; only a file that is cut or damaged, so
that nobody knows what is missing, raises DataError and with it ends the load.
"""

import json
from collections.abc import Iterator
from enum import StrEnum
from pathlib import PurePath

from jobctl.branches import csv_rows, json_array, ndjson
from jobctl.branches.sources import STDIN, Source
from jobctl.errors import DataError


class Format(StrEnum):
    csv = "csv"
    ndjson = "ndjson"
    json = "json"


_BY_EXTENSION = {
    ".csv": Format.csv,
    ".tsv": Format.csv,
    ".ndjson": Format.ndjson,
    ".jsonl": Format.ndjson,
    ".json": Format.json,
    ".geojson": Format.json,
}


def read_records(source: Source, fmt: Format, *, delimiter: str | None = None) -> Iterator[tuple[int, str]]:
    match fmt:
        case Format.csv:
            return csv_rows.records(source.stream, source.sample, delimiter)
        case Format.ndjson:
            return ndjson.records(source.stream)
        case Format.json:
            return json_array.records(source.stream)


def format_of(source: Source) -> Format:
    """By the file's name, without .gz; where that says nothing, by its first byte."""
    first = source.sample.lstrip()[:1]
    if not first:
        raise DataError(f"{source.name} is empty", hint="nothing was changed")
    suffixes = [suffix.lower() for suffix in PurePath(source.name).suffixes] if source.name != STDIN else []
    if suffixes and suffixes[-1] in (".gz", ".gzip"):
        suffixes.pop()
    named = _BY_EXTENSION.get(suffixes[-1]) if suffixes else None
    if (named is Format.json and first != b"[") or (named is None and first == b"{"):
        return _lines_of_objects(source)
    if named is not None:
        return named
    return Format.json if first == b"[" else Format.csv


def _lines_of_objects(source: Source) -> Format:
    """A file of JSON that is no array holds one object a line, or one object in all, which is no list of records."""
    lines = source.sample.split(b"\n")
    first = lines[0].strip() or source.sample.lstrip().partition(b"\n")[0]
    if len(lines) > 1 and source.sample.lstrip().startswith(b"{") and not _is_json(first):
        raise DataError(
            f"{source.name} is one JSON object, not an array or lines of records",
            hint="take the array out: jq '.records' file.json | jobctl branch load SLUG - ; lines: --format ndjson",
        )
    return Format.ndjson


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line, parse_int=float)
    except RecursionError:
        return True
    except ValueError:
        return line not in (b"{", b"{}") and line.endswith(b"}")
    return True
