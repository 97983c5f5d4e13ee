"""Claiming tasks, so that no limit is ever exceeded and no user starved, whoever claims from wherever.

Claims happen one after the other: each takes the admission lock, then counts what runs, compares with the limits and
takes tasks, in one statement whose snapshot is younger than the lock. Both go to the server together with BEGIN and
COMMIT, so nobody's network is waited for under the lock, and the work under it goes by the number of tasks wanted, not
by how many wait, run or have ended.

What makes that possible is kept in the claimer's memory:

- the wheel (`lanes`): which users have something due, of which types, and how far their lanes have been looked at. It
  is found by a skip scan outside the lock, and found anew when it is empty, before a claim says that there is nothing,
  and otherwise now and then, so that new users, tries that came back and higher priorities have their turn;
- which claims still had tasks running when this claimer claimed last. All claims draw their fence from one sequence
  inside the lock, so every newer one has a higher number, and the dead index entries of ended tries, which stay for as
  long as somebody holds an old snapshot, are not read again.

A claim that the server forgets in a crash (it is not waited for on disk) is merely claimed again. Its number may then
be given a second time, so a try is known by its fence and the moment of its claim together.
"""

import json
import random
from collections.abc import Collection, Iterable, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from importlib.resources import files
from typing import Any, LiteralString, NamedTuple
from uuid import UUID

import psycopg
from psycopg import IsolationLevel
from psycopg.pq import TransactionStatus

from jobctl import clock
from jobctl.db.connection import Database
from jobctl.queue import arrays
from jobctl.queue.lanes import Lane, Wheel
from jobctl.queue.limits import LOCK_ADMISSION
from jobctl.queue.task import Task

CLAIM = (files("jobctl.queue") / "claim.sql").read_bytes()
FIND_LANES = (files("jobctl.queue") / "find_lanes.sql").read_bytes()

WHEEL_LASTS_S = 1.0  # at least; and this many times as long as it took to find it
WHEEL_LASTS_TIMES = 40
TURN_OF_TWO_FROM = 200  # tasks wanted at once
LEAST_USERS_OFFERED = 100  # some of them have as many running as allowed


def find_lanes(conn: psycopg.Connection, types: Collection[str]) -> list[Lane]:
    """Every lane of these types that has something due."""
    rows = conn.execute(FIND_LANES, {"types": arrays.of_texts(list(types))}, prepare=True)
    return [Lane(*row) for row in rows]


# Whatever was claimed up to `seen` has been committed when the lock is granted, or never will be.
SEEN = "SELECT last_value - (NOT is_called)::integer FROM queue.fences"
KNOWN = """
SELECT coalesce(array_agg(DISTINCT t.fence), '{}')::text FROM queue.tasks AS t
WHERE t.state = 'running' AND t.fence <= %(seen)s
"""
# A lane is read in its order and only as far as needed, whatever the planner believes about its length. So one plan
# does for all claims. Left to choose, the server makes a new one for each, at two to eight milliseconds of its time.
BY_INDEX = """
SELECT pg_catalog.set_config('enable_bitmapscan', 'off', true), pg_catalog.set_config('enable_seqscan', 'off', true),
    pg_catalog.set_config('plan_cache_mode', 'force_generic_plan', true)
"""
WITHOUT_DISK = "SELECT pg_catalog.set_config('synchronous_commit', 'off', true)"


class _Finding(NamedTuple):
    """What a claim tells the claimer beside the tasks (see the end of claim.sql)."""

    fence: int
    free: int  # how many could have been taken, as far as the limit in all goes
    reached: int | None  # how many of the users offered were looked at; None: all
    full_users: Sequence[int]  # their places among those offered
    full_types: Sequence[str]
    empty: Sequence[tuple[int, str | None, int | None]]  # lanes by number, and how far they were looked at
    known: str


