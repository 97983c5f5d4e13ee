"""The guard of a run: an advisory lock that keeps others out, and a fence that keeps a deposed run from writing.

The lock is taken inside a transaction that stays open on a connection of its own for as long as the run lives
(pg_try_advisory_xact_lock). A transaction belongs to one server session wherever it runs, so this holds through a
pooler in transaction or session mode as it does on a direct connection; a session lock would not (behind a pooler in
transaction mode two clients can both "hold" it). The open transaction has done no write and keeps no snapshot, so it
holds back neither vacuum nor anybody's view of what is committed. The server frees the lock when the session ends,
however it ends: a run is alive exactly while its lock is held.

The lock alone is only a hint, since a process can lose it without noticing: its session is terminated, or the process
was frozen. So each holder draws the next number from ops.locks, the fence, after it has the lock and only while
pg_locks shows that it has. Every transaction with an effect reads that row FOR SHARE and compares: a deposed run finds
a higher number and rolls back, and a rival's draw waits until a batch in flight has ended. A late writer therefore
never writes after its successor began.

A holder that stopped beating for longer than its lease (frozen, or cut off with the server not knowing) is deposed: its
lock session is terminated and the next run takes over. The session limits end nearly any transaction of a frozen run
before the lease does, which is why the limits must be in order (statement < idle in transaction < lease); what is left,
a COPY whose sender froze, is ended by the successor.
"""

import hashlib
import time
from collections.abc import Mapping
from datetime import datetime
from enum import Enum
from typing import NamedTuple
from uuid import UUID

import psycopg
from psycopg import sql
from psycopg.rows import class_row

from jobctl.db.connection import NO_LIMITS, Database
from jobctl.db.sqlstate import is_conflict, translated
from jobctl.errors import LockLost


class Holder(NamedTuple):
    """The run that has the lock, as far as its rows tell; a lock can be held before its row is written."""

    run_id: UUID | None
    host: str | None
    worker_pid: int | None
    started_at: datetime | None
    heartbeat_age_s: float | None
    lease_s: int | None
    guard_backend_pid: int

    @property
    def is_overdue(self) -> bool:
        return self.heartbeat_age_s is not None and self.lease_s is not None and self.heartbeat_age_s > self.lease_s

    def as_evidence(self) -> dict[str, object]:
        return {
            "holder_run_id": str(self.run_id) if self.run_id else None,
            "holder_host": self.host,
            "holder_pid": self.worker_pid,
            "holder_since": self.started_at.isoformat() if self.started_at else None,
            "holder_heartbeat_age_s": round(self.heartbeat_age_s, 1) if self.heartbeat_age_s is not None else None,
        }

    def __str__(self) -> str:
        if self.run_id is None:
            return "a run that is just starting"
        since = f" since {self.started_at:%Y-%m-%d %H:%M:%S} UTC" if self.started_at else ""
        return f"run {self.run_id} on {self.host} (pid {self.worker_pid}){since}"


class Grant(NamedTuple):
    """Proof of the guard, handed to whoever writes."""

    lock_key: int
    fence: int
    guard_backend_pid: int


