"""Store of ops.incidents, ops.alerts and ops.incident_events.

Who changes incidents holds `lock` until commit. One lock for all: whatever fires or ends is rare, takes milliseconds,
and two runs that end at once and name each other's causes in another order cannot deadlock.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple, cast
from uuid import UUID

import psycopg
from psycopg.rows import class_row, dict_row
from psycopg.types.json import Jsonb

from jobctl.alerts.lifecycle import Alert, Fingerprint, Incident
from jobctl.alerts.verdict import NOBODY, About

LOCK_KEY = 0x6A6F_6263_746C_0009  # "jobctl", 9

LOCK = "SELECT pg_catalog.pg_advisory_xact_lock(%(key)s)"


def lock(conn: psycopg.Connection) -> None:
    """Until the end of the transaction."""
    conn.execute(LOCK, {"key": LOCK_KEY})


class Kept(NamedTuple):
    """An open incident with its number."""

    incident_id: int
    incident: Incident


OPEN = """
SELECT i.incident_id, i.cause, i.severity, i.title, i.facts, i.page, i.opened_at, i.last_seen_at, i.realert_every_s,
    i.occurrences, i.notices, i.told_at, i.is_flapping, i.acked_at, i.snoozed_until, i.resolved_at,
    a.condition, a.subject, a.title AS alert_title, a.first_seen_at, a.last_seen_at AS alert_seen_at,
    a.occurrences AS alert_occurrences, a.clears, a.cleared_at
FROM ops.incidents AS i LEFT JOIN ops.alerts AS a USING (incident_id)
WHERE i.state = 'open'
ORDER BY i.incident_id, a.first_seen_at, a.condition, a.subject
"""


def open_incidents(conn: psycopg.Connection) -> list[Kept]:
    """All of them, which are few: one a cause."""
    with conn.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(OPEN).fetchall()
    found: dict[int, tuple[dict[str, Any], dict[Fingerprint, Alert]]] = {}
    for row in rows:
        _, alerts = found.setdefault(row["incident_id"], (row, {}))
        if row["condition"] is not None:
            alerts[row["condition"], row["subject"]] = Alert(
                row["alert_title"],
                row["first_seen_at"],
                row["alert_seen_at"],
                row["alert_occurrences"],
                row["clears"],
                row["cleared_at"],
            )
    return [Kept(number, _incident(row, alerts)) for number, (row, alerts) in found.items()]


def _incident(row: Mapping[str, Any], alerts: Mapping[Fingerprint, Alert]) -> Incident:
    facts = cast("list[list[str]]", row["facts"])
    return Incident(
        cause=row["cause"],
        severity=row["severity"],
        title=row["title"],
        facts=tuple((word, said) for word, said in facts),
        page=row["page"],
        opened_at=row["opened_at"],
        last_seen_at=row["last_seen_at"],
        realert_every=timedelta(seconds=row["realert_every_s"]),
        alerts=alerts,
        occurrences=row["occurrences"],
        notices=row["notices"],
        told_at=row["told_at"],
        is_flapping=row["is_flapping"],
        acked_at=row["acked_at"],
        snoozed_until=row["snoozed_until"],
        resolved_at=row["resolved_at"],
    )


IS_ANY_OPEN = "SELECT EXISTS (SELECT FROM ops.incidents WHERE state = 'open')"


def is_any_open(conn: psycopg.Connection) -> bool:
    row = conn.execute(IS_ANY_OPEN).fetchone()
    return row is not None and row[0]


HOLDS_DEMO = "SELECT EXISTS (SELECT FROM ops.demo)"


def holds_demo(conn: psycopg.Connection) -> bool:
    """Sample data is here, of which nobody is told anything."""
    row = conn.execute(HOLDS_DEMO).fetchone()
    return row is not None and row[0]


RECENT = "SELECT count(*) FROM ops.incidents WHERE cause = %(cause)s AND opened_at > %(since)s"


def recent(conn: psycopg.Connection, cause: str, since: datetime) -> int:
    """How many incidents of this cause were opened since."""
    row = conn.execute(RECENT, {"cause": cause, "since": since}).fetchone()
    return row[0] if row else 0


INSERT = """
INSERT INTO ops.incidents (cause, state, severity, title, facts, page, is_flapping, occurrences, notices, opened_at,
    last_seen_at, told_at, realert_every_s, acked_at, snoozed_until, resolved_at)
VALUES (%(cause)s, %(state)s, %(severity)s, %(title)s, %(facts)s, %(page)s, %(is_flapping)s, %(occurrences)s,
    %(notices)s, %(opened_at)s, %(last_seen_at)s, %(told_at)s, %(realert_every_s)s, %(acked_at)s, %(snoozed_until)s,
    %(resolved_at)s)