class Claimer:
    """Claims for one worker. `worker` is HOST/ANYTHING; each handler's type is one of `types`. Not for two threads at
    once. Behind a pooler the `database` says which limits each transaction needs."""

    def __init__(
        self, types: Iterable[str], *, worker: str, run_id: UUID, lease_s: float, database: Database | None = None
    ) -> None:
        self.types = frozenset(types)
        self.found: frozenset[str] = frozenset()  # types of which something was due when the wheel was laid out last
        self.is_full = False  # after the last claim, as many run as may in all
        self._claim_as = {"worker": worker, "run_id": run_id, "lease_s": lease_s}
        self._database = database
        self._wheel = Wheel()
        self._found_at = self._lasts_s = 0.0
        self._conn: psycopg.Connection | None = None
        self._seen: int | None = None
        self._known = "{}"

    def claim(self, conn: psycopg.Connection, wanted: int, *, types: Collection[str] | None = None) -> list[Task]:
        """Up to `wanted` tasks, of these types only if any are named, in the order of their turns. [] says that nothing
        can be claimed now: looked for a moment ago, nothing that is due has room within the limits. The connection is
        in no transaction."""
        if conn.isolation_level is not IsolationLevel.READ_COMMITTED:
            conn.isolation_level = IsolationLevel.READ_COMMITTED  # the claim must see what the lock waited for
        wanted_types = self.types if types is None else self.types & set(types)
        if conn is not self._conn:
            # A server that crashed may have forgotten the last claims, and give their fences once more.
            self._conn, self._seen = conn, None
        if self._seen is None:
            self._look_at_running(conn)
        found_now = False
        while wanted > 0 and wanted_types:
            if not found_now and (not self._wheel or clock.monotonic() >= self._found_at + self._lasts_s):
                self._find(conn)
                found_now = True
            tasks, is_full = self._round(conn, wanted, wanted_types)
            if tasks or is_full or found_now:
                return tasks
            self._find(conn)
            found_now = True
        return []

    def _round(self, conn: psycopg.Connection, wanted: int, types: Collection[str]) -> tuple[list[Task], bool]:
        """The first tasks that can be had on one round of the wheel; and whether all limits together are used up."""
        open_types, passed = set(types), set[str]()
        users = -(-wanted // _turn(wanted))
        while offered := self._wheel.offer(
            max(users + users // 4, LEAST_USERS_OFFERED),
            types=open_types if len(open_types) < len(self.types) else None,
            but=passed,
        ):
            lanes = [lane for _, of_user in offered for lane in of_user]
            tasks, finding = self._take(conn, wanted, offered, lanes)
            self.is_full = len(tasks) >= finding.free
            if tasks or self.is_full:
                return tasks, self.is_full
            open_types -= set(finding.full_types)
            looked_at = offered if finding.reached is None else offered[: finding.reached]
            go_on = {lanes[number - 1].user_id for number, rank, _ in finding.empty if rank is not None}
            passed.update(user_id for user_id, _ in looked_at if user_id not in go_on)
        return [], False

    def _take(
        self,
        conn: psycopg.Connection,
        wanted: int,
        offered: Sequence[tuple[str, list[Lane]]],
        lanes: Sequence[Lane],
    ) -> tuple[list[Task], _Finding]:
        parameters: dict[str, Any] = {
            "places": arrays.of_numbers([place for place, (_, of) in enumerate(offered, start=1) for _ in of]),
            "users": arrays.of_texts([lane.user_id for lane in lanes]),
            "types": arrays.of_texts([lane.type for lane in lanes]),
            "ranks": arrays.of_texts([lane.rank for lane in lanes]),
            "task_ids": arrays.of_numbers([lane.task_id for lane in lanes]),
            "late": arrays.of_texts(["t" if lane.late else "f" for lane in lanes]),
            "wanted": wanted,
            "turn": _turn(wanted),
            "seen": self._seen,
            "known": self._known,
            **self._claim_as,
        }
        rows = self._ask(conn, BY_INDEX, WITHOUT_DISK, LOCK_ADMISSION, CLAIM, parameters=parameters).fetchall()
        finding, claimed_at = _Finding(*rows[0][-2]), rows[0][-1]
        tasks = [] if rows[0][0] is None else self._tasks(rows, finding.fence, claimed_at, offered)
        self._seen, self._known = finding.fence, _with(finding.known, finding.fence) if tasks else finding.known
        for number, rank, task_id in finding.empty:
            lane = lanes[number - 1]
            if rank is None or task_id is None:
                self._wheel.drop(lane)
            else:
                lane.rank, lane.task_id = rank, task_id
        for place in sorted(finding.full_users):
            self._wheel.had_turn(offered[place - 1][0])
        return tasks, finding

    def _tasks(
        self,
        rows: Iterable[tuple[Any, ...]],
        fence: int,
        claimed_at: datetime,
        offered: Sequence[tuple[str, list[Lane]]],
    ) -> list[Task]:
        """First tasks of all users, then second ones. Their lanes go on behind them and their users have had their
        turn."""
        places = {user_id: place for place, (user_id, _) in enumerate(offered)}
        turns: dict[str, int] = {}
        last: dict[tuple[str, str], tuple[str, int]] = {}
        in_turn: list[tuple[int, int, Task]] = []
        for (
            task_id,
            type_,
            user_id,
            organization_id,
            site_url,
            payload,
            subject_id,
            dedupe_key,
            model_version,
            content_hash,
            attempts,
            crashes,
            checkpoint,
            due_at,
            rank,
            *_,
        ) in rows:  # by rank
            task = Task(
                task_id,
                type_,
                fence,
                user_id,
                organization_id,
                site_url,
                json.loads(payload) if payload else {},
                subject_id,
                dedupe_key,
                model_version,
                content_hash,
                attempts,
                crashes,
                json.loads(checkpoint) if checkpoint else None,
                due_at,
                claimed_at,
            )
            last[user_id, type_] = (rank, task_id)
            turn = turns.get(user_id, 0)
            turns[user_id] = turn + 1
            in_turn.append((turn, places[user_id], task))
        in_turn.sort()
        for user_id, lanes in offered:
            if user_id in turns:
                self._wheel.had_turn(user_id)
                for lane in lanes:
                    lane.rank, lane.task_id = last.get((user_id, lane.type), (lane.rank, lane.task_id))
        return [task for _, _, task in in_turn]

    def _find(self, conn: psycopg.Connection) -> None:
        began = clock.monotonic()
        with self._transaction(conn):
            lanes = find_lanes(conn, self.types)
        self._wheel.lay_out(lanes, start_at=random.random())
        self.found = frozenset(lane.type for lane in lanes)
        self._found_at = clock.monotonic()
        self._lasts_s = max(WHEEL_LASTS_S, WHEEL_LASTS_TIMES * (self._found_at - began))

    def _look_at_running(self, conn: psycopg.Connection) -> None:
        """Before the first claim, outside the lock: every claim so far that still has tasks running."""
        seen = self._ask(conn, LOCK_ADMISSION, SEEN).fetchone()
        known = self._ask(conn, KNOWN, parameters={"seen": seen[0] if seen else 0}).fetchone()
        self._seen, self._known = (seen[0], known[0]) if seen and known else (0, "{}")

    def _ask(
        self, conn: psycopg.Connection, *statements: LiteralString | bytes, parameters: dict[str, Any] | None = None
    ) -> psycopg.Cursor[Any]:
        """A transaction of these statements, sent at once. Parameters and answer are those of the last one."""
        try:
            with conn.pipeline(), self._transaction(conn):
                for statement in statements[:-1]:
                    conn.execute(statement)
                return conn.execute(statements[-1], parameters, prepare=True)
        except psycopg.Error:
            # An error comes to light when the answers do, after the block that would have rolled back.
            if not conn.closed and conn.info.transaction_status is TransactionStatus.INERROR:
                conn.rollback()
            raise

    def _transaction(self, conn: psycopg.Connection) -> AbstractContextManager[object]:
        return self._database.transaction(conn) if self._database else conn.transaction()


def _turn(wanted: int) -> int:
    """Tasks of a user in a row: one, or two where hundreds are claimed at once, which costs far less than twice one."""
    return 1 if wanted < TURN_OF_TWO_FROM else 2


def _with(known: str, fence: int) -> str:
    """An array of PostgreSQL's with one more number."""
    return f"{{{fence}}}" if known == "{}" else f"{known[:-1]},{fence}}}"
