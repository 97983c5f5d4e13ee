"""The operator's daily minute: everything that `jobctl status` shows, gathered in one short read-only transaction.

Gather through the stores, judge with the pure modules beside this one. READ COMMITTED, because whether a run is dead is
asked twice (`running`); so the parts are of moments that lie milliseconds apart.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

import psycopg
from psycopg.rows import class_row

from jobctl.alerts import store as alerts
from jobctl.branches import store as branches
from jobctl.monitor.runs import course, health, missed, recent, running
from jobctl.monitor.runs.facts import Missed, Place, Unfinished
from jobctl.monitor.runs.health import Health, Told
from jobctl.monitor.runs.jobs_now import JobNow, jobs_of
from jobctl.queue import backlog
from jobctl.queue.backlog import Due
from jobctl.schedule import pauses, registry
from jobctl.settings_conditions import ConditionSettings


class RunningNow(NamedTuple):
    """When half of its like, and 95 of 100 would have ended; both None where none has completed yet."""

    run: Unfinished
    expected_end_at: datetime | None
    latest_end_at: datetime | None


class QueueNow(NamedTuple):
    """`failed` are the tasks that failed for good in the last day."""

    due: tuple[Due, ...]
    running: int
    failed: int


class BranchNow(NamedTuple):
    branch: str
    loaded_at: datetime | None
    age_s: float | None
    expected_freshness_s: float | None

    @property
    def is_stale(self) -> bool:
        return (
            self.age_s is not None and self.expected_freshness_s is not None and self.age_s > self.expected_freshness_s
        )


class ProjectsNow(NamedTuple):
    """The active ones; `oldest_s` is how long ago the one that waits longest was synced, of those that ever were."""

    projects: int
    never_synced: int
    oldest_s: float | None
    outcomes: Mapping[str, int]


class Glance(NamedTuple):
    as_of: datetime
    health: Health
    jobs: tuple[JobNow, ...]
    running: tuple[RunningNow, ...]
    missed: tuple[Missed, ...]
    incidents: tuple[Told, ...]
    queue: QueueNow
    branches: tuple[BranchNow, ...]
    projects: ProjectsNow


NOW = "SELECT clock_timestamp()"
ACKED_BY = "SELECT incident_id, acked_by FROM ops.incidents WHERE state = 'open' AND acked_by IS NOT NULL"
TASKS = """
SELECT (SELECT count(*) FROM queue.tasks WHERE state = 'running')::integer,
    (SELECT count(*) FROM queue.tasks WHERE state = 'failed' AND finished_at > clock_timestamp() - interval '1 day')
        ::integer
"""
PROJECTS = """
SELECT coalesce(sum(n), 0)::integer AS projects, coalesce(sum(never), 0)::integer AS never_synced,
    max(oldest_s) AS oldest_s,
    coalesce(pg_catalog.jsonb_object_agg(outcome, n) FILTER (WHERE outcome IS NOT NULL), '{}') AS outcomes
FROM (
    SELECT sync_outcome AS outcome, count(*) AS n, count(*) FILTER (WHERE synced_at IS NULL) AS never,
        max(extract(epoch FROM clock_timestamp() - synced_at))::float8 AS oldest_s
    FROM dev.projects WHERE active GROUP BY sync_outcome
) AS p
"""


def gather(
    conn: psycopg.Connection, conditions: Mapping[str, ConditionSettings], *, host: str, now: datetime
) -> Glance:
    """In a transaction of the caller's. `now` is this host's time, by which slots are judged; ages are by the
    database's."""
    as_of = _now(conn)
    places = recent.places(conn)
    unfinished = running.unfinished(conn)
    schedules = registry.installed(conn)
    on = pauses.active(conn, now)
    quiet = pauses.since(conn, now - missed.LOOKED_BACK)
    absent = missed.standing(conn, schedules, quiet, places, host=host, now=now)
    told = incidents(conn)
    return Glance(
        as_of,
        health.judge(told, unfinished, absent, conditions, as_of),
        jobs_of(places, schedules, on, unfinished, absent, now),
        tuple(_running_now(run, places) for run in unfinished),
        tuple(absent),
        tuple(told),
        _queue_now(conn),
        tuple(_branches_now(conn, as_of)),
        _projects_now(conn),
    )


def health_now(
    conn: psycopg.Connection, conditions: Mapping[str, ConditionSettings], *, host: str, now: datetime
) -> tuple[Health, list[Unfinished]]:
    """The health alone, and the runs that it rests on."""
    unfinished, quiet = running.unfinished(conn), pauses.since(conn, now - missed.LOOKED_BACK)
    places, schedules = recent.places(conn), registry.installed(conn)
    absent = missed.standing(conn, schedules, quiet, places, host=host, now=now)
    return health.judge(incidents(conn), unfinished, absent, conditions, now), unfinished


def incidents(conn: psycopg.Connection) -> list[Told]:
    acked_by = dict(conn.execute(ACKED_BY).fetchall())
    return [
        Told(kept.incident_id, kept.incident, acked_by.get(kept.incident_id)) for kept in alerts.open_incidents(conn)
    ]


def _running_now(run: Unfinished, places: Sequence[Place]) -> RunningNow:
    of_it = (place.runs for place in places if (place.job, place.scope) == (run.job, run.scope))
    return RunningNow(run, *course.expected_end(run.started_at, course.durations(next(of_it, ()))))


def _now(conn: psycopg.Connection) -> datetime:
    row = conn.execute(NOW).fetchone()
    assert row is not None
    return row[0]


def _queue_now(conn: psycopg.Connection) -> QueueNow:
    row = conn.execute(TASKS).fetchone()
    assert row is not None
    return QueueNow(tuple(backlog.by_type(conn)), *row)


def _branches_now(conn: psycopg.Connection, as_of: datetime) -> list[BranchNow]:
    return [
        BranchNow(
            branch.slug,
            branch.loaded_at,
            (as_of - branch.loaded_at).total_seconds() if branch.loaded_at else None,
            branch.expected_freshness.total_seconds() if branch.expected_freshness else None,
        )
        for branch in branches.list_branches(conn, active=True)
    ]


def _projects_now(conn: psycopg.Connection) -> ProjectsNow:
    with conn.cursor(row_factory=class_row(ProjectsNow)) as cursor:
        found = cursor.execute(PROJECTS).fetchone()
    assert found is not None
    return found
