"""What a file is called, and the key of a row in it. Pure."""

import json
import re
from collections.abc import Mapping
from typing import Any

from jobctl.archives.files import ENDING
from jobctl.archives.sources import Source


def file_name(table: str, first_at: str | None, last_at: str | None, archive_id: int) -> str:
    """`ops.sync_events.20260801-20260903.12.ndjson.gz`: the table, from and until which day, the archive's number."""
    return f"{table}.{_day(first_at)}-{_day(last_at)}.{archive_id}{ENDING}"


def key_of(source: Source, line: str) -> Mapping[str, Any]:
    return values_of(source.order, line)


def time_of(source: Source, line: str) -> str | None:
    value = values_of((source.at,), line)[source.at]
    return None if value is None else str(value)


def values_of(names: tuple[str, ...], line: str) -> Mapping[str, Any]:
    row: dict[str, Any] = json.loads(line)
    return {name: row.get(name) for name in names}


def _day(at: str | None) -> str:
    """Of a time as PostgreSQL writes it; infinity is a word."""
    found = re.match(r"(\d{4,})-(\d\d)-(\d\d)", at or "")
    return "".join(found.groups()) if found else re.sub(r"[^a-z]", "", (at or "")[:9]) or "none"
