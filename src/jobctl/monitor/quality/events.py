"""What the events of a window say: by job and type how many, how many failed, and what the failures have in common.

Events are found by their runs, and those by the index of the history: the table of events, which is the longest of all,
is never read from end to end. Of very many runs the latest are looked at, and `is_whole` says so.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import psycopg
from psycopg import sql
from psycopg.rows import class_row

from jobctl.monitor.queue import patterns
from jobctl.monitor.queue.patterns import Failure, Pattern
from jobctl.monitor.scopes import PAIRS

MOST_RUNS = 10_000
MOST_OF_A_RUN = 5_000
MOST_FAILURES = 5_000


class Tally(NamedTuple):
    """Events of a job and type: `type` is a sync's step, else the event's name. `processed` and `failed` are what the
    events themselves count; where they count nothing, each event is one, and failed when its level is
    `error` or its name ends so (a wrapped command's `attempt_failed`, which may be tried again, is a warning)."""

    job: str
    type: str
    events: int
    processed: int
    failed: int

    @property
    def success_rate(self) -> float:
        """1.0 also where nothing was done."""
        done = self.processed + self.failed
        return 1.0 if not done else self.processed / done


class Events(NamedTuple):
    runs: int
    is_whole: bool
    tallies: Sequence[Tally]
    patterns: Sequence[Pattern]


# A run with several scopes has several rows and one set of events.
RUNS = PAIRS + sql.SQL("""
, late AS (
    SELECT r.run_id FROM pairs AS p CROSS JOIN LATERAL (
        SELECT h.run_id, h.started_at FROM ops.job_history AS h
        WHERE h.job = p.job AND h.scope = p.scope AND h.started_at >= %(since)s AND h.started_at <= %(now)s
          AND h.status <> 'skipped' OFFSET 0
    ) AS r
    GROUP BY r.run_id ORDER BY max(r.started_at) DESC LIMIT %(most_runs)s
)
""")
COUNT = RUNS + sql.SQL("SELECT count(*) FROM late")
TALLIES = RUNS + sql.SQL("""
SELECT e.job, e.type, count(*) AS events,
    coalesce(sum(CASE WHEN e.counts THEN e.done ELSE (NOT e.is_failure)::integer END), 0)::bigint
        AS processed,
    coalesce(sum(CASE WHEN e.counts THEN e.broken ELSE e.is_failure::integer END), 0)::bigint AS failed
FROM late AS l CROSS JOIN LATERAL (
    SELECT s.job, s.level = 'error' OR right(s.event, 7) = '_failed' AS is_failure,
        coalesce(s.fields ->> 'step', s.event) AS type, s.fields ? 'processed' AS counts,
        CASE WHEN s.fields ->> 'processed' ~ '^[0-9]{1,15}$' THEN (s.fields ->> 'processed')::bigint ELSE 0 END AS done,
        CASE WHEN s.fields ->> 'failed' ~ '^[0-9]{1,15}$' THEN (s.fields ->> 'failed')::bigint ELSE 0 END AS broken
    FROM ops.sync_events AS s WHERE s.run_id = l.run_id ORDER BY s.event_id LIMIT %(most_of_a_run)s
) AS e
GROUP BY e.job, e.type ORDER BY e.job, e.type
""")
FAILED_EVENTS = RUNS + sql.SQL("""
SELECT f.job AS type, f.error_class, f.error_message, count(*) AS failures, min(f.at) AS first_at,
    max(f.at) AS last_at, 0 AS task_id
FROM (
    SELECT e.* FROM late AS l CROSS JOIN LATERAL (
        SELECT s.job, coalesce(s.fields ->> 'error_class', s.event) AS error_class,
            left(coalesce(s.fields ->> 'reason', s.fields ->> 'said', s.event), 2000) AS error_message, s.at
        FROM ops.sync_events AS s WHERE s.run_id = l.run_id AND (s.level = 'error' OR right(s.event, 7) = '_failed')
        ORDER BY s.event_id LIMIT %(most_of_a_run)s
    ) AS e LIMIT %(most_failures)s
) AS f
GROUP BY f.job, f.error_class, f.error_message
""")
FAILED_RUNS = PAIRS + sql.SQL("""
SELECT f.job AS type, f.error_class, f.error_message, count(*) AS failures, min(f.started_at) AS first_at,
    max(f.started_at) AS last_at, 0 AS task_id
FROM (
    SELECT r.* FROM pairs AS p CROSS JOIN LATERAL (
        SELECT h.job, h.started_at, h.error_class, left(h.error_message, 2000) AS error_message
        FROM ops.job_history AS h
        WHERE h.job = p.job AND h.scope = p.scope AND h.started_at >= %(since)s AND h.started_at <= %(now)s
          AND h.status IN ('failed', 'timeout', 'abandoned', 'interrupted')
        ORDER BY h.started_at DESC LIMIT %(most_failures)s
    ) AS r LIMIT %(most_failures)s
) AS f
GROUP BY f.job, f.error_class, f.error_message
""")


def parameters(since: datetime, now: datetime) -> dict[str, object]:
    return {
        "since": since,
        "now": now,
        "most_runs": MOST_RUNS,
        "most_of_a_run": MOST_OF_A_RUN,
        "most_failures": MOST_FAILURES,
    }


def read(conn: psycopg.Connection, since: datetime, now: datetime) -> Events:
    given = parameters(since, now)
    (runs,) = conn.execute(COUNT, given).fetchone() or (0,)
    with conn.cursor(row_factory=class_row(Tally)) as cursor:
        tallies = cursor.execute(TALLIES, given).fetchall()
    return Events(
        runs, runs < MOST_RUNS, tallies, patterns.group([*failed_events(conn, given), *failed_runs(conn, given)])
    )


def failed_events(conn: psycopg.Connection, given: dict[str, object]) -> list[Failure]:
    with conn.cursor(row_factory=class_row(Failure)) as cursor:
        return cursor.execute(FAILED_EVENTS, given).fetchall()


def failed_runs(conn: psycopg.Connection, given: dict[str, object]) -> list[Failure]:
    with conn.cursor(row_factory=class_row(Failure)) as cursor:
        return cursor.execute(FAILED_RUNS, given).fetchall()
