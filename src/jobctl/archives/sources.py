"""The tables that are archived: by which key a row is known, in which order rows stand in a file, and which are past.

What is open never is: a run that goes on, one that an open incident or a slot of the last days speaks of, the last load
of a branch, a reject that is not resolved, an incident that is not over, the tries of a task that is there. Runs stay
by number, of each job and scope; events by number, of each job, and go with their run. The bounds are values, found
once at the start (`bounds`), so that what a run deletes does not move them.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final, LiteralString, NamedTuple

import psycopg

from jobctl.settings_archive import ArchiveSettings, Kind


class Source(NamedTuple):
    """`order` is unique, since the key is in it; `at` is the column that tells the time; `past` speaks of a row `t`."""

    kind: Kind
    table: str
    key: tuple[str, ...]
    order: tuple[str, ...]
    at: str
    past: LiteralString


# An event beyond the last of its job, or of a run that goes.
EVENTS: Final = """
t.run_id <> ALL (%(open_runs)s::uuid[]) AND (
    EXISTS (SELECT FROM unnest(%(event_jobs)s::text[], %(event_ids)s::bigint[]) AS c (job, event_id)
        WHERE c.job = t.job AND t.event_id <= c.event_id)
    OR EXISTS (SELECT FROM ops.job_history AS h
        JOIN unnest(%(run_jobs)s::text[], %(run_scopes)s::text[], %(run_times)s::timestamptz[], %(run_ids)s::uuid[])
            AS c (job, scope, started_at, run_id) ON c.job = h.job AND c.scope = h.scope
        WHERE h.run_id = t.run_id AND h.scope = t.scope AND (h.started_at, h.run_id) <= (c.started_at, c.run_id)
            AND h.run_id <> ALL (%(slot_runs)s::uuid[])))
"""
RUNS: Final = """
t.finished_at IS NOT NULL AND t.run_id <> ALL (%(open_runs)s::uuid[]) AND t.run_id <> ALL (%(slot_runs)s::uuid[])
AND EXISTS (SELECT FROM
    unnest(%(run_jobs)s::text[], %(run_scopes)s::text[], %(run_times)s::timestamptz[], %(run_ids)s::uuid[])
        AS c (job, scope, started_at, run_id)
    WHERE c.job = t.job AND c.scope = t.scope AND (t.started_at, t.run_id) <= (c.started_at, c.run_id))
"""
LOADS: Final = """
t.loaded_at < %(loads_before)s
AND EXISTS (SELECT FROM branch.loads AS n WHERE n.branch_id = t.branch_id AND n.load_id > t.load_id)
"""
REJECTS: Final = "t.resolved_at < %(rejects_before)s"
INCIDENTS: Final = """
EXISTS (SELECT FROM ops.incidents AS i WHERE i.incident_id = t.incident_id AND i.resolved_at < %(incidents_before)s)
"""
# `jobctl retry-failed` deletes a task that is past and leaves its tries to this, so that its counters add up with them
# for as long as it is there.
ATTEMPTS: Final = """
t.finished_at < %(attempts_before)s AND NOT EXISTS (SELECT FROM queue.tasks AS k WHERE k.task_id = t.task_id)
"""
PAYLOADS: Final = "t.fetched_at < %(payloads_before)s"

# Events before their runs.
SOURCES: Final = (
    Source("events", "ops.sync_events", ("event_id",), ("event_id",), "at", EVENTS),
    Source("runs", "ops.job_history", ("run_id", "scope"), ("started_at", "run_id", "scope"), "started_at", RUNS),
    Source("loads", "branch.loads", ("load_id",), ("load_id",), "loaded_at", LOADS),
    Source("rejects", "branch.rejects", ("reject_id",), ("reject_id",), "rejected_at", REJECTS),
    Source("incidents", "ops.incident_events", ("event_id",), ("event_id",), "at", INCIDENTS),
    Source("attempts", "queue.attempts", ("task_id", "fence"), ("task_id", "fence"), "finished_at", ATTEMPTS),
    Source("payloads", "dev.payloads", ("node_id", "part"), ("fetched_at", "node_id", "part"), "fetched_at", PAYLOADS),
)


def source_of(table: str) -> Source | None:
    return next((each for each in SOURCES if each.table == table), None)


# Job by job, each by a look into the index of jobs and events.
EVENT_BOUNDS = """
WITH RECURSIVE jobs AS (
    (SELECT job FROM ops.sync_events ORDER BY job LIMIT 1)
    UNION ALL
    SELECT (SELECT e.job FROM ops.sync_events AS e WHERE e.job > j.job ORDER BY e.job LIMIT 1)
    FROM jobs AS j WHERE j.job IS NOT NULL
)
SELECT j.job, c.event_id FROM jobs AS j
CROSS JOIN LATERAL (SELECT e.event_id FROM ops.sync_events AS e WHERE e.job = j.job
    ORDER BY e.event_id DESC OFFSET %(keep)s LIMIT 1) AS c
WHERE j.job IS NOT NULL
"""
RUN_BOUNDS = """
SELECT s.job, s.scope, c.started_at, c.run_id
FROM (SELECT job, scope FROM ops.job_history GROUP BY job, scope HAVING count(*) > %(keep)s) AS s
CROSS JOIN LATERAL (SELECT h.started_at, h.run_id FROM ops.job_history AS h
    WHERE h.job = s.job AND h.scope = s.scope
    ORDER BY h.started_at DESC, h.run_id DESC OFFSET %(keep)s LIMIT 1) AS c
"""
OPEN_RUNS = """
SELECT run_id FROM ops.job_history WHERE status IN ('pending', 'running')
UNION
SELECT a.run_id FROM ops.alerts AS a JOIN ops.incidents AS i USING (incident_id)
WHERE i.state = 'open' AND a.run_id IS NOT NULL
"""
SLOT_RUNS = """
SELECT r.run_id FROM ops.slots AS s CROSS JOIN LATERAL (VALUES (s.run_id), (s.covered_by_run_id)) AS r (run_id)
WHERE s.slot_at >= %(since)s AND r.run_id IS NOT NULL
"""


def bounds(
    conn: psycopg.Connection, settings: ArchiveSettings, *, payload_days: int, now: datetime
) -> Mapping[str, object]:
    """What the conditions of all sources name."""
    events = conn.execute(EVENT_BOUNDS, {"keep": settings.keep_events}).fetchall()
    runs = conn.execute(RUN_BOUNDS, {"keep": settings.keep_runs}).fetchall()
    slots_since = now - timedelta(days=settings.keep_slots_days)
    return {
        "open_runs": [row[0] for row in conn.execute(OPEN_RUNS).fetchall()],
        "slot_runs": [row[0] for row in conn.execute(SLOT_RUNS, {"since": slots_since}).fetchall()],
        "event_jobs": [row[0] for row in events],
        "event_ids": [row[1] for row in events],
        "run_jobs": [row[0] for row in runs],
        "run_scopes": [row[1] for row in runs],
        "run_times": [row[2] for row in runs],
        "run_ids": [row[3] for row in runs],
        "loads_before": now - timedelta(days=settings.loads_days),
        "rejects_before": now - timedelta(days=settings.rejects_days),
        "incidents_before": now - timedelta(days=settings.incidents_days),
        "attempts_before": now - timedelta(days=settings.attempts_days),
        "payloads_before": now - timedelta(days=payload_days),
    }
