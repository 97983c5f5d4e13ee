"""Writing many rows at once, and how many of them had to be written.

Rows are sent as one JSON document, since some of their columns are lists, which `unnest` cannot take apart. Every
statement sorts them by their key, so that two writers lock them in the same order, and leaves alone what is as it
should be: an unchanged row is not written.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple, Protocol, cast

import psycopg
from psycopg.types.json import Json


class Written(NamedTuple):
    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    removed: int = 0

    @property
    def is_change(self) -> bool:
        return bool(self.inserted or self.updated or self.removed)


class Row(Protocol):
    def _asdict(self) -> dict[str, Any]: ...


def document(rows: Sequence[Row]) -> Json:
    return Json([row._asdict() for row in rows], dumps=_DUMPS)  # pyright: ignore[reportPrivateUsage]


def upserted(conn: psycopg.Connection, statement: str, rows: Sequence[Row], values: Mapping[str, object]) -> Written:
    """`statement` takes %(rows)s and returns of each row that it has written whether that was new."""
    if not rows:
        return Written()
    with conn.cursor() as cursor:
        found = cursor.execute(statement.encode(), {**values, "rows": document(rows)}).fetchall()
    inserted = sum(cast("bool", each[0]) for each in found)
    return Written(inserted, len(found) - inserted, len(rows) - len(found))


def replaced(
    conn: psycopg.Connection, statement: str, project_id: int, issues: Sequence[str], rows: Sequence[Row]
) -> int:
    """`statement` takes %(project_id)s, %(issues)s and %(rows)s, all that there is of these issues. Gives how many rows
    are new."""
    if not issues:
        return 0
    values = {"project_id": project_id, "issues": list(issues), "rows": document(rows)}
    return conn.execute(statement.encode(), values).rowcount


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} is no column's value")


_DUMPS = partial(json.dumps, default=_plain)