RETURNING incident_id
"""
UPDATE = """
UPDATE ops.incidents SET state = %(state)s, severity = %(severity)s, title = %(title)s, facts = %(facts)s,
    page = %(page)s, is_flapping = %(is_flapping)s, occurrences = %(occurrences)s, notices = %(notices)s,
    opened_at = %(opened_at)s, last_seen_at = %(last_seen_at)s, told_at = %(told_at)s, acked_at = %(acked_at)s,
    snoozed_until = %(snoozed_until)s, resolved_at = %(resolved_at)s
WHERE incident_id = %(incident_id)s AND state = 'open'
"""
PUT_ALERT = """
INSERT INTO ops.alerts (incident_id, condition, subject, title, job, scope, run_id, host, occurrences, clears,
    first_seen_at, last_seen_at, cleared_at)
VALUES (%(incident_id)s, %(condition)s, %(subject)s, %(title)s, %(job)s, %(scope)s, %(run_id)s, %(host)s,
    %(occurrences)s, %(clears)s, %(first_seen_at)s, %(last_seen_at)s, %(cleared_at)s)
ON CONFLICT (incident_id, condition, subject) DO UPDATE
SET title = excluded.title, occurrences = excluded.occurrences, clears = excluded.clears,
    first_seen_at = excluded.first_seen_at, last_seen_at = excluded.last_seen_at, cleared_at = excluded.cleared_at,
    run_id = coalesce(excluded.run_id, alerts.run_id), host = coalesce(nullif(excluded.host, ''), alerts.host)
"""


def save(
    conn: psycopg.Connection,
    incident_id: int | None,
    incident: Incident,
    *,
    before: Incident | None = None,
    about: About = NOBODY,
) -> int:
    """Under `lock`: the incident, new or as it was `before`, and those of its alerts that are another now."""
    parameters = {
        **incident._asdict(),
        "state": "open" if incident.is_open else "resolved",
        "facts": Jsonb([list(fact) for fact in incident.facts]),
        "realert_every_s": round(incident.realert_every.total_seconds()),
        "incident_id": incident_id,
    }
    del parameters["alerts"], parameters["realert_every"]
    if incident_id is None:
        row = conn.execute(INSERT, parameters).fetchone()
        assert row is not None
        incident_id = int(row[0])
    else:
        conn.execute(UPDATE, parameters)
    for (condition, subject), alert in incident.alerts.items():
        if before is None or before.alerts.get((condition, subject)) != alert:
            keys = {"incident_id": incident_id, "condition": condition, "subject": subject}
            conn.execute(PUT_ALERT, {**keys, **alert._asdict(), **about._asdict()})
    return incident_id


ADD_EVENT = """
INSERT INTO ops.incident_events (incident_id, event, said, who)
VALUES (%(incident_id)s, %(event)s, %(said)s, %(who)s)
"""


def add_event(conn: psycopg.Connection, incident_id: int, event: str, *, said: str = "", who: str = "") -> None:
    conn.execute(ADD_EVENT, {"incident_id": incident_id, "event": event, "said": said, "who": who})


# A row of any state, for people.
class Row(NamedTuple):
    incident_id: int
    cause: str
    state: str
    severity: str
    title: str
    facts: list[list[str]]
    page: str
    is_flapping: bool
    occurrences: int
    notices: int
    opened_at: datetime
    last_seen_at: datetime
    told_at: datetime | None
    acked_at: datetime | None
    acked_by: str | None
    snoozed_until: datetime | None
    snoozed_by: str | None
    resolved_at: datetime | None


ROWS = """
SELECT incident_id, cause, state, severity, title, facts, page, is_flapping, occurrences, notices, opened_at,
    last_seen_at, told_at, acked_at, acked_by, snoozed_until, snoozed_by, resolved_at
FROM ops.incidents
WHERE (%(state)s::text IS NULL OR state = %(state)s) AND opened_at >= %(since)s
  AND (%(incident_id)s::bigint IS NULL OR incident_id = %(incident_id)s)
  AND (%(job)s::text IS NULL OR EXISTS (SELECT FROM ops.alerts AS a
    WHERE a.incident_id = incidents.incident_id AND a.job = %(job)s))
