"""Remove a branch with all that came of it, in bounded batches.

What hangs on a record goes before it (vector, waiting tasks, item, reject), the branch's row last: a removal that is
cut short is continued by the next one. Each batch locks the branch's row and looks again that the branch is not
activated and no run is at work on it. The statements reach into the tables of items, embeddings and queue, since the
order across them is the point.
"""

from dataclasses import dataclass

import psycopg

from jobctl.branches import records, rejects, store
from jobctl.branches.branch import Branch
from jobctl.branches.locking import lock_branch
from jobctl.db.connection import Database
from jobctl.db.sqlstate import translated
from jobctl.errors import SourceError

BATCH_ROWS = 5_000
JOB = "ingest-branch"


@dataclass(frozen=True, slots=True)
class Removed:
    records: int = 0
    items: int = 0
    rejects: int = 0
    tasks: int = 0


def remove(database: Database, branch: Branch, *, batch_rows: int = BATCH_ROWS) -> Removed:
    """Raises SourceError while the branch is activated or a run is at work on it; what was deleted before stays so."""
    removed = Removed()
    with translated(), database.connect(purpose=f"remove {branch.slug}") as conn:
        while True:
            with database.transaction(conn):
                _require_idle(conn, branch)
                batch = _delete_batch(conn, branch, batch_rows)
                if batch is None:
                    conn.execute(DELETE_CHECKPOINT, {"job": JOB, "scope": branch.slug})
                    store.delete(conn, branch.branch_id)
                    return removed
            removed = Removed(
                removed.records + batch.records,
                removed.items + batch.items,
                removed.rejects + batch.rejects,
                removed.tasks + batch.tasks,
            )


# A slug that is used again must not go on from where the old branch ended.
DELETE_CHECKPOINT = "DELETE FROM ops.checkpoints WHERE job = %(job)s AND scope = %(scope)s"

# A run is alive exactly while its advisory lock is held; the row of ops.locks says which key that is.
LIVE_RUN = """
SELECT k.run_id::text, k.host FROM ops.locks AS k
JOIN pg_catalog.pg_locks AS l
    ON l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
    AND (l.classid::bigint << 32) | l.objid::bigint = k.lock_key
    AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
WHERE k.job = %(job)s AND k.scope = %(scope)s
"""


def _require_idle(conn: psycopg.Connection, branch: Branch) -> None:
    locked = lock_branch(conn, branch)
    if locked.active:
        raise SourceError(
            f"branch {branch.slug!r} is activated", hint=f"first run: jobctl branch deactivate {branch.slug}"
        )
    run = conn.execute(LIVE_RUN, {"job": JOB, "scope": branch.slug}).fetchone()
    if run is not None:
        raise SourceError(
            f"run {run[0]} on {run[1]} is at work on branch {branch.slug!r}", hint="wait until it has ended"
        )


DELETE_ITEMS = """
DELETE FROM core.items WHERE item_id IN (
    SELECT item_id FROM core.items WHERE branch_id = %(branch_id)s ORDER BY record_key LIMIT %(limit)s)
RETURNING item_id
"""

DELETE_VECTORS = "DELETE FROM core.embeddings WHERE item_id = ANY(%(item_ids)s)"

# Other tasks of these items were done or are being done; their rows are the queue's history.
DELETE_TASKS = """
DELETE FROM queue.tasks WHERE type = 'embed' AND subject_id = ANY(%(item_ids)s) AND state = 'queued'
"""


def _delete_batch(conn: psycopg.Connection, branch: Branch, limit: int) -> Removed | None:
    """Up to `limit` rows of the first kind that is left; None when none is."""
    parameters = {"branch_id": branch.branch_id, "limit": limit}
    if items := conn.execute(DELETE_ITEMS, parameters).fetchall():
        conn.execute(DELETE_VECTORS, {"item_ids": [row[0] for row in items]})
        tasks = conn.execute(DELETE_TASKS, {"item_ids": [row[0] for row in items]}).rowcount
        return Removed(items=len(items), tasks=tasks)
    if gone := rejects.delete_batch(conn, branch.branch_id, limit=limit):
        return Removed(rejects=gone)
    if gone := records.delete_batch(conn, branch.branch_id, limit=limit):
        return Removed(records=gone)
    return None
