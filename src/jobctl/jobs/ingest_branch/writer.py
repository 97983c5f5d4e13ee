"""Writing a batch: items, tasks, rejects, tombstones, checkpoint and counts in one transaction.

A kill at any point therefore leaves either the whole batch or nothing of it, with the checkpoint telling which; so does
a COMMIT whose answer was lost: the next attempt begins by reading the checkpoint.
"""

from dataclasses import dataclass, field
from uuid import UUID

import psycopg

from jobctl.branches import judgements
from jobctl.branches.judgements import Refusal
from jobctl.items import store as items
from jobctl.jobs.ingest_branch.batch import Batch
from jobctl.jobs.ingest_branch.pages import START, Position
from jobctl.queue import store as queue
from jobctl.runtime.checkpoints import Checkpoint
from jobctl.runtime.run import Run

# The checkpoint's own version: one of another format is not understood, and everything is read again.
CHECKPOINT_FORMAT = 1

COUNTS = ("read", "inserted", "updated", "unchanged", "rejected", "skipped", "withdrawn", "enqueued", "bytes")


@dataclass(slots=True)
class Progress:
    """How far a run is: kept in the checkpoint, and in memory alone during a dry run."""

    rules: str
    position: Position = START
    batch_no: int = 0
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(COUNTS, 0))
    stored: Checkpoint | None = None

    @classmethod
    def of(cls, checkpoint: Checkpoint | None, run_id: UUID, rules: str) -> "Progress":
        """Where to go on: after the last batch, or from the start under other rules. Counts are this run's own."""
        progress = cls(rules, stored=checkpoint)
        if checkpoint is None or checkpoint.format != CHECKPOINT_FORMAT:
            return progress
        if checkpoint.position["rules"] == rules:
            progress.position = Position(int(checkpoint.position["xid"]), int(checkpoint.position["record_no"]))
        if checkpoint.run_id == run_id:
            progress.batch_no = checkpoint.batch_no
            progress.counts.update(checkpoint.counts)
        return progress

    def as_checkpoint(self, run_id: UUID) -> Checkpoint:
        position = {"xid": str(self.position.xid), "record_no": self.position.record_no, "rules": self.rules}
        return Checkpoint(CHECKPOINT_FORMAT, position, run_id, self.batch_no, self.counts)


def write(run: Run, conn: psycopg.Connection, batch: Batch, before: Progress, *, model_version: str) -> Progress:
    """Write one batch and give the progress after it. Nothing is kept when this raises."""
    with run.effect(conn, wait_for_disk=False):
        counts = _write_rows(run, conn, batch, model_version=model_version, rules=before.rules)
        after = Progress(
            before.rules,
            batch.page.end,
            before.batch_no + 1,
            {name: before.counts[name] + counts[name] for name in COUNTS},
        )
        after.stored = after.as_checkpoint(run.run_id)
        # A dry run's earlier batches were rolled back, so there what is stored is still what was read at the start.
        run.save_checkpoint(conn, after.stored, after=before.stored)
    if run.dry_run:
        after.stored = before.stored
    return after


def _write_rows(run: Run, conn: psycopg.Connection, batch: Batch, *, model_version: str, rules: str) -> dict[str, int]:
    page = batch.page
    updated = older = withdrawn = 0
    enqueued = 0
    if batch.new_ids:
        items.insert_new(conn, batch.new_items)
        enqueued = queue.enqueue_new_embeddings(conn, batch.new_ids, model_version=model_version)
    if batch.known_count:
        merged = items.merge_known(conn, batch.known_items)
        updated, older = len(merged.changed), merged.older
        enqueued += queue.enqueue_embeddings(conn, merged.changed, model_version=model_version, run_id=run.run_id)
    refusals = [Refusal(r.record_no, r.rejection.reason, r.rejection.field, r.rejection.detail) for r in batch.rejects]
    judgements.refuse(conn, refusals, run_id=run.run_id, rules=rules)
    judgements.resolve(conn, batch.accepted_again, resolution="accepted", run_id=run.run_id)
    if page.to_withdraw:
        from jobctl.embeddings import store as embeddings  # most runs withdraw nothing

        gone = items.withdraw(conn, page.to_withdraw, run_id=run.run_id)
        queue.cancel_embeddings(conn, gone)
        embeddings.forget(conn, gone)
        judgements.resolve(conn, page.to_withdraw, resolution="withdrawn", run_id=run.run_id)
        withdrawn = len(gone)
    return {
        "read": page.read,
        "inserted": len(batch.new_ids),
        "updated": updated,
        "unchanged": page.unchanged + batch.known_count - updated - older,
        "rejected": page.rejected + len(refusals),
        "skipped": page.skipped + older,
        "withdrawn": withdrawn,
        "enqueued": enqueued,
        "bytes": page.bytes,
    }
