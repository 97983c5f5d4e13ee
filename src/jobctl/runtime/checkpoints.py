"""Store of ops.checkpoints: how far a job has worked in a scope, written with the work itself."""

from collections.abc import Mapping
from typing import Any, NamedTuple
from uuid import UUID

import psycopg
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from jobctl.errors import JobctlError


class Checkpoint(NamedTuple):
    """`format` is the job's own version of `position`; a job that does not know it starts from the beginning."""

    format: int
    position: Mapping[str, Any]
    run_id: UUID
    batch_no: int
    counts: Mapping[str, int]


GET = """
SELECT format, position, run_id, batch_no, counts FROM ops.checkpoints
WHERE job = %(job)s AND scope = %(scope)s
"""


def get(conn: psycopg.Connection, job: str, scope: str) -> Checkpoint | None:
    with conn.cursor(row_factory=class_row(Checkpoint)) as cursor:
        return cursor.execute(GET, {"job": job, "scope": scope}).fetchone()


SAVE = """
INSERT INTO ops.checkpoints AS c (job, scope, format, position, run_id, fence, batch_no, counts)
VALUES (%(job)s, %(scope)s, %(format)s, %(position)s, %(run_id)s, %(fence)s, %(batch_no)s, %(counts)s)
ON CONFLICT (job, scope) DO UPDATE
SET format = excluded.format, position = excluded.position, run_id = excluded.run_id, fence = excluded.fence,
    batch_no = excluded.batch_no, counts = excluded.counts, updated_at = clock_timestamp()
WHERE c.run_id = %(after_run_id)s AND c.batch_no = %(after_batch_no)s
"""


class CheckpointMoved(JobctlError):
    """Another checkpoint stands where this batch follows: a COMMIT of this run arrived late. Read it and go on."""

    try_again = True


def save(
    conn: psycopg.Connection, job: str, scope: str, checkpoint: Checkpoint, *, after: Checkpoint | None, fence: int
) -> None:
    """Write the checkpoint that follows `after`. Raises CheckpointMoved when another stands there."""
    cursor = conn.execute(
        SAVE,
        {
            "job": job,
            "scope": scope,
            "format": checkpoint.format,
            "position": Jsonb(dict(checkpoint.position)),
            "run_id": checkpoint.run_id,
            "fence": fence,
            "batch_no": checkpoint.batch_no,
            "counts": Jsonb(dict(checkpoint.counts)),
            "after_run_id": after.run_id if after else None,
            "after_batch_no": after.batch_no if after else None,
        },
    )
    if cursor.rowcount != 1:
        raise CheckpointMoved(f"the checkpoint of {job} {scope!r} moved while this batch was written")
