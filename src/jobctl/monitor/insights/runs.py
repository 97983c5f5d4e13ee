"""Facts of runs: how long each job's took and by which version, how its starts fell, what failed."""

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import groupby
from operator import attrgetter
from typing import NamedTuple

import psycopg
from psycopg import sql
from psycopg.rows import class_row

from jobctl.alerts.conditions.durations import percentile
from jobctl.monitor.insights import batches, failing, overlapping, slower
from jobctl.monitor.insights.batches import Ingest
from jobctl.monitor.insights.finding import Finding
from jobctl.monitor.insights.overlapping import Starts
from jobctl.monitor.insights.slower import Done
from jobctl.monitor.quality import events
from jobctl.monitor.queue import patterns
from jobctl.monitor.scopes import PAIRS, PAIRS_OF_SLOTS

MOST_SCOPES = 1_000
LAST_RUNS = 200
LAST_SLOTS = 20
BY_DESIGN = (
    "work"  # its line asks each five minutes whether a worker is wanted: a skip behind one that works is no fault
)

DONE = PAIRS + sql.SQL("""
SELECT r.* FROM (SELECT * FROM pairs LIMIT %(most)s) AS p CROSS JOIN LATERAL (
    SELECT h.job, h.scope, h.started_at, h.duration_ms / 1000.0::float8 AS duration_s, h.version, h.command,
        coalesce(h.counts -> 'read', h.counts -> 'claimed', h.counts -> 'requests')::bigint AS amount,
        (h.metrics -> 'rows_per_s')::float8 AS rows_per_s, h.peak_memory_bytes
    FROM ops.job_history AS h
    WHERE h.job = p.job AND h.scope = p.scope AND h.status = 'completed' AND h.duration_ms IS NOT NULL
      AND h.started_at >= %(oldest)s
    ORDER BY h.started_at DESC LIMIT %(last)s
) AS r
""")
STARTS = PAIRS + sql.SQL("""
SELECT p.job, p.scope, r.runs, r.skipped FROM (SELECT * FROM pairs LIMIT %(most)s) AS p CROSS JOIN LATERAL (
    SELECT count(*) FILTER (WHERE h.status <> 'skipped') AS runs,
        count(*) FILTER (WHERE h.status = 'skipped' AND h.evidence ? 'holder_run_id') AS skipped
    FROM ops.job_history AS h WHERE h.job = p.job AND h.scope = p.scope AND h.started_at >= %(since)s
) AS r
""")
INTERVALS = PAIRS_OF_SLOTS + sql.SQL("""
SELECT p.job, p.scope, (extract(epoch FROM max(r.slot_at) - min(r.slot_at)) / nullif(count(*) - 1, 0))::float8
FROM (SELECT * FROM pairs LIMIT %(most)s) AS p CROSS JOIN LATERAL (
    SELECT s.slot_at FROM ops.slots AS s WHERE s.job = p.job AND s.scope = p.scope
    ORDER BY s.slot_at DESC LIMIT %(last_slots)s
) AS r GROUP BY p.job, p.scope
""")


class DoneRow(NamedTuple):
    job: str
    scope: str
    started_at: datetime
    duration_s: float
    version: str
    command: str
    amount: int | None
    rows_per_s: float | None
    peak_memory_bytes: int | None


class Usual(NamedTuple):
    """What the settings say, which some findings compare with."""

    batch_size: int
    memory_limit_bytes: int


def parameters(since: datetime, now: datetime) -> dict[str, object]:
    return {
        "since": since,
        "oldest": min(since, now - timedelta(days=90)),
        "most": MOST_SCOPES,
        "last": LAST_RUNS,
        "last_slots": LAST_SLOTS,
    }


def of_durations(conn: psycopg.Connection, since: datetime, now: datetime, usual: Usual) -> Iterator[Finding]:
    """Slower than usual, overlapping schedules, batch size and memory of ingest."""
    given = parameters(since, now)
    with conn.cursor(row_factory=class_row(DoneRow)) as cursor:
        rows = cursor.execute(DONE, given).fetchall()
    p95: dict[tuple[str, str], float] = {}
    for (job, scope), group in groupby(rows, key=attrgetter("job", "scope")):
        done = list(group)[::-1]
        p95[job, scope] = percentile([row.duration_s for row in done], 0.95)
        found = slower.slower(job, scope, [Done(r.started_at, r.duration_s, r.version, r.amount) for r in done])
        if found is not None:
            yield found
        if job == batches.JOB:
            yield from _of_batches(scope, done, usual)
    intervals = {(job, scope): every_s for job, scope, every_s in conn.execute(INTERVALS, given)}
    for job, scope, runs, skipped in conn.execute(STARTS, given):
        if job == BY_DESIGN:
            continue
        every_s = intervals.get((job, scope), intervals.get((job, "")))
        found = overlapping.overlapping(Starts(job, scope, runs, skipped, p95.get((job, scope)), every_s))
        if found is not None:
            yield found


def _of_batches(scope: str, done: list[DoneRow], usual: Usual) -> Iterator[Finding]:
    runs = [
        Ingest(row.command, row.amount, row.rows_per_s, row.peak_memory_bytes or 0)
        for row in done
        if row.amount is not None and row.rows_per_s is not None
    ]
    for found in (
        batches.batch_size(scope, runs, usual=usual.batch_size),
        batches.memory(scope, runs, limit_bytes=usual.memory_limit_bytes),
    ):
        if found is not None:
            yield found


def of_failures(conn: psycopg.Connection, since: datetime, now: datetime) -> Iterator[Finding]:
    yield from failing.same_errors(patterns.group(events.failed_runs(conn, events.parameters(since, now))), "runs")


MOST_REJECTS = 5_000  # of a branch, the newest
REJECTS = """
SELECT b.slug, j.reason, j.field, count(*), min(j.detail)
FROM branch.branches AS b CROSS JOIN LATERAL (
    SELECT r.reason, r.field, r.detail, r.resolved_at FROM branch.rejects AS r
    WHERE r.branch_id = b.branch_id ORDER BY r.reject_id DESC LIMIT %(most_rejects)s
) AS j WHERE j.resolved_at IS NULL
GROUP BY b.slug, j.reason, j.field ORDER BY b.slug, count(*) DESC
"""


def of_rejects(conn: psycopg.Connection) -> Iterator[Finding]:
    found: defaultdict[str, list[tuple[str, str, int, str]]] = defaultdict(list)
    for slug, reason, field, open_, detail in conn.execute(REJECTS, {"most_rejects": MOST_REJECTS}):
        found[slug].append((reason, field, open_, detail))
    for slug, kinds in found.items():
        all_open = sum(open_ for _, _, open_, _ in kinds)
        for reason, field, open_, detail in kinds:
            told = failing.Rejected(
                slug, reason, field, open_, all_open, all_open, patterns.generalise(detail) if detail else ""
            )
            finding = failing.rejected(told)
            if finding is not None:
                yield finding
