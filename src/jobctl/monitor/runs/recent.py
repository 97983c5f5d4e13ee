"""Store of how each job went lately: its last runs by job and scope, read by the index of jobs and times.

Which jobs and scopes there are is found by going from one to the next along that index, so a long history costs
nothing: what is read grows with the number of jobs and scopes alone.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import psycopg
from psycopg.rows import class_row

from jobctl.monitor.runs.course import MOST_RUNS
from jobctl.monitor.runs.facts import Place, Ran

MOST_PLACES = 2_000
SHOWN_MESSAGE = 300


class _Row(NamedTuple):
    job: str
    scope: str
    run_id: UUID
    status: str
    degraded: bool
    exit_code: int | None
    host: str
    version: str
    slot_at: datetime | None
    started_at: datetime
    finished_at: datetime | None
    duration_ms: int | None
    error_class: str | None
    error_message: str | None


# Job and scope are compared as they are so that only the index of jobs gives this order. By the index of times the
# planner would look for the last runs of a job that is no more among a year of others'.
LAST_RUNS = """
WITH RECURSIVE places AS (
    (SELECT h.job, h.scope, 1 AS nth FROM ops.job_history AS h ORDER BY h.job, h.scope LIMIT 1)
    UNION ALL
    SELECT n.job, n.scope, p.nth + 1 FROM places AS p CROSS JOIN LATERAL (
        SELECT h.job, h.scope FROM ops.job_history AS h
        WHERE (h.job, h.scope) > (p.job, p.scope) ORDER BY h.job, h.scope LIMIT 1
    ) AS n WHERE p.nth < %(most)s
)
SELECT p.job, p.scope, r.run_id, r.status, r.degraded, r.exit_code, r.host, r.version, r.slot_at, r.started_at,
    r.finished_at, r.duration_ms, r.error_class, r.error_message
FROM places AS p CROSS JOIN LATERAL (
    SELECT h.run_id, h.status, h.degraded, h.exit_code, h.host, h.version, h.slot_at, h.started_at, h.finished_at,
        h.duration_ms, h.error_class, left(h.error_message, %(message)s) AS error_message
    FROM ops.job_history AS h
    WHERE (h.job, h.scope) >= (p.job, p.scope) AND (h.job, h.scope) <= (p.job, p.scope)
    ORDER BY h.job, h.scope, h.started_at DESC LIMIT %(runs)s
) AS r
ORDER BY p.job, p.scope, r.started_at DESC, r.run_id
"""


def places(conn: psycopg.Connection, *, runs: int = MOST_RUNS, most: int = MOST_PLACES) -> list[Place]:
    """By job and scope."""
    with conn.cursor(row_factory=class_row(_Row)) as cursor:
        rows = cursor.execute(LAST_RUNS, {"most": most, "runs": runs, "message": SHOWN_MESSAGE}).fetchall()
    found: dict[tuple[str, str], list[Ran]] = {}
    for row in rows:
        found.setdefault((row.job, row.scope), []).append(Ran(*row[2:]))
    return [Place(job, scope, tuple(runs)) for (job, scope), runs in found.items()]


def of_job(every: Sequence[Place], job: str, scope: str) -> list[Place]:
    """Those that a schedule's line for this job and scope starts: without a scope each."""
    return [place for place in every if place.job == job and scope in ("", place.scope)]
