"""Questions to the server, read-only: one dataclass an answer, each asked in a short transaction of its own."""

from dataclasses import dataclass
from datetime import datetime

import psycopg
from psycopg.rows import class_row


@dataclass(frozen=True, slots=True)
class Standing:
    """The server and our role in it."""

    version: str
    is_in_recovery: bool
    is_read_only: bool
    role: str
    is_superuser: bool


STANDING = """
SELECT current_setting('server_version') AS version, pg_catalog.pg_is_in_recovery() AS is_in_recovery,
    current_setting('default_transaction_read_only')::boolean AS is_read_only, current_user::text AS role,
    (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user) AS is_superuser
"""


def standing(conn: psycopg.Connection) -> Standing:
    with conn.cursor(row_factory=class_row(Standing)) as cursor:
        found = cursor.execute(STANDING).fetchone()
    assert found is not None
    return found


@dataclass(frozen=True, slots=True)
class Connections:
    """How many more the role may open, and out of how many; the tightest of the three limits there are."""

    free: int
    most: int


# A limit of -1 is none. The slots kept for superusers are not ours.
CONNECTIONS = """
WITH clients AS (
    SELECT count(*)::integer AS every,
        (count(*) FILTER (WHERE usename = current_user))::integer AS of_role,
        (count(*) FILTER (WHERE datname = current_database()))::integer AS of_database
    FROM pg_catalog.pg_stat_activity WHERE backend_type = 'client backend'
), limits AS (
    SELECT current_setting('max_connections')::integer - current_setting('superuser_reserved_connections')::integer
            - coalesce(current_setting('reserved_connections', true)::integer, 0) AS most, every AS used FROM clients
    UNION ALL
    SELECT rolconnlimit, of_role FROM pg_catalog.pg_roles, clients WHERE rolname = current_user AND rolconnlimit >= 0
    UNION ALL
    SELECT datconnlimit, of_database FROM pg_catalog.pg_database, clients
    WHERE datname = current_database() AND datconnlimit >= 0
)
SELECT greatest(most - used, 0) AS free, most FROM limits ORDER BY most - used LIMIT 1
"""


def connections(conn: psycopg.Connection) -> Connections:
    with conn.cursor(row_factory=class_row(Connections)) as cursor:
        found = cursor.execute(CONNECTIONS).fetchone()
    assert found is not None
    return found


@dataclass(frozen=True, slots=True)
class Held:
    """A transaction that holds a number or a snapshot; `name` is its session's."""

    age_s: float
    pid: int | None
    name: str


# A guard's transaction holds neither, however long it is open. Of other roles' sessions the age may not be shown.
OLDEST = """
SELECT extract(epoch FROM clock_timestamp() - a.xact_start)::float8 AS age_s, a.pid,
    coalesce(nullif(a.application_name, ''), a.usename::text, '') AS name
FROM pg_catalog.pg_stat_activity AS a
WHERE a.xact_start IS NOT NULL AND a.pid <> pg_catalog.pg_backend_pid() AND a.backend_type = 'client backend'
  AND (a.backend_xid IS NOT NULL OR a.backend_xmin IS NOT NULL)
UNION ALL
SELECT extract(epoch FROM clock_timestamp() - p.prepared)::float8, NULL, 'prepared transaction ' || p.gid
FROM pg_catalog.pg_prepared_xacts AS p
ORDER BY age_s DESC LIMIT 1
"""


def oldest(conn: psycopg.Connection) -> Held | None:
    with conn.cursor(row_factory=class_row(Held)) as cursor:
        return cursor.execute(OLDEST).fetchone()


CLOCK = "SELECT extract(epoch FROM clock_timestamp())::float8"


def clock_s(conn: psycopg.Connection) -> float:
    row = conn.execute(CLOCK).fetchone()
    assert row is not None
    return row[0]


# What server, database or role say for a session, before ours was set to UTC.
ZONE = "SELECT reset_val FROM pg_catalog.pg_settings WHERE name = 'TimeZone'"


def database_zone(conn: psycopg.Connection) -> str:
    row = conn.execute(ZONE).fetchone()
    assert row is not None
    return row[0]


@dataclass(frozen=True, slots=True)
class Place:
    """A host and user that runs were made by."""

    host: str
    os_user: str


# Runs of sample data (`jobctl demo load`) are of a host that there is nowhere.
PLACES = """
SELECT DISTINCT host, os_user FROM ops.job_history
WHERE started_at > now() - interval '30 days' AND host <> 'demo.invalid'
"""


def places(conn: psycopg.Connection) -> list[Place]:
    """Where runs of the last 30 days came from."""
    with conn.cursor(row_factory=class_row(Place)) as cursor:
        return cursor.execute(PLACES).fetchall()


@dataclass(frozen=True, slots=True)
class DeadRun:
    run_id: str
    job: str
    scope: str
    host: str
    age_s: float


# The same truth by which the next run declares them abandoned: a run lives while its session holds its lock.
DEAD = """
SELECT h.run_id::text, h.job, h.scope, h.host,
    extract(epoch FROM clock_timestamp() - h.started_at)::float8 AS age_s
FROM ops.job_history AS h
WHERE h.status = 'running' AND h.lock_key IS NOT NULL AND NOT EXISTS (
    SELECT FROM pg_catalog.pg_locks AS l
    WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 AND l.pid = h.guard_backend_pid
      AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
      AND (l.classid::bigint << 32) | l.objid::bigint = h.lock_key)
ORDER BY h.started_at
"""


def dead_runs(conn: psycopg.Connection) -> list[DeadRun]:
    with conn.cursor(row_factory=class_row(DeadRun)) as cursor:
        return cursor.execute(DEAD).fetchall()


@dataclass(frozen=True, slots=True)
class Unsent:
    """Messages of one channel that did not arrive, or may not have. `why` is the newest one's."""

    channel: str
    state: str
    count: int
    why: str


UNSENT = """
SELECT channel, state, count(*)::integer AS count,
    coalesce((array_agg(error_message ORDER BY updated_at DESC))[1], '') AS why
FROM (
    SELECT channel, state, error_message, created_at, updated_at FROM ops.outbox
    UNION ALL
    SELECT 'those who get the weekly mail', state, error_message, due_at, updated_at FROM ops.report_mails
) AS m
WHERE (state IN ('failed', 'unknown') AND updated_at > now() - interval '7 days')
   OR (state IN ('new', 'sending') AND created_at < now() - interval '1 hour')
GROUP BY channel, state ORDER BY channel, state
"""


def unsent(conn: psycopg.Connection) -> list[Unsent]:
    with conn.cursor(row_factory=class_row(Unsent)) as cursor:
        return cursor.execute(UNSENT).fetchall()


DEMO = "SELECT as_of FROM ops.demo"


def demo_as_of(conn: psycopg.Connection) -> datetime | None:
    """When the year of the sample data ends, if there is any."""
    row = conn.execute(DEMO).fetchone()
    return row[0] if row else None
