"""The facts that `why` judges, asked of the database in a few questions that read little, however long the queue is."""

import socket
from collections.abc import Set as AbstractSet
from datetime import datetime
from importlib.metadata import entry_points
from typing import NamedTuple

import psycopg
from psycopg.rows import class_row, scalar_row

from jobctl.accounts import current_user
from jobctl.monitor.queue.facts import Facts, Limit, Policy, Running, TaskFacts, Try, Turn, Workers
from jobctl.queue.handler import GROUP
from jobctl.schedule import pauses, registry
from jobctl.schedule.installed import read_installed
from jobctl.settings_queue import TypePolicy

JOB = "work"
MOST_BEFORE = 10_000  # of a user's tasks, and of users, that are counted
SHOWN_RUNS = 20


class Here(NamedTuple):
    """What this host alone knows: its name, the types with a handler, the type's policy, lines of its crontabs."""

    host: str
    handlers: AbstractSet[str]
    policy: Policy
    lines: int


def here(policy: TypePolicy) -> Here:
    """As this host's settings, packages and crontabs have it."""
    handlers = frozenset(point.name for point in entry_points(group=GROUP))
    lines = sum(line.job == JOB for line in read_installed(current_user()))
    return Here(socket.gethostname(), handlers, Policy(policy.max_attempts, policy.crash_limit), lines)


TASK = """
SELECT t.task_id, t.type, t.state, t.user_id, t.attempts, t.crashes, greatest(t.scheduled_at, 'epoch') AS scheduled_at,
    t.created_at, t.updated_at, t.finished_at, t.claimed_at, t.lease_until, t.worker, t.error_class, t.error_message,
    t.is_recoverable
FROM queue.tasks AS t WHERE t.task_id = %(task_id)s
"""


def task_of(conn: psycopg.Connection, task_id: int) -> TaskFacts | None:
    with conn.cursor(row_factory=class_row(TaskFacts)) as cursor:
        return cursor.execute(TASK, {"task_id": task_id}).fetchone()


def gather(conn: psycopg.Connection, task: TaskFacts, here: Here) -> Facts:
    """Inside one read-only snapshot of the caller's, so that the facts are of one moment."""
    limits = _limits(conn, task)
    next_start_at, rate_per_minute = _rate(conn, task.type)
    now = _now(conn)
    return Facts(
        now=now,
        host=here.host,
        task=task,
        policy=here.policy,
        last_try=_last_try(conn, task.task_id),
        in_all=limits.in_all,
        of_type=limits.of_type,
        of_user=limits.of_user,
        runs_of_user=_runs_of_user(conn, task.user_id) if task.user_id else (),
        next_start_at=next_start_at,
        rate_per_minute=rate_per_minute,
        turn=_turn(conn, task) if task.state == "queued" else None,
        twin=_twin(conn, task.task_id) if task.state not in ("queued", "succeeded") else None,
        handlers=here.handlers,
        workers=_workers(conn, now, here.lines),
    )


NOW = "SELECT clock_timestamp()"


def _now(conn: psycopg.Connection) -> datetime:
    with conn.cursor(row_factory=scalar_row) as cursor:
        now = cursor.execute(NOW).fetchone()
    assert now is not None
    return now


LAST_TRY = """
SELECT a.attempt, a.outcome, a.worker, a.claimed_at, a.finished_at, a.error_class, a.error_message
FROM queue.attempts AS a WHERE a.task_id = %(task_id)s ORDER BY a.fence DESC LIMIT 1
"""


def _last_try(conn: psycopg.Connection, task_id: int) -> Try | None:
    with conn.cursor(row_factory=class_row(Try)) as cursor:
        return cursor.execute(LAST_TRY, {"task_id": task_id}).fetchone()


class _Limits(NamedTuple):
    in_all: Limit
    of_type: Limit
    of_user: Limit


LIMITS = """
WITH running AS (
    SELECT count(*)::integer AS in_all, (count(*) FILTER (WHERE t.type = %(type)s))::integer AS of_type,
        (count(*) FILTER (WHERE t.user_id = %(user_id)s))::integer AS of_user
    FROM queue.tasks AS t WHERE t.state = 'running'
)
SELECT r.in_all, r.of_type, r.of_user,
    (SELECT l.running FROM queue.limits AS l WHERE l.kind = 'all'),
    (SELECT l.running FROM queue.limits AS l WHERE l.kind = 'type' AND l.name = %(type)s),
    coalesce((SELECT l.running FROM queue.limits AS l WHERE l.kind = 'user' AND l.name = %(user_id)s),
        (SELECT l.running FROM queue.limits AS l WHERE l.kind = 'each_user'))
FROM running AS r
"""


