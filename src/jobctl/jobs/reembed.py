"""Have items embedded that lack a current vector of a model version: after another model was chosen, after failures.

Read: core.items, core.embeddings. Written: queue.tasks. Running it twice is safe: an item whose task waits is not asked
for again, and each batch commits alone, so that one that was cut short is continued by the next.
"""

from collections.abc import Generator
from contextlib import contextmanager
from typing import NamedTuple
from uuid import uuid4

import psycopg

from jobctl.db.connection import Database
from jobctl.db.sqlstate import translated
from jobctl.embeddings import status
from jobctl.queue import other_models, stale
from jobctl.queue import store as queue

BATCH_SIZE = 5_000


class Reembedded(NamedTuple):
    """`queued`: items that get a task; `cancelled`: waiting tasks of other model versions that are taken back."""

    queued: int
    cancelled: int


def reembed(
    database: Database, *, model_version: str, branch_id: int | None = None, failed: bool = False, dry_run: bool = False
) -> Reembedded:
    """With `failed` only what failed for good; with `dry_run` the same statements, rolled back."""
    run_id = uuid4()
    with (
        translated(),
        database.connect(purpose="reembed read") as reading,
        database.connect(purpose="reembed") as writing,
    ):
        cancelled = after = 0
        while page := other_models.waiting(
            reading, model_version=model_version, branch_id=branch_id, after=after, size=BATCH_SIZE
        ):
            after = page[-1]
            with _effect(database, writing, dry_run=dry_run):
                cancelled += len(stale.cancel(writing, page, current=model_version))
        queued = 0
        with database.transaction(reading):
            for batch in status.lacking(
                reading, model_version=model_version, branch_id=branch_id, failed=failed, batch_size=BATCH_SIZE
            ):
                with _effect(database, writing, dry_run=dry_run):
                    queued += queue.enqueue_embeddings(writing, batch, model_version=model_version, run_id=run_id)
    return Reembedded(queued, cancelled)


@contextmanager
def _effect(database: Database, conn: psycopg.Connection, *, dry_run: bool) -> Generator[None, None, None]:
    with database.transaction(conn):
        yield
        if dry_run:
            raise psycopg.Rollback
