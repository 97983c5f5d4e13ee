"""Store of dev.project_bands: the band of each project's health that was last told."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any, NamedTuple

import psycopg
from psycopg.rows import class_row
from psycopg.types.json import Jsonb


class Standing(NamedTuple):
    """A project's health as the last day has it, and as it was last told. `was_band` is None when it never was."""

    project_id: int
    full_name: str
    day: date
    band: str
    health: float | None
    health_version: str
    facts: Mapping[str, Any]
    was_band: str | None
    was_health: float | None
    was_version: str | None
    was_facts: Mapping[str, Any] | None


# The last day that was kept, if it is no older than `since`: of older ones nobody knows whether they still hold.
STANDINGS = """
SELECT p.project_id, p.full_name, d.day, d.band, d.health::float8 AS health, d.health_version, d.facts,
    b.band AS was_band, b.health::float8 AS was_health, b.health_version AS was_version, b.facts AS was_facts
FROM dev.projects AS p
CROSS JOIN LATERAL (SELECT * FROM dev.project_days AS n
    WHERE n.project_id = p.project_id AND n.day >= %(since)s ORDER BY n.day DESC LIMIT 1) AS d
LEFT JOIN dev.project_bands AS b ON b.project_id = p.project_id
WHERE p.active
ORDER BY p.full_name
"""


def standings(conn: psycopg.Connection, *, since: date) -> list[Standing]:
    """Of all projects that are followed."""
    with conn.cursor(row_factory=class_row(Standing)) as cursor:
        return cursor.execute(STANDINGS, {"since": since}).fetchall()


# A project that was removed meanwhile is passed over. `since` moves with the band alone.
KEEP = """
INSERT INTO dev.project_bands AS b (project_id, band, health, health_version, facts, day, since, checked_at)
SELECT project_id, r.band, r.health, r.health_version, r.facts, r.day, %(now)s, %(now)s
FROM pg_catalog.jsonb_to_recordset(%(rows)s)
    AS r (project_id bigint, band text, health numeric, health_version text, facts jsonb, day date)
JOIN dev.projects AS p USING (project_id)
FOR KEY SHARE OF p
ON CONFLICT (project_id) DO UPDATE SET band = excluded.band, health = excluded.health,
    health_version = excluded.health_version, facts = excluded.facts, day = excluded.day,
    since = CASE WHEN b.band = excluded.band THEN b.since ELSE excluded.since END, checked_at = excluded.checked_at
"""


def keep(conn: psycopg.Connection, found: Sequence[Standing], *, now: datetime) -> int:
    names = ("project_id", "band", "health", "health_version", "facts")
    rows = [{**{name: getattr(each, name) for name in names}, "day": each.day.isoformat()} for each in found]
    return conn.execute(KEEP, {"rows": Jsonb(rows), "now": now}).rowcount
