"""Sections `runs` and `running`: how each job's runs went, from the history, and which of them live, from the locks."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import groupby
from operator import attrgetter
from statistics import median
from typing import NamedTuple

import psycopg
from psycopg import sql
from psycopg.rows import class_row

from jobctl.alerts.conditions.durations import percentile
from jobctl.monitor.prometheus.catalogue import Sample
from jobctl.monitor.runs import running
from jobctl.monitor.scopes import PAIRS

MOST_SCOPES = 500
LAST_RUNS = 100
FORGET_AFTER = timedelta(days=100)  # what has not run for longer is gone, and would be told as late for ever


class Ran(NamedTuple):
    job: str
    scope: str
    status: str
    degraded: bool
    exit_code: int | None
    started_at: datetime
    finished_at: datetime | None
    duration_ms: int | None
    peak_memory_bytes: int | None


LAST = PAIRS + sql.SQL("""
SELECT r.* FROM (SELECT * FROM pairs LIMIT %(most)s) AS p CROSS JOIN LATERAL (
    SELECT h.job, h.scope, h.status, h.degraded, h.exit_code, h.started_at, h.finished_at, h.duration_ms,
        h.peak_memory_bytes
    FROM ops.job_history AS h
    WHERE h.job = p.job AND h.scope = p.scope AND h.status <> 'skipped' AND h.started_at >= %(since)s
    ORDER BY h.started_at DESC LIMIT %(last)s
) AS r
""")
DAY = PAIRS + sql.SQL("""
SELECT p.job, p.scope, r.status, r.runs FROM (SELECT * FROM pairs LIMIT %(most)s) AS p CROSS JOIN LATERAL (
    SELECT h.status, count(*) AS runs FROM ops.job_history AS h
    WHERE h.job = p.job AND h.scope = p.scope AND h.started_at >= %(day_ago)s AND h.finished_at IS NOT NULL
    GROUP BY h.status
) AS r
""")
STARTS = "SELECT k.job, k.scope, k.fence FROM ops.locks AS k ORDER BY k.job, k.scope LIMIT %(most)s"
SCOPES = PAIRS + sql.SQL("SELECT count(*) FROM (SELECT FROM pairs LIMIT %(very_many)s) AS p")


def read(conn: psycopg.Connection, now: datetime) -> list[Sample]:
    parameters = {
        "most": MOST_SCOPES,
        "very_many": 20 * MOST_SCOPES,
        "last": LAST_RUNS,
        "since": now - FORGET_AFTER,
        "day_ago": now - timedelta(days=1),
    }
    with conn.cursor(row_factory=class_row(Ran)) as cursor:
        ran = cursor.execute(LAST, parameters).fetchall()
    samples = [
        sample
        for (job, scope), runs in groupby(ran, key=attrgetter("job", "scope"))
        for sample in of_scope((job, scope), list(runs))
    ]
    told = {sample.labels for sample in samples}
    for job, scope, status, number in conn.execute(DAY, parameters):
        samples.append(Sample("jobctl_job_runs_last_day", (job, scope, status), number))
    for job, scope, fence in conn.execute(STARTS, parameters):
        if (job, scope) in told:
            samples.append(Sample("jobctl_job_starts_total", (job, scope), fence))
    (scopes,) = conn.execute(SCOPES, parameters).fetchone() or (0,)
    samples.append(Sample("jobctl_job_scopes_left_out", (), max(0, scopes - MOST_SCOPES)))
    return samples


def of_scope(labels: tuple[str, str], runs: Sequence[Ran]) -> Iterator[Sample]:
    """Of the last runs of one job and scope, the newest first, without skipped ones."""
    yield Sample("jobctl_job_last_start_timestamp_seconds", labels, runs[0].started_at.timestamp())
    ended = [run for run in runs if run.finished_at is not None]
    good = [run for run in ended if run.status == "completed"]
    if ended and ended[0].finished_at is not None:
        last = ended[0]
        yield Sample("jobctl_job_last_end_timestamp_seconds", labels, ended[0].finished_at.timestamp())
        yield Sample("jobctl_job_last_success", labels, last.status == "completed")
        yield Sample("jobctl_job_last_degraded", labels, last.degraded)
        for name, value in (
            ("jobctl_job_last_exit_code", last.exit_code),
            ("jobctl_job_last_duration_seconds", None if last.duration_ms is None else last.duration_ms / 1000),
            ("jobctl_job_last_peak_memory_bytes", last.peak_memory_bytes),
        ):
            if value is not None:
                yield Sample(name, labels, value)
        in_a_row = next((nth for nth, run in enumerate(ended) if run.status == "completed"), len(ended))
        yield Sample("jobctl_job_failures_in_a_row", labels, in_a_row)
    if good and good[0].finished_at is not None:
        yield Sample("jobctl_job_last_success_timestamp_seconds", labels, good[0].finished_at.timestamp())
    durations = [run.duration_ms / 1000 for run in good if run.duration_ms is not None]
    if durations:
        yield Sample("jobctl_job_duration_median_seconds", labels, median(durations))
        yield Sample("jobctl_job_duration_p95_seconds", labels, percentile(durations, 0.95))


def read_running(conn: psycopg.Connection, _now: datetime) -> list[Sample]:
    """In a transaction that sees what others commit: who looks dead is looked at twice."""
    samples: list[Sample] = []
    unfinished = sorted(running.unfinished(conn), key=attrgetter("job", "scope"))
    for labels, group in groupby(unfinished, key=attrgetter("job", "scope")):
        found = list(group)
        alive = [each for each in found if each.state in ("running", "frozen")]
        samples.append(Sample("jobctl_job_running", labels, len(alive)))
        samples.append(Sample("jobctl_job_frozen", labels, sum(each.state == "frozen" for each in found)))
        samples.append(Sample("jobctl_job_dead", labels, sum(each.state == "dead" for each in found)))
        if alive:
            samples.append(Sample("jobctl_job_running_seconds", labels, max(each.elapsed_s for each in alive)))
    return samples
