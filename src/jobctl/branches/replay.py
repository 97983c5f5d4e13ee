"""Have refused records judged again, after the branch's field map or the code that refused them was mended."""

from jobctl.branches import rejects
from jobctl.branches.branch import Branch
from jobctl.branches.locking import lock_branch
from jobctl.db.connection import Database
from jobctl.db.sqlstate import translated

BATCH_ROWS = 10_000


def mark_for_replay(
    database: Database, branch: Branch, *, reason: str | None = None, batch_rows: int = BATCH_ROWS
) -> int:
    """Mark open rejects, all or those of a reason, in bounded batches; the next run of `ingest-branch` reads their
    records again. Marking twice is harmless."""
    marked = after = 0
    with translated(), database.connect(purpose=f"replay {branch.slug}") as conn:
        while True:
            with database.transaction(conn):
                lock_branch(conn, branch)
                page = rejects.mark_for_replay(conn, branch.branch_id, reason=reason, after=after, limit=batch_rows)
            if page.last_reject_id is None:
                return marked
            marked += page.rejects
            after = page.last_reject_id
