"""What came of a run: what it left in each table, found by its id. Store and answer of `jobctl explain`.

What a run wrote commits with the counts in its row, so the counts are the rows. Beside them stands what is there now,
which others may have changed since: its tasks in their present state, its rejects and how many are resolved, the
incidents that it opened or added to, and the messages that left because of it. Each is found by an index on the run's
id; what can be many is counted up to MOST_COUNTED and then said to be at least that.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, LiteralString, NamedTuple, TypeVar

import psycopg
from psycopg.rows import class_row

from jobctl.monitor.runs.showing import Shown

T = TypeVar("T")
MOST_COUNTED: Final = 100_000


class Tasks(NamedTuple):
    """The tasks that the run put into the queue last, by what has become of them."""

    type: str
    state: str
    tasks: int
    newest_at: datetime


class Rejects(NamedTuple):
    branch: str
    reason: str
    field: str
    rejects: int
    resolved: int


class Tries(NamedTuple):
    """Of a worker's run: the tries of tasks that it made."""

    type: str
    outcome: str
    tries: int


class IncidentOf(NamedTuple):
    """`is_named`: the alert names this run; else it is about the same job and scope and lasted when the run ended."""

    incident_id: int
    state: str
    severity: str
    title: str
    cause: str
    condition: str
    subject: str
    is_named: bool
    opened_at: datetime
    resolved_at: datetime | None


class Message(NamedTuple):
    message_id: int
    channel: str
    state: str
    tries: int
    title: str
    incident_id: int | None
    created_at: datetime
    updated_at: datetime
    error_message: str | None


class Mails(NamedTuple):
    """Of a report's run: the weekly mails that it made, one a recipient, by what has become of them."""

    week: str
    state: str
    mails: int


@dataclass(frozen=True, slots=True)
class Lineage:
    tasks: tuple[Tasks, ...]
    rejects: tuple[Rejects, ...]
    tries: tuple[Tries, ...]
    incidents: tuple[IncidentOf, ...]
    messages: tuple[Message, ...]
    mails: tuple[Mails, ...]

    @property
    def tasks_are_cut(self) -> bool:
        return sum(each.tasks for each in self.tasks) >= MOST_COUNTED

    @property
    def rejects_are_cut(self) -> bool:
        return sum(each.rejects for each in self.rejects) >= MOST_COUNTED


TASKS = """
SELECT f.type, f.state, count(*) AS tasks, max(f.created_at) AS newest_at
FROM (SELECT type, state, created_at FROM queue.tasks WHERE run_id = %(run_id)s LIMIT %(most)s) AS f
GROUP BY f.type, f.state ORDER BY f.type, f.state
"""
REJECTS = """
SELECT coalesce(b.slug, 'removed branch') AS branch, f.reason, f.field, count(*) AS rejects,
    count(*) FILTER (WHERE f.resolved_at IS NOT NULL) AS resolved
FROM (SELECT branch_id, reason, field, resolved_at FROM branch.rejects WHERE run_id = %(run_id)s LIMIT %(most)s) AS f
LEFT JOIN branch.branches AS b USING (branch_id)
GROUP BY 1, f.reason, f.field ORDER BY 4 DESC, 1, 2, 3
"""
# By the time of their end, which is what tries are ordered by; a run's tries end within it.
TRIES = """
SELECT f.type, f.outcome, count(*) AS tries
FROM (SELECT type, outcome FROM queue.attempts
    WHERE finished_at >= %(began)s AND finished_at <= %(ended)s AND run_id = %(run_id)s LIMIT %(most)s) AS f
GROUP BY f.type, f.outcome ORDER BY f.type, f.outcome
"""
INCIDENTS = """
SELECT i.incident_id, i.state, i.severity, i.title, i.cause, a.condition, a.subject,
    bool_or(a.run_id IS NOT DISTINCT FROM %(run_id)s) AS is_named, i.opened_at, i.resolved_at
FROM (
    SELECT incident_id, condition, subject, run_id FROM ops.alerts WHERE run_id = %(run_id)s
    UNION
    SELECT incident_id, condition, subject, run_id FROM ops.alerts
    WHERE job = %(job)s AND scope = ANY (%(scopes)s) AND last_seen_at >= %(ended)s AND first_seen_at <= %(ended)s
) AS a JOIN ops.incidents AS i USING (incident_id)
GROUP BY i.incident_id, a.condition, a.subject ORDER BY i.incident_id, a.condition, a.subject LIMIT 100
"""
MESSAGES = """
SELECT message_id, channel, state, tries, coalesce(payload ->> 'title', payload ->> 'subject', '') AS title,
    (regexp_match(dedupe_key, '/incident/([0-9]+)/'))[1]::bigint AS incident_id, created_at, updated_at, error_message
FROM ops.outbox WHERE run_id = %(run_id)s ORDER BY message_id LIMIT 1000
"""

# A short table: a row a recipient and week.
MAILS = """
SELECT week, state, count(*) AS mails FROM ops.report_mails WHERE run_id = %(run_id)s
GROUP BY week, state ORDER BY week, state
"""


def trace(conn: psycopg.Connection, shown: Shown, *, now: datetime) -> Lineage:
    run = {"run_id": shown.run_id, "most": MOST_COUNTED}
    ended = shown.finished_at or now
    spans = {**run, "began": shown.first.started_at, "ended": ended}
    about = {
        "run_id": shown.run_id,
        "job": shown.first.job,
        "scopes": ["", *(scope.row.scope for scope in shown.scopes)],
        "ended": ended,
    }
    is_worker = shown.first.job == "work"
    return Lineage(
        tasks=tuple(_rows(conn, Tasks, TASKS, run)),
        rejects=tuple(_rows(conn, Rejects, REJECTS, run)),
        tries=tuple(_rows(conn, Tries, TRIES, spans)) if is_worker else (),
        incidents=tuple(_rows(conn, IncidentOf, INCIDENTS, about)),
        messages=tuple(_rows(conn, Message, MESSAGES, run)),
        mails=tuple(_rows(conn, Mails, MAILS, run)) if shown.first.job == "report" else (),
    )


def _rows(conn: psycopg.Connection, shape: type[T], question: LiteralString, parameters: dict[str, Any]) -> Sequence[T]:
    with conn.cursor(row_factory=class_row(shape)) as cursor:
        return cursor.execute(question, parameters).fetchall()