def _limits(conn: psycopg.Connection, task: TaskFacts) -> _Limits:
    row = conn.execute(LIMITS, {"type": task.type, "user_id": task.user_id}).fetchone()
    assert row is not None
    in_all, of_type, of_user, all_allowed, type_allowed, user_allowed = row
    return _Limits(Limit(all_allowed, in_all), Limit(type_allowed, of_type), Limit(user_allowed, of_user))


RATE = "SELECT next_start_at, rate_per_minute FROM queue.limits WHERE kind = 'type' AND name = %(type)s"


def _rate(conn: psycopg.Connection, type_: str) -> tuple[datetime | None, float | None]:
    return conn.execute(RATE, {"type": type_}).fetchone() or (None, None)


RUNS_OF_USER = """
SELECT t.task_id, t.type, t.worker, t.claimed_at FROM queue.tasks AS t
WHERE t.state = 'running' AND t.user_id = %(user_id)s ORDER BY t.claimed_at, t.task_id LIMIT %(limit)s
"""


def _runs_of_user(conn: psycopg.Connection, user_id: str) -> tuple[Running, ...]:
    with conn.cursor(row_factory=class_row(Running)) as cursor:
        return tuple(cursor.execute(RUNS_OF_USER, {"user_id": user_id, "limit": SHOWN_RUNS}).fetchall())


# Users are found by going from one to the next along the index of the lanes; how many tasks each has costs nothing.
TURN = """
WITH RECURSIVE own AS (
    SELECT t.scheduled_at AT TIME ZONE 'UTC' - t.priority * interval '10 minutes' AS rank
    FROM queue.tasks AS t WHERE t.task_id = %(task_id)s
), users AS (
    (SELECT t.user_id, 1 AS nth FROM queue.tasks AS t WHERE t.state = 'queued' ORDER BY t.user_id LIMIT 1)
    UNION ALL
    SELECT n.user_id, u.nth + 1 FROM users AS u CROSS JOIN LATERAL (
        SELECT t.user_id FROM queue.tasks AS t
        WHERE t.state = 'queued' AND t.user_id > u.user_id ORDER BY t.user_id LIMIT 1
    ) AS n WHERE u.nth < %(most)s
)
SELECT (
    SELECT count(*) FROM (
        SELECT FROM queue.tasks AS t, own AS o
        WHERE t.state = 'queued' AND t.user_id = %(user_id)s AND t.scheduled_at <= statement_timestamp()
          AND (t.scheduled_at AT TIME ZONE 'UTC' - t.priority * interval '10 minutes', t.task_id)
              < (o.rank, %(task_id)s)
        LIMIT %(most)s
    ) AS b
)::integer, (SELECT count(*) FROM users)::integer
"""


def _turn(conn: psycopg.Connection, task: TaskFacts) -> Turn:
    row = conn.execute(TURN, {"task_id": task.task_id, "user_id": task.user_id, "most": MOST_BEFORE}).fetchone()
    assert row is not None
    return Turn(*row)


TWIN = """
SELECT least(s.task_id, k.task_id) FROM queue.tasks AS t
LEFT JOIN queue.tasks AS s ON s.state = 'queued' AND s.type = t.type AND s.subject_id = t.subject_id
    AND s.model_version = t.model_version
LEFT JOIN queue.tasks AS k ON k.state = 'queued' AND k.type = t.type AND k.dedupe_key = t.dedupe_key
WHERE t.task_id = %(task_id)s
"""


def _twin(conn: psycopg.Connection, task_id: int) -> int | None:
    with conn.cursor(row_factory=scalar_row) as cursor:
        return cursor.execute(TWIN, {"task_id": task_id}).fetchone()


RUNS = """
SELECT h.started_at, h.status, h.host FROM ops.job_history AS h
WHERE h.job = 'work' AND h.status <> 'skipped' ORDER BY h.started_at DESC LIMIT 1
"""
RUNNING = "SELECT count(*)::integer FROM ops.job_history AS h WHERE h.job = 'work' AND h.status = 'running'"


def _workers(conn: psycopg.Connection, now: datetime, lines_here: int) -> Workers:
    pause = next((str(each) for each in pauses.active(conn, now) if each.job == JOB), "")
    lines = sum(line.job == JOB for line in registry.installed(conn))
    started_at, status, host = conn.execute(RUNS).fetchone() or (None, "", "")
    with conn.cursor(row_factory=scalar_row) as cursor:
        running = cursor.execute(RUNNING).fetchone() or 0
    return Workers(running, started_at, status, host, pause, max(lines, lines_here))
