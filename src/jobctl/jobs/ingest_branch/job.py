"""Bring a branch's records into core.items.

Cron asks hourly: are the branch's records, as last loaded, in core.items, validated and normalised, with the work
that follows from each change queued? Read: branch.branches, branch.records. Written: core.items, branch.rejects,
queue.tasks, ops.checkpoints.

Running it twice is safe: it continues after the last checkpoint, which commits with each batch, and a record whose
payload and rules are those of its item is only counted. So is running it after any death, and running it with --full,
which reads everything again.

Reading, judging and writing overlap: while one batch is written, the next is judged and the one after that is read.
"""

import gc
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from time import monotonic

import psycopg

from jobctl import clock
from jobctl.branches.branch import Branch
from jobctl.db.connection import widen_send_buffer
from jobctl.db.sqlstate import is_conflict, is_connection_lost
from jobctl.errors import JobctlError, SourceError
from jobctl.items.normalise.normaliser import NORMALISER_VERSION, Normaliser
from jobctl.items.record import Validator, compile_field_map
from jobctl.jobs.ingest_branch import batch as batches
from jobctl.jobs.ingest_branch import pages, source, writer
from jobctl.jobs.ingest_branch.batch import Batch, Stamp
from jobctl.jobs.ingest_branch.pages import START, HeldBack, Page, Position, Reader
from jobctl.jobs.ingest_branch.writer import Progress
from jobctl.retry import retrying
from jobctl.runtime.outcome import Outcome
from jobctl.runtime.run import Run

LARGEST_PAYLOAD_BYTES = 1_000_000

# Three threads share one interpreter here. With the usual 5 ms between two of them a COPY waits longer for its turn to
# send than the server takes to read, and with a small send buffer it has to ask for its turn often. Measured on two
# cores with 200,000 places: 4.5 s with neither, 3.2 s with both; of the intervals from 20 us to 5 ms this one was the
# fastest (2.66 s; 0.5 ms: 2.71 s, 2 ms: 3.06 s). The kernel may give a smaller buffer than asked for.
SWITCH_INTERVAL_S = 0.0001
SEND_BUFFER_BYTES = 2_000_000

# What the worker needs without any record (measured: 75 MB with all rules loaded), and what a byte of payload costs on
# its way: about three batches are held at a time, each as text, as objects and as lines.
BASE_MEMORY_MB = 80
MEMORY_PER_PAYLOAD_BYTE = 20
FEWEST_BATCH_BYTES = 200_000


def batch_bytes_within(memory_limit_mb: int) -> int:
    """How many bytes of payload a batch may have, for the worker to stay below this limit."""
    return max(FEWEST_BATCH_BYTES, (memory_limit_mb - BASE_MEMORY_MB) * 1_000_000 // MEMORY_PER_PAYLOAD_BYTE)


# Rows that were committed a moment ago can still wait behind a transaction that is just ending.
WAIT_FOR_LATE_S = 2.0


@dataclass(frozen=True, slots=True)
class Options:
    full: bool = False
    batch_size: int = 5_000
    batch_bytes: int = 2_000_000
    max_age: timedelta | None = None
    max_withdraw_share: float | None = None
    model_version: str = ""
    h3_resolution: int = 8
    degraded_reject_share: float = 0.05


def ingest_branch(run: Run, options: Options) -> Outcome:
    """Read, judge and write one branch, which is the run's scope."""
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    # Hundreds of thousands of rows are made and dropped here without a circle among them.
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)
    ingest = _Ingest(run, options)
    again = retrying(_is_recoverable, within_s=120, sleep=run.stop.event.wait)
    # What a dry run has done is rolled back, so there is no checkpoint to go on from.
    progress = ingest.to_the_end() if run.dry_run else again(ingest.to_the_end)()
    return ingest.outcome(progress)


def _is_recoverable(error: BaseException) -> bool:
    """The connection went, two writers met, or a row appeared that was new when it was read: read again and go on."""
    return (
        is_connection_lost(error)
        or is_conflict(error)
        or isinstance(error, psycopg.errors.UniqueViolation)
        or (isinstance(error, JobctlError) and error.try_again)
    )