def lock_key(database_name: str, job: str, scope: str) -> int:
    """A stable 64-bit key: the same on every host, another for every database, job and scope."""
    digest = hashlib.blake2b("\0".join(("jobctl", database_name, job, scope)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, signed=True)


# Sent with the key written into it: a statement with parameters leaves its portal open until the transaction ends, and
# with it a snapshot that would hold back vacuum for as long as the run lives.
TRY_LOCK = """
SELECT pg_catalog.pg_try_advisory_xact_lock({lock_key}), pg_catalog.pg_backend_pid(),
    pg_catalog.set_config('idle_in_transaction_session_timeout', '0', true),
    pg_catalog.set_config('statement_timeout', '0', true),
    pg_catalog.set_config('client_connection_check_interval', '1000', true)
"""

# Truth first: who is granted the lock. Its rows come second and may not be there: a process can freeze between taking
# the lock and writing its row, so the session's own age counts too, with a lease more for the wait for the fence.
HOLDER = """
SELECT coalesce(h.run_id, k.run_id) AS run_id, coalesce(h.host, k.host) AS host,
    coalesce(h.worker_pid, k.worker_pid) AS worker_pid, coalesce(h.started_at, k.acquired_at) AS started_at,
    extract(epoch FROM clock_timestamp() - coalesce(h.heartbeat_at, a.state_change))::float8 AS heartbeat_age_s,
    coalesce(h.lease_s, 2 * %(lease_s)s) AS lease_s, l.pid AS guard_backend_pid
FROM pg_catalog.pg_locks AS l
LEFT JOIN pg_catalog.pg_stat_activity AS a ON a.pid = l.pid
LEFT JOIN ops.job_history AS h
    ON h.lock_key = %(lock_key)s AND h.guard_backend_pid = l.pid AND h.status = 'running'
LEFT JOIN ops.locks AS k ON k.lock_key = %(lock_key)s AND k.guard_backend_pid = l.pid
WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
  AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
  AND (l.classid::bigint << 32) | l.objid::bigint = %(lock_key)s
ORDER BY h.started_at DESC NULLS LAST
LIMIT 1
"""

# Draws a number only while the caller's own session is granted the lock. Zero rows: it has lost it already.
# The key changes when the database was renamed or restored under another name; the fence goes on rising.
DRAW_FENCE = """
INSERT INTO ops.locks AS k (lock_key, job, scope, fence, run_id, host, worker_pid, guard_backend_pid, acquired_at)
SELECT %(lock_key)s, %(job)s, %(scope)s, 1, %(run_id)s, %(host)s, %(worker_pid)s, %(guard_backend_pid)s,
    clock_timestamp()
WHERE EXISTS (
    SELECT FROM pg_catalog.pg_locks AS l
    WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 AND l.pid = %(guard_backend_pid)s
      AND (l.classid::bigint << 32) | l.objid::bigint = %(lock_key)s)
ON CONFLICT (job, scope) DO UPDATE
SET lock_key = excluded.lock_key, fence = k.fence + 1, run_id = excluded.run_id, host = excluded.host,
    worker_pid = excluded.worker_pid, guard_backend_pid = excluded.guard_backend_pid, acquired_at = excluded.acquired_at
RETURNING fence
"""

# Locked until the transaction ends, so that no rival draws while this one writes.
CHECK_FENCE = "SELECT fence FROM ops.locks WHERE lock_key = %(lock_key)s FOR SHARE"

# The last holder's sessions, known by the run in their name. It has lost its lock, so whatever it still does is void.
END_SESSIONS_OF_LAST = """
SELECT pg_catalog.pg_terminate_backend(a.pid)
FROM ops.locks AS k
JOIN pg_catalog.pg_stat_activity AS a
    ON a.application_name LIKE 'jobctl:' || k.job || ':' || left(k.run_id::text, 13) || '%%'
WHERE k.lock_key = %(lock_key)s AND k.run_id <> %(run_id)s AND a.pid <> pg_catalog.pg_backend_pid()
  AND a.datname = pg_catalog.current_database()
"""

PROBE = """
SELECT k.fence, EXISTS (
    SELECT FROM pg_catalog.pg_locks AS l
    WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 AND l.pid = %(guard_backend_pid)s
      AND (l.classid::bigint << 32) | l.objid::bigint = %(lock_key)s)
FROM ops.locks AS k WHERE k.lock_key = %(lock_key)s
"""


class Guard:
    """Holds the lock of one job and scope from `acquire` to `release`."""

    def __init__(self, database: Database, job: str, scope: str, *, lease_s: int) -> None:
        self._database = database
        self._job = job
        self._scope = scope
        self._lease_s = lease_s
        self._conn: psycopg.Connection | None = None

    def acquire(self, control: psycopg.Connection, *, run_id: UUID, host: str, worker_pid: int) -> Grant | Holder:
        """Take lock and fence, or tell who has them. `control` is an autocommit connection for the fence's row."""
        with translated():
            name = control.execute("SELECT pg_catalog.current_database()").fetchone()
            assert name is not None
            key = lock_key(name[0], self._job, self._scope)
            holder = _holder(control, key, self._lease_s)
            if holder is not None and not holder.is_overdue:
                return holder  # seen without a connection of our own: most starts that are skipped end here
            self._conn = self._database.connect(limits=NO_LIMITS, purpose="guard")
            backend_pid = self._try_lock(key)
            if backend_pid is None:
                holder = _holder(control, key, self._lease_s)
                if holder is not None and not holder.is_overdue:
                    self.release()
                    return holder
                if holder is not None:
                    control.execute("SELECT pg_catalog.pg_terminate_backend(%s)", (holder.guard_backend_pid,))
                backend_pid = self._retry_lock(key, for_s=5)
                if backend_pid is None:
                    self.release()
                    holder = _holder(control, key, self._lease_s) or holder
                    return holder or Holder(None, None, None, None, None, None, 0)
            parameters = {
                "lock_key": key,
                "job": self._job,
                "scope": self._scope,
                "run_id": run_id,
                "host": host,
                "worker_pid": worker_pid,
                "guard_backend_pid": backend_pid,
            }
            fence = self._draw_fence(control, parameters)
            return Grant(key, fence, backend_pid)

    def regain(self, conn: psycopg.Connection, *, run_id: UUID, host: str, worker_pid: int) -> Grant | Holder:
        """After the session that held the lock was cut off: lock and next fence, or who has them by now."""
        self.release()
        return self.acquire(conn, run_id=run_id, host=host, worker_pid=worker_pid)

    def release(self) -> None:
        """Give the lock back by ending its transaction; closing the connection does it if that fails."""
        if self._conn is not None:
            try:
                if not self._conn.closed:
                    self._conn.execute("ROLLBACK")
            except psycopg.Error:
                pass  # the session is gone, and the lock with it
            self._conn.close()
            self._conn = None

    def _try_lock(self, key: int) -> int | None:
        assert self._conn is not None
        self._conn.execute("BEGIN")
        row = self._conn.execute(sql.SQL(TRY_LOCK).format(lock_key=sql.Literal(key))).fetchone()
        assert row is not None
        if row[0]:
            return row[1]
        self._conn.execute("ROLLBACK")
        return None

    def _retry_lock(self, key: int, *, for_s: float) -> int | None:
        until = time.monotonic() + for_s
        while True:
            backend_pid = self._try_lock(key)
            if backend_pid is not None or time.monotonic() > until:
                return backend_pid
            time.sleep(0.05)

    def _draw_fence(self, control: psycopg.Connection, parameters: Mapping[str, object]) -> int:
        """A deposed run's batch in flight keeps the row. It is given the lock timeout to end by itself, then its
        sessions are ended: one that was frozen inside a COPY would be waited for by the server without any limit."""
        until = time.monotonic() + self._lease_s
        while True:
            try:
                with self._database.transaction(control):
                    row = control.execute(DRAW_FENCE, parameters).fetchone()
            except psycopg.Error as error:
                if not is_conflict(error) or time.monotonic() > until:
                    self.release()
                    raise
                control.execute(END_SESSIONS_OF_LAST, parameters)
            else:
                if row is None:
                    self.release()
                    raise LockLost("the lock was lost before the run began", hint="the next slot tries again")
                return row[0]


def check_fence(conn: psycopg.Connection, grant: Grant) -> None:
    """Inside a transaction with an effect: raise LockLost unless this run's fence is still the newest."""
    row = conn.execute(CHECK_FENCE, {"lock_key": grant.lock_key}).fetchone()
    if row is None or row[0] != grant.fence:
        newest = "gone" if row is None else str(row[0])
        raise LockLost(
            f"another run took over (fence {newest}, this run has {grant.fence}); this batch was rolled back",
            hint="nothing is lost: the other run continues from the same checkpoint",
        )


class Standing(Enum):
    """Whether a run may still write: it is guarded, another run drew a newer fence, or its lock session is gone."""

    GUARDED = "guarded"
    DEPOSED = "deposed"
    UNLOCKED = "unlocked"


def standing(conn: psycopg.Connection, grant: Grant) -> Standing:
    row = conn.execute(PROBE, {"lock_key": grant.lock_key, "guard_backend_pid": grant.guard_backend_pid}).fetchone()
    if row is None or row[0] != grant.fence:
        return Standing.DEPOSED
    return Standing.GUARDED if row[1] else Standing.UNLOCKED


def _holder(conn: psycopg.Connection, key: int, lease_s: int) -> Holder | None:
    with conn.cursor(row_factory=class_row(Holder)) as cursor:
        return cursor.execute(HOLDER, {"lock_key": key, "lease_s": lease_s}).fetchone()
