"""Store of ops.incidents, ops.alerts and ops.incident_events.

Who changes incidents holds `lock` until commit. One lock for all: whatever fires or ends is rare, takes milliseconds,
and two runs that end at once and name each other's causes in another order cannot deadlock.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any, NamedTuple, cast
from uuid import UUID

import psycopg
from psycopg.rows import class_row, dict_row, scalar_row
from psycopg.types.json import Jsonb

from jobctl.alerts.ledger import Change
from jobctl.alerts.lifecycle import Alert, Fingerprint, Incident

BATCH = 500  # incidents a statement
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


RECENT = """
SELECT cause, count(*) FROM ops.incidents WHERE cause = ANY(%(causes)s) AND opened_at > %(since)s GROUP BY cause
"""


def recent(conn: psycopg.Connection, causes: Collection[str], since: datetime) -> dict[str, int]:
    """How many incidents of each of these causes were opened since; one that had none is not named."""
    if not causes:
        return {}
    return dict(conn.execute(RECENT, {"causes": sorted(causes), "since": since}).fetchall())


INSERT = """
INSERT INTO ops.incidents (cause, state, severity, title, facts, page, is_flapping, occurrences, notices, opened_at,
    last_seen_at, told_at, realert_every_s, acked_at, snoozed_until, resolved_at)
VALUES (%(cause)s, %(state)s, %(severity)s, %(title)s, %(facts)s, %(page)s, %(is_flapping)s, %(occurrences)s,
    %(notices)s, %(opened_at)s, %(last_seen_at)s, %(told_at)s, %(realert_every_s)s, %(acked_at)s, %(snoozed_until)s,
    %(resolved_at)s)
RETURNING incident_id
"""
UPDATE = """
UPDATE ops.incidents AS i SET state = r.state, severity = r.severity, title = r.title, facts = r.facts, page = r.page,
    is_flapping = r.is_flapping, occurrences = r.occurrences, notices = r.notices, opened_at = r.opened_at,
    last_seen_at = r.last_seen_at, told_at = r.told_at, acked_at = r.acked_at, snoozed_until = r.snoozed_until,
    resolved_at = r.resolved_at
FROM jsonb_to_recordset(%(rows)s) AS r (incident_id bigint, state text, severity text, title text, facts jsonb,
    page text, is_flapping boolean, occurrences bigint, notices integer, opened_at timestamptz,
    last_seen_at timestamptz, told_at timestamptz, acked_at timestamptz, snoozed_until timestamptz,
    resolved_at timestamptz)
WHERE i.incident_id = r.incident_id AND i.state = 'open'
"""
PUT_ALERTS = """
INSERT INTO ops.alerts (incident_id, condition, subject, title, job, scope, run_id, host, occurrences, clears,
    first_seen_at, last_seen_at, cleared_at)
SELECT incident_id, condition, subject, title, job, scope, run_id, host, occurrences, clears, first_seen_at,
    last_seen_at, cleared_at
FROM jsonb_to_recordset(%(rows)s) AS r (incident_id bigint, condition text, subject text, title text, job text,
    scope text, run_id uuid, host text, occurrences bigint, clears integer, first_seen_at timestamptz,
    last_seen_at timestamptz, cleared_at timestamptz)
ON CONFLICT (incident_id, condition, subject) DO UPDATE
SET title = excluded.title, occurrences = excluded.occurrences, clears = excluded.clears,
    first_seen_at = excluded.first_seen_at, last_seen_at = excluded.last_seen_at, cleared_at = excluded.cleared_at,
    run_id = coalesce(excluded.run_id, alerts.run_id), host = coalesce(nullif(excluded.host, ''), alerts.host)
"""


def save(conn: psycopg.Connection, changes: Sequence[tuple[int | None, Change]]) -> list[int]:
    """Under `lock`: incidents with their numbers, which a new one has not, and those of their alerts that are another
    now. Gives the numbers of all."""
    numbers: list[int] = []
    for start in range(0, len(changes), BATCH):
        numbers += _save(conn, changes[start : start + BATCH])
    return numbers


def _save(conn: psycopg.Connection, changes: Sequence[tuple[int | None, Change]]) -> list[int]:
    opened = iter(_inserted(conn, [each.after for number, each in changes if number is None]))
    numbers = [next(opened) if number is None else number for number, _ in changes]
    known = [{**_row(each.after), "incident_id": number} for number, each in changes if number is not None]
    if known:
        conn.execute(UPDATE, {"rows": _as_rows(known)})
    alerts = [
        {"incident_id": number, "condition": condition, "subject": subject, **alert._asdict(), **each.about._asdict()}
        for number, (_, each) in zip(numbers, changes, strict=True)
        for (condition, subject), alert in each.after.alerts.items()
        if each.before is None or each.before.alerts.get((condition, subject)) != alert
    ]
    if alerts:
        conn.execute(PUT_ALERTS, {"rows": _as_rows(alerts)})
    return numbers


def _inserted(conn: psycopg.Connection, incidents: Sequence[Incident]) -> list[int]:
    """One by one, though sent together: a cause may open, end and open again within one look."""
    numbers: list[int] = []
    if incidents:
        with conn.cursor(row_factory=scalar_row) as cursor:
            rows = [{**row, "facts": Jsonb(row["facts"])} for row in map(_row, incidents)]
            cursor.executemany(INSERT, rows, returning=True)
            has_next: bool | None = True
            while has_next:
                numbers += cursor.fetchall()
                has_next = cursor.nextset()
    return numbers


def _row(incident: Incident) -> dict[str, Any]:
    row = incident._asdict()
    del row["alerts"], row["realert_every"]
    return {
        **row,
        "state": "open" if incident.is_open else "resolved",
        "facts": [list(fact) for fact in incident.facts],
        "realert_every_s": round(incident.realert_every.total_seconds()),
    }


def _as_rows(rows: Sequence[Mapping[str, Any]]) -> Jsonb:
    return Jsonb(rows, dumps=partial(json.dumps, default=str))


ADD_EVENT = """
INSERT INTO ops.incident_events (incident_id, event, said, who)
VALUES (%(incident_id)s, %(event)s, %(said)s, %(who)s)
"""


class NewEvent(NamedTuple):
    incident_id: int
    event: str
    said: str = ""
    who: str = ""


def add_events(conn: psycopg.Connection, events: Sequence[NewEvent]) -> None:
    with conn.cursor() as cursor:
        cursor.executemany(ADD_EVENT, [each._asdict() for each in events])


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
    add_events(conn, [NewEvent(incident_id, "acknowledged", said, who)])
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
    add_events(conn, [NewEvent(incident_id, "snoozed", said, who)])
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
