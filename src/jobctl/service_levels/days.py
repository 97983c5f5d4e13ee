"""Store of dev.project_days: each project's facts on each day, and the health that they gave."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any, NamedTuple

import psycopg
from psycopg.rows import class_row
from psycopg.types.json import Jsonb


class Day(NamedTuple):
    project_id: int
    facts: Mapping[str, float | None]
    health: float | None
    band: str


# A project that was removed meanwhile is passed over. `may_replace` is false for what is computed of the past: it never
# takes the place of what was seen on the day.
KEEP = """
INSERT INTO dev.project_days AS d (project_id, day, computed_at, rules_version, facts, health_version, health, band)
SELECT project_id, %(day)s, %(now)s, %(version)s, facts, %(health_version)s, health, band
FROM pg_catalog.jsonb_to_recordset(%(rows)s) AS r (project_id bigint, facts jsonb, health numeric, band text)
JOIN dev.projects AS p USING (project_id)
FOR KEY SHARE OF p
ON CONFLICT (project_id, day) DO UPDATE SET computed_at = excluded.computed_at, facts = excluded.facts,
    rules_version = excluded.rules_version, health_version = excluded.health_version, health = excluded.health,
    band = excluded.band
WHERE %(may_replace)s AND (d.facts, d.rules_version, d.health_version, d.health)
    IS DISTINCT FROM (excluded.facts, excluded.rules_version, excluded.health_version, excluded.health)
"""


def keep(
    conn: psycopg.Connection,
    day: date,
    found: Sequence[Day],
    *,
    version: str,
    health_version: str,
    now: datetime,
    may_replace: bool,
) -> int:
    """Gives how many rows are new or other than they were."""
    values = {
        "day": day,
        "now": now,
        "version": version,
        "health_version": health_version,
        "rows": Jsonb([each._asdict() for each in found]),
        "may_replace": may_replace,
    }
    return conn.execute(KEEP, values).rowcount


class Kept(NamedTuple):
    """A row of dev.project_days."""

    day: date
    computed_at: datetime
    rules_version: str
    facts: Mapping[str, Any]
    health_version: str
    health: float | None
    band: str


GET = """
SELECT day, computed_at, rules_version, facts, health_version, health::float8 AS health, band
FROM dev.project_days WHERE project_id = %(project_id)s AND day = %(day)s
"""


def get(conn: psycopg.Connection, project_id: int, day: date) -> Kept | None:
    with conn.cursor(row_factory=class_row(Kept)) as cursor:
        return cursor.execute(GET, {"project_id": project_id, "day": day}).fetchone()


# A day on which nothing was kept is told by the one before it.
WEEK = """
SELECT p.full_name, p.team, p.owner, p.criticality, n.facts, n.health_version, n.health::float8 AS health, n.band,
    b.health::float8 AS health_before, b.band AS band_before
FROM dev.projects AS p
LEFT JOIN LATERAL (
    SELECT d.facts, d.health_version, d.health, d.band FROM dev.project_days AS d
    WHERE d.project_id = p.project_id AND d.day <= %(day)s AND d.day >= %(day)s - 1 ORDER BY d.day DESC LIMIT 1
) AS n ON true
LEFT JOIN LATERAL (
    SELECT d.health, d.band FROM dev.project_days AS d
    WHERE d.project_id = p.project_id AND d.day <= %(day)s - 7 AND d.day >= %(day)s - 8 ORDER BY d.day DESC LIMIT 1
) AS b ON true
WHERE p.active
ORDER BY lower(p.full_name) COLLATE "C"
"""


class OfWeek(NamedTuple):
    """A followed project on a day, and a week before it. None where nothing was kept."""

    full_name: str
    team: str | None
    owner: str | None
    criticality: str
    facts: Mapping[str, Any] | None
    health_version: str | None
    health: float | None
    band: str | None
    health_before: float | None
    band_before: str | None


def of_week(conn: psycopg.Connection, day: date) -> list[OfWeek]:
    with conn.cursor(row_factory=class_row(OfWeek)) as cursor:
        return cursor.execute(WEEK, {"day": day}).fetchall()


PRUNE = "DELETE FROM dev.project_days WHERE day < %(before)s"


def prune(conn: psycopg.Connection, *, before: date) -> int:
    return conn.execute(PRUNE, {"before": before}).rowcount
