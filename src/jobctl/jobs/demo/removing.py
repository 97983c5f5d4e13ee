"""Take a demo away, and nothing else.

One transaction: killed in it, all is as before. What goes is known by what no real row has: projects by their node ids,
runs and slots by their host, numbered rows by the numbers that ops.demo keeps. With them goes what was made of them
since: figures of hours, which counted the demo's projects, items and tasks of its branch, alerts about its projects.
Real runs stay, and so does everything else; how much is told.
"""

from dataclasses import dataclass
from typing import Final

import psycopg

from jobctl.branches.removal import LIVE_RUN
from jobctl.db.connection import NO_LIMITS, Database, Limits
from jobctl.db.sqlstate import translated
from jobctl.errors import SourceError
from jobctl.jobs.demo import store
from jobctl.jobs.demo.loading import LOCK_MS
from jobctl.jobs.demo.plan import BRANCH, HOST
from jobctl.jobs.metrics.alerting import LOOKED_AT
from jobctl.projects.project import DEMO_NODE

# In this order: what hangs on something goes before it. All hours go, since each counted the demo's projects.
DELETE: Final = {
    "dev.projects": "DELETE FROM dev.projects WHERE starts_with(node_id, %(node)s)",
    "dev.metric_hours": "DELETE FROM dev.metric_hours WHERE true",
    "dev.metric_rules": "DELETE FROM dev.metric_rules AS r WHERE NOT EXISTS (SELECT FROM dev.project_days AS d "
    "WHERE d.rules_version = r.version)",
    "core.embeddings": "DELETE FROM core.embeddings AS e USING core.items AS i "
    "WHERE i.item_id = e.item_id AND i.branch_id = %(branch_id)s",
    "core.embedding_models": "DELETE FROM core.embedding_models AS m WHERE m.first_used_at > %(loaded_at)s "
    "AND NOT EXISTS (SELECT FROM core.embeddings AS e WHERE e.model_version = m.model_version)",
    "queue.attempts": "DELETE FROM queue.attempts AS a WHERE a.task_id <= %(last_task)s OR EXISTS (SELECT "
    "FROM queue.tasks AS t JOIN core.items AS i ON i.item_id = t.subject_id WHERE t.task_id = a.task_id "
    "AND t.type = 'embed' AND i.branch_id = %(branch_id)s)",
    "queue.tasks": "DELETE FROM queue.tasks AS t WHERE t.task_id <= %(last_task)s OR (t.type = 'embed' AND EXISTS "
    "(SELECT FROM core.items AS i WHERE i.item_id = t.subject_id AND i.branch_id = %(branch_id)s))",
    "core.items": "DELETE FROM core.items WHERE branch_id = %(branch_id)s",
    "branch.rejects": "DELETE FROM branch.rejects WHERE branch_id = %(branch_id)s",
    "branch.records": "DELETE FROM branch.records WHERE branch_id = %(branch_id)s",
    "branch.branches": "DELETE FROM branch.branches WHERE branch_id = %(branch_id)s",
    "ops.checkpoints": "DELETE FROM ops.checkpoints WHERE job = 'ingest-branch' AND scope = %(branch)s",
    "ops.sync_events": "DELETE FROM ops.sync_events WHERE event_id <= %(last_event)s",
    "ops.slots": "DELETE FROM ops.slots WHERE host = %(host)s",
    "ops.schedules": "DELETE FROM ops.schedules WHERE host = %(host)s",
    "ops.pauses": "DELETE FROM ops.pauses WHERE pause_id <= %(last_pause)s",
    "ops.job_history": "DELETE FROM ops.job_history WHERE host = %(host)s",
    "ops.incidents": "DELETE FROM ops.incidents AS i WHERE i.incident_id <= %(last_incident)s OR NOT EXISTS (SELECT "
    "FROM ops.alerts AS a WHERE a.incident_id = i.incident_id AND NOT a.condition = ANY(%(figures)s))",
    "ops.demo": "DELETE FROM ops.demo WHERE true",
}


@dataclass(frozen=True, slots=True)
class Removed:
    """How many rows went from each table, and how many of each kind are left that are not the demo's."""

    rows: dict[str, int]
    left: dict[str, int]


def remove(database: Database) -> Removed | None:
    """None: no demo is here. Raises SourceError while a run is at work on its branch."""
    limits = Limits(LOCK_MS, *NO_LIMITS[1:])
    with (
        translated(),
        database.connect(limits=limits, purpose="demo remove") as conn,
        database.transaction(conn, limits=limits),
    ):
        store.lock(conn)
        demo = store.get(conn)
        if demo is None:
            return None
        _require_idle(conn)
        last = demo.last_ids
        values = {
            "node": DEMO_NODE,
            "branch_id": last["branch.branches"],
            "branch": BRANCH,
            "host": HOST,
            "loaded_at": demo.loaded_at,
            "figures": list(LOOKED_AT),
            "last_task": last["queue.tasks"],
            "last_event": last["ops.sync_events"],
            "last_pause": last["ops.pauses"],
            "last_incident": last["ops.incidents"],
        }
        rows = {table: conn.execute(statement.encode(), values).rowcount for table, statement in DELETE.items()}
        left = {word: number for table, word in store.WORDS.items() if (number := store.count(conn, table))}
    return Removed({table: number for table, number in rows.items() if number}, left)


def _require_idle(conn: psycopg.Connection) -> None:
    run = conn.execute(LIVE_RUN, {"job": "ingest-branch", "scope": BRANCH}).fetchone()
    if run is not None:
        raise SourceError(f"run {run[0]} on {run[1]} is at work on the demo's branch", hint="wait until it has ended")
