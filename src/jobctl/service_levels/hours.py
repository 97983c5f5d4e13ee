"""Store of dev.metric_hours, dev.project_hours and dev.metric_rules: what was found each hour, and by which rules."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final, NamedTuple
from uuid import UUID

import psycopg
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from jobctl.service_levels.bugs import SEVERITIES
from jobctl.service_levels.revenue import AtRisk

KEEP_RULES = """
INSERT INTO dev.metric_rules (version, rules) VALUES (%(version)s, %(rules)s) ON CONFLICT DO NOTHING
"""


def keep_rules(conn: psycopg.Connection, version: str, rules: Mapping[str, Any]) -> None:
    conn.execute(KEEP_RULES, {"version": version, "rules": Jsonb(rules)})


# What an earlier run of the same hour has kept gives way. A project that was removed meanwhile is passed over.
KEEP_PROJECTS = """
INSERT INTO dev.project_hours AS h (hour, project_id, bugs, per_day)
SELECT %(hour)s, project_id, bugs, per_day
FROM pg_catalog.jsonb_to_recordset(%(rows)s) AS r (project_id bigint, bugs integer[], per_day numeric[])
JOIN dev.projects AS p USING (project_id)
FOR KEY SHARE OF p
ON CONFLICT (project_id, hour) DO UPDATE SET bugs = excluded.bugs, per_day = excluded.per_day
WHERE (h.bugs, h.per_day) IS DISTINCT FROM (excluded.bugs, excluded.per_day)
"""

CLEAR_PROJECTS = """
DELETE FROM dev.project_hours WHERE hour = %(hour)s AND project_id = ANY(%(project_ids)s)
"""


def keep_projects(conn: psycopg.Connection, hour: datetime, found: Mapping[int, AtRisk]) -> int:
    """Of these projects; one without open bugs has no row."""
    without = [project_id for project_id, risk in found.items() if not risk.open_bugs]
    rows = [
        {"project_id": project_id, "bugs": risk.bugs, "per_day": [str(amount) for amount in risk.impact]}
        for project_id, risk in found.items()
        if risk.open_bugs
    ]
    if without:
        conn.execute(CLEAR_PROJECTS, {"hour": hour, "project_ids": without})
    if rows:
        conn.execute(KEEP_PROJECTS, {"hour": hour, "rows": Jsonb(rows)})
    return len(rows)


KEEP = """
INSERT INTO dev.metric_hours (hour, computed_at, run_id, rules_version, figures)
VALUES (%(hour)s, %(now)s, %(run_id)s, %(version)s, %(figures)s)
ON CONFLICT (hour) DO UPDATE SET computed_at = excluded.computed_at, run_id = excluded.run_id,
    rules_version = excluded.rules_version, figures = excluded.figures
"""


def keep(
    conn: psycopg.Connection, hour: datetime, figures: Mapping[str, Any], *, run_id: UUID, version: str, now: datetime
) -> None:
    """Last of all that is kept of the hour."""
    values = {"hour": hour, "now": now, "run_id": run_id, "version": version, "figures": Jsonb(figures)}
    conn.execute(KEEP, values)


IS_KEPT = "SELECT FROM dev.metric_hours WHERE hour = %(hour)s"


def is_kept(conn: psycopg.Connection, hour: datetime) -> bool:
    return conn.execute(IS_KEPT, {"hour": hour}).fetchone() is not None


class Span(NamedTuple):
    """How far back, and how much further the nearest kept hour may be."""

    name: str
    back: timedelta
    slack: timedelta


SPANS: Final = (
    Span("hour", timedelta(hours=1), timedelta(hours=1)),
    Span("day", timedelta(days=1), timedelta(hours=6)),
    Span("week", timedelta(weeks=1), timedelta(days=1)),
)

BEFORE = """
SELECT hour, figures FROM dev.metric_hours
WHERE hour <= %(until)s AND hour >= %(since)s ORDER BY hour DESC LIMIT 1
"""


class Kept(NamedTuple):
    """A row of dev.metric_hours."""

    hour: datetime
    figures: Mapping[str, Any]

    @property
    def by_severity(self) -> list[Decimal]:
        """Money at risk, in the order of SEVERITIES."""
        found = self.figures["revenue_at_risk"]["by_severity"]
        return [Decimal(str(found[name]["per_day"])) for name in SEVERITIES]


def before(conn: psycopg.Connection, hour: datetime, span: Span) -> Kept | None:
    """What was kept that long before, or not much longer."""
    until = hour - span.back
    with conn.cursor(row_factory=class_row(Kept)) as cursor:
        return cursor.execute(BEFORE, {"until": until, "since": until - span.slack}).fetchone()


LATEST = "SELECT hour, figures FROM dev.metric_hours WHERE hour <= %(until)s ORDER BY hour DESC LIMIT 1"


def latest(conn: psycopg.Connection, until: datetime) -> Kept | None:
    with conn.cursor(row_factory=class_row(Kept)) as cursor:
        return cursor.execute(LATEST, {"until": until}).fetchone()


# Each moment's own look-up goes by the primary key and opens one row.
POINTS = """
SELECT m.until, h.hour, (h.figures -> 'revenue_at_risk' ->> 'per_day')::float8 AS per_day,
    (h.figures -> 'velocity' -> 'all' ->> 'resolved_median_4')::float8 AS resolved_4,
    (h.figures -> 'velocity' -> 'all' ->> 'merged_per_week')::float8 AS merged
FROM unnest(%(moments)s::timestamptz[]) AS m (until)
LEFT JOIN LATERAL (
    SELECT x.hour, x.figures FROM dev.metric_hours AS x
    WHERE x.hour < m.until AND x.hour >= m.until - %(slack)s::interval ORDER BY x.hour DESC LIMIT 1
) AS h ON true
ORDER BY m.until
"""


class Point(NamedTuple):
    """All projects together as they were last found before a moment; without an hour nothing was kept."""

    until: datetime
    hour: datetime | None
    per_day: float | None
    resolved_4: float | None
    merged: float | None


def points(conn: psycopg.Connection, moments: Sequence[datetime], slack: timedelta) -> list[Point]:
    """Of each moment what was kept before it, by no more than `slack`."""
    with conn.cursor(row_factory=class_row(Point)) as cursor:
        return cursor.execute(POINTS, {"moments": list(moments), "slack": slack}).fetchall()


OF_PROJECTS = """
SELECT project_id, per_day FROM dev.project_hours WHERE hour = %(hour)s AND project_id = ANY(%(project_ids)s)
"""


def of_projects(conn: psycopg.Connection, hour: datetime, project_ids: Sequence[int]) -> dict[int, Sequence[Decimal]]:
    """What each of these had at risk, by severity, in an hour that was kept: those without a row, nothing."""
    rows = conn.execute(OF_PROJECTS, {"hour": hour, "project_ids": list(project_ids)})
    found: dict[int, Sequence[Decimal]] = dict.fromkeys(project_ids, (Decimal(0),) * len(SEVERITIES))
    found.update(rows.fetchall())
    return found


PRUNE_PROJECTS = "DELETE FROM dev.project_hours WHERE hour < %(before)s"
PRUNE = "DELETE FROM dev.metric_hours WHERE hour < %(before)s"


def prune(conn: psycopg.Connection, *, projects_before: datetime, all_before: datetime) -> int:
    return (
        conn.execute(PRUNE_PROJECTS, {"before": projects_before}).rowcount
        + conn.execute(PRUNE, {"before": all_before}).rowcount
    )