ORDER BY incident_id DESC LIMIT %(limit)s
"""


def rows(
    conn: psycopg.Connection,
    *,
    since: datetime,
    state: str | None = None,
    job: str | None = None,
    incident_id: int | None = None,
    limit: int = 100,
) -> list[Row]:
    """The newest first."""
    parameters = {"since": since, "state": state, "job": job, "incident_id": incident_id, "limit": limit}
    with conn.cursor(row_factory=class_row(Row)) as cursor:
        return cursor.execute(ROWS, parameters).fetchall()


BETWEEN = """
SELECT incident_id, cause, state, severity, title, facts, page, is_flapping, occurrences, notices, opened_at,
    last_seen_at, told_at, acked_at, acked_by, snoozed_until, snoozed_by, resolved_at
FROM ops.incidents
WHERE opened_at < %(until)s AND (resolved_at IS NULL OR resolved_at > %(since)s)
ORDER BY severity, opened_at, incident_id
"""


def open_between(conn: psycopg.Connection, since: datetime, until: datetime) -> list[Row]:
    """Those that were open at some moment of this time, the critical ones first."""
    with conn.cursor(row_factory=class_row(Row)) as cursor:
        return cursor.execute(BETWEEN, {"since": since, "until": until}).fetchall()


class AlertRow(NamedTuple):
    condition: str
    subject: str
    title: str
    job: str
    scope: str
    run_id: UUID | None
    host: str
    occurrences: int
    first_seen_at: datetime
    last_seen_at: datetime
    cleared_at: datetime | None


ALERTS_OF = """
SELECT condition, subject, title, job, scope, run_id, host, occurrences, first_seen_at, last_seen_at, cleared_at
FROM ops.alerts WHERE incident_id = %(incident_id)s ORDER BY first_seen_at, condition, subject LIMIT 1000
"""


def alerts_of(conn: psycopg.Connection, incident_id: int) -> list[AlertRow]:
    with conn.cursor(row_factory=class_row(AlertRow)) as cursor:
        return cursor.execute(ALERTS_OF, {"incident_id": incident_id}).fetchall()


class Event(NamedTuple):
    event_id: int
    incident_id: int
    at: datetime
    event: str
    said: str
    who: str
    title: str


EVENTS = """
SELECT e.event_id, e.incident_id, e.at, e.event, e.said, e.who, i.title
FROM ops.incident_events AS e JOIN ops.incidents AS i USING (incident_id)
WHERE e.at >= %(since)s AND (%(incident_id)s::bigint IS NULL OR e.incident_id = %(incident_id)s)
ORDER BY e.event_id DESC LIMIT %(limit)s
"""


def events(
    conn: psycopg.Connection, *, since: datetime, incident_id: int | None = None, limit: int = 100
) -> list[Event]:
    """The newest first."""
    with conn.cursor(row_factory=class_row(Event)) as cursor:
        return cursor.execute(EVENTS, {"since": since, "incident_id": incident_id, "limit": limit}).fetchall()


# Zero rows: there is no such incident, or it is resolved.
ACK = """
UPDATE ops.incidents SET acked_at = clock_timestamp(), acked_by = %(who)s
WHERE incident_id = %(incident_id)s AND state = 'open'
"""


def acknowledge(conn: psycopg.Connection, incident_id: int, *, who: str, said: str) -> bool:
    """In a transaction."""
    lock(conn)
    if conn.execute(ACK, {"incident_id": incident_id, "who": who}).rowcount != 1:
        return False
    add_event(conn, incident_id, "acknowledged", said=said, who=who)
    return True


SNOOZE = """
UPDATE ops.incidents SET snoozed_until = %(until)s, snoozed_by = %(who)s, acked_at = NULL, acked_by = NULL
WHERE incident_id = %(incident_id)s AND state = 'open'
"""


def snooze(conn: psycopg.Connection, incident_id: int, until: datetime, *, who: str, said: str) -> bool:
    """In a transaction."""
    lock(conn)
    if conn.execute(SNOOZE, {"incident_id": incident_id, "until": until, "who": who}).rowcount != 1:
        return False
    add_event(conn, incident_id, "snoozed", said=said, who=who)
    return True


PRUNE = """
DELETE FROM ops.incidents WHERE incident_id IN (
    SELECT incident_id FROM ops.incidents WHERE state = 'resolved' AND resolved_at < %(before)s
    ORDER BY incident_id LIMIT %(limit)s)
"""


def prune(conn: psycopg.Connection, before: datetime, *, limit: int = 1_000) -> int:
    """Resolved ones that nobody looks at any more."""
    return conn.execute(PRUNE, {"before": before, "limit": limit}).rowcount


def known_firing(kept: Sequence[Kept]) -> list[Fingerprint]:
    """The alerts that fire now."""
    return [fingerprint for each in kept for fingerprint, alert in each.incident.alerts.items() if alert.is_firing]
