"""The guard: who has the lock, who may write, and what a run that lost either may still do (nothing)."""

import uuid
from collections.abc import Callable, Generator
from dataclasses import dataclass, field

import psycopg
import pytest

from jobctl.db.connection import Database
from jobctl.errors import LockLost
from jobctl.runtime import history
from jobctl.runtime.guard import Grant, Guard, Holder, Standing, check_fence, lock_key, standing
from jobctl.runtime.identity import Identity


@dataclass
class Runner:
    """One run that wants the lock of ("job", "scope")."""

    database: Database
    conn: psycopg.Connection
    lease_s: int = 60
    run_id: uuid.UUID = field(default_factory=uuid.uuid4)

    def acquire(self) -> Grant | Holder:
        self.guard = Guard(self.database, "job", "scope", lease_s=self.lease_s)
        return self.guard.acquire(self.conn, run_id=self.run_id, host="host", worker_pid=7)

    def begin(self) -> Grant:
        grant = self.acquire()
        assert isinstance(grant, Grant)
        who = Identity(self.run_id, "job", str(self.run_id), "host", "user", 1, "0", "jobctl")
        history.start(self.conn, who, "scope", lock_key=grant.lock_key, fence=grant.fence, worker_pid=7,
                      guard_backend_pid=grant.guard_backend_pid, lease_s=self.lease_s)  # fmt: skip
        return grant


NewRunner = Callable[..., Runner]


@pytest.fixture
def runner(database: Database, conn: psycopg.Connection) -> Generator[NewRunner, None, None]:
    made: list[Runner] = []

    def make(lease_s: int = 60) -> Runner:
        made.append(Runner(database, conn, lease_s))
        return made[-1]

    yield make
    for one in made:
        if hasattr(one, "guard"):
            one.guard.release()


def writes(database: Database, grant: Grant) -> None:
    with database.connect() as conn, database.transaction(conn):
        check_fence(conn, grant)


def test_lock_keys_of_100_000_names_do_not_clash() -> None:
    keys = {lock_key(database, f"job{n}", f"scope{n % 7}") for database in "ab" for n in range(50_000)}
    assert len(keys) == 100_000
    assert all(-(1 << 63) <= key < 1 << 63 for key in keys)
    assert lock_key("d", "ab", "c") != lock_key("d", "a", "bc")


def test_lock_key_is_the_same_on_every_host_and_in_every_version() -> None:
    assert lock_key("jobctl", "ingest-branch", "airports") == 6590827559019364270


def test_second_run_is_told_who_holds_the_lock(runner: NewRunner) -> None:
    first = runner()
    first.begin()
    held = runner().acquire()
    assert isinstance(held, Holder)
    assert held.run_id == first.run_id
    assert held.host == "host"
    assert str(first.run_id) in str(held)


def test_holder_is_named_before_its_row_is_written(runner: NewRunner) -> None:
    first = runner()
    first.acquire()
    held = runner().acquire()
    assert isinstance(held, Holder)
    assert held.run_id == first.run_id


def test_fence_rises_with_every_holder_and_the_lock_is_free_after_release(runner: NewRunner) -> None:
    fences: list[int] = []
    for _ in range(3):
        one = runner()
        fences.append(one.begin().fence)
        one.guard.release()
    assert fences == sorted(set(fences))


def test_run_whose_lock_session_was_terminated_may_not_write_once_a_rival_began(
    runner: NewRunner, database: Database, conn: psycopg.Connection
) -> None:
    first = runner()
    old = first.begin()
    writes(database, old)
    conn.execute("SELECT pg_terminate_backend(%s, 5000)", (old.guard_backend_pid,))
    assert standing(conn, old) is Standing.UNLOCKED
    new = runner().begin()
    assert new.fence > old.fence
    with pytest.raises(LockLost, match="took over"):
        writes(database, old)
    assert standing(conn, old) is Standing.DEPOSED
    writes(database, new)


def test_rival_waits_for_a_batch_in_flight_before_it_draws_its_fence(
    runner: NewRunner, database: Database, conn: psycopg.Connection
) -> None:
    """The batch of the old holder was begun under the newest fence, so it may still commit; then never again."""
    first = runner()
    old = first.begin()
    with database.connect() as writing:
        with database.transaction(writing):
            check_fence(writing, old)
            conn.execute("SELECT pg_terminate_backend(%s, 5000)", (old.guard_backend_pid,))
            with database.connect() as other:
                other.execute("SET lock_timeout TO '200ms'")
                with pytest.raises(psycopg.errors.LockNotAvailable):
                    other.execute("UPDATE ops.locks SET fence = fence + 1")
        assert runner().begin().fence == old.fence + 1


def test_holder_without_a_heartbeat_for_its_lease_is_deposed(runner: NewRunner, conn: psycopg.Connection) -> None:
    first = runner(lease_s=60)
    old = first.begin()
    conn.execute("UPDATE ops.job_history SET heartbeat_at = now() - interval '59 seconds'")
    assert isinstance(runner().acquire(), Holder)
    conn.execute("UPDATE ops.job_history SET heartbeat_at = now() - interval '61 seconds'")
    new = runner().acquire()
    assert isinstance(new, Grant)
    assert standing(conn, old) is Standing.DEPOSED


def test_row_is_abandoned_only_when_its_lock_is_gone(runner: NewRunner, conn: psycopg.Connection) -> None:
    alive, dead, finder = runner(), runner(), uuid.uuid4()
    grant = alive.begin()
    at = {"lock_key": 0, "fence": 0}
    assert history.abandon_dead(conn, finder, **at) == []
    conn.execute("SELECT pg_terminate_backend(%s, 5000)", (grant.guard_backend_pid,))
    found = history.abandon_dead(conn, finder, **at)
    assert [one.run_id for one in found] == [alive.run_id]
    assert history.status_of(conn, alive.run_id, "scope") == "abandoned"
    del dead


def test_guard_holds_back_neither_vacuum_nor_the_snapshot_of_others(
    runner: NewRunner, conn: psycopg.Connection
) -> None:
    grant = runner().begin()
    row = conn.execute(
        "SELECT backend_xid, backend_xmin FROM pg_catalog.pg_stat_activity WHERE pid = %s", (grant.guard_backend_pid,)
    ).fetchone()
    assert row == (None, None)
