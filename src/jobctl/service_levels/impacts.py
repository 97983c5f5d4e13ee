"""Store of dev.impacts: what somebody said that an issue costs a day."""

from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple

import psycopg


class Said(NamedTuple):
    """`per_day` None takes back what was said."""

    project_id: int
    number: int
    per_day: Decimal | None
    note: str | None = None


SAVE = """
INSERT INTO dev.impacts AS m (project_id, number, per_day, note)
SELECT * FROM unnest(%(project_ids)s::bigint[], %(numbers)s::bigint[], %(amounts)s::numeric[], %(notes)s::text[])
ON CONFLICT (project_id, number) DO UPDATE
SET per_day = excluded.per_day, note = excluded.note, imported_at = clock_timestamp()
WHERE (m.per_day, m.note) IS DISTINCT FROM (excluded.per_day, excluded.note)
"""

DELETE = """
DELETE FROM dev.impacts
WHERE (project_id, number) IN (SELECT * FROM unnest(%(project_ids)s::bigint[], %(numbers)s::bigint[]))
"""


class Saved(NamedTuple):
    written: int
    removed: int
    unchanged: int


def save(conn: psycopg.Connection, said: Sequence[Said]) -> Saved:
    """Each issue once. In the caller's transaction."""
    stated = sorted(each for each in said if each.per_day is not None)
    withdrawn = [each for each in said if each.per_day is None]
    written = conn.execute(SAVE, _arrays(stated)).rowcount if stated else 0
    removed = conn.execute(DELETE, _arrays(withdrawn)).rowcount if withdrawn else 0
    return Saved(written, removed, len(said) - written - removed)


def _arrays(said: Sequence[Said]) -> dict[str, list[object]]:
    return {
        "project_ids": [each.project_id for each in said],
        "numbers": [each.number for each in said],
        "amounts": [each.per_day for each in said],
        "notes": [each.note for each in said],
    }