class _Ingest:
    """One branch in one run, with what is known of it across attempts."""

    def __init__(self, run: Run, options: Options) -> None:
        self._run = run
        self._options = options
        self._started = monotonic()
        self._newest: datetime | None = None
        self._held_back = HeldBack(0, None)

    def to_the_end(self) -> Progress:
        """Go on from the checkpoint until nothing is left, and give how far that is."""
        run, options = self._run, self._options
        run.stop.check()
        with ExitStack() as stack:
            read_conn = stack.enter_context(run.connect("read"))
            write_conn = stack.enter_context(run.connect("write"))
            widen_send_buffer(write_conn, SEND_BUFFER_BYTES)
            branch = source.ready_branch(read_conn, run.scope, now=run.now, max_age=options.max_age)
            source.check_withdrawals(read_conn, branch, max_share=options.max_withdraw_share)
            validator = compile_field_map(branch.field_map, max_payload_chars=LARGEST_PAYLOAD_BYTES)
            rules = f"{NORMALISER_VERSION}.{branch.schema_version}.{options.h3_resolution}"
            progress = Progress.of(run.checkpoint(read_conn), run.run_id, rules)
            if options.full and progress.batch_no == 0:
                progress = replace(progress, position=START)
            if source.positions_are_foreign(read_conn, branch, progress.position.xid):
                progress = replace(progress, position=self._adopt(write_conn, branch))
            run.event("source_checked", branch=branch.slug, rules=rules, after_xid=progress.position.xid)
            reader = Reader(
                run.database,
                read_conn,
                branch.branch_id,
                rules,
                options.batch_size,
                options.batch_bytes,
                LARGEST_PAYLOAD_BYTES,
            )
            judge = self._judge_of(branch, validator, rules)
            reading = stack.enter_context(ThreadPoolExecutor(1, "read"))
            writing = stack.enter_context(ThreadPoolExecutor(1, "write"))
            written: Future[Progress] | None = None
            fields_checked = False
            for page in self._pages(reader, reading, progress.position):
                if page.to_judge and not fields_checked:
                    if written is not None:  # the connection is the writing thread's until then
                        progress, written = written.result(), None
                    source.check_mapped_fields(write_conn, branch, validator)
                    fields_checked = True
                batch = judge(page)
                if written is not None:
                    progress = written.result()
                    run.progress(progress.counts["read"], None)
                run.stop.check()
                written = writing.submit(
                    writer.write, run, write_conn, batch, progress, model_version=options.model_version
                )
            return written.result() if written is not None else progress

    def _adopt(self, conn: psycopg.Connection, branch: Branch) -> Position:
        """The branch was restored from another cluster: its positions mean nothing here, so all is read again."""
        if self._run.dry_run:
            raise SourceError(
                f"branch {branch.slug!r} was restored from another PostgreSQL and is to be read anew",
                hint=f"run once without --dry-run: jobctl ingest-branch --branch {branch.slug}",
            )
        with self._run.effect(conn):
            records = source.restamp(conn, branch)
        self._run.event("restored_branch_adopted", level="warning", branch=branch.slug, records=records)
        return START

    def outcome(self, progress: Progress) -> Outcome:
        counts = progress.counts
        elapsed_s = max(monotonic() - self._started, 1e-9)
        metrics = {
            "rows_per_s": round(counts["read"] / elapsed_s, 1),
            "bytes_per_s": round(counts["bytes"] / elapsed_s),
        }
        if self._newest is not None and counts["read"]:
            metrics["lag_s"] = round((clock.utc_now() - self._newest).total_seconds(), 3)
        notes = [] if counts["read"] or counts["withdrawn"] else ["nothing new"]
        if self._held_back.records:
            since = self._held_back.oldest_transaction_s
            notes.append(
                f"{self._held_back.records:,} records wait behind a transaction that is still running"
                + (f" (open for {since:.0f} s)" if since is not None else "")
                + "; the next run reads them"
            )
        share = counts["rejected"] / counts["read"] if counts["read"] else 0.0
        degraded = share > self._options.degraded_reject_share
        if degraded:
            notes.append(
                f"{share:.1%} of the records were rejected, more than {self._options.degraded_reject_share:.0%}; "
                f"see: jobctl branch rejects {self._run.scope} --by-reason"
            )
        return Outcome(counts=counts, metrics=metrics, notes=notes, degraded=degraded)

    def _pages(self, reader: Reader, reading: ThreadPoolExecutor, position: Position) -> Iterator[Page]:
        """All pages after `position`, each read while the one before is judged."""
        upcoming = reading.submit(reader.next_page, position, look_ahead=False)
        while True:
            page = upcoming.result()
            if page is None:
                if position != START:
                    self._newest = pages.changed_at(reader.conn, position)
                if not self._late_rows_arrived(reader):
                    return
                upcoming = reading.submit(reader.next_page, position, look_ahead=False)
                continue
            position = page.end
            upcoming = reading.submit(reader.next_page, position, look_ahead=page.has_little_to_do)
            yield page

    def _late_rows_arrived(self, reader: Reader) -> bool:
        """Whether rows that waited behind a transaction can be read now; a short wait for one that is just ending."""
        until = monotonic() + WAIT_FOR_LATE_S
        self._held_back = before = pages.held_back(reader.conn, reader.branch_id)
        while self._held_back.records and monotonic() < until and not self._run.stop.event.wait(0.1):
            self._held_back = pages.held_back(reader.conn, reader.branch_id)
        return self._held_back.records < before.records

    def _judge_of(self, branch: Branch, validator: Validator, rules: str) -> Callable[[Page], Batch]:
        normalise = Normaliser(branch.default_country, self._options.h3_resolution)
        stamp = Stamp(
            branch_id=str(branch.branch_id),
            run_id=str(self._run.run_id),
            rules=rules,
        )
        return lambda page: batches.judge(page, validator, normalise, stamp)
