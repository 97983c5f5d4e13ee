"""Queues to be ill-treated: filled in bulk, judged by their views, and audited from the rows that their tries left.

The audit does not believe the queue's own counters. It takes the begin and the end of every try and sweeps over them,
and it reads who came first from the order of the claims, not from a clock.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from threading import Lock
from typing import NamedTuple

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from jobctl.queue.task import Task

VIEWS = ("no_task_twice", "limits_held", "no_stuck_past_lease", "attempts_add_up")
OPEN = ("queued", "running", "blocked")

# Filling -----------------------------------------------------------------------------------------------------------

FILL = """
INSERT INTO queue.tasks (type, user_id, payload, priority)
SELECT %(type)s, %(user)s, %(payload)s, %(priority)s FROM generate_series(1, %(count)s)
RETURNING task_id
"""


def fill(
    conn: psycopg.Connection,
    counts: Mapping[str, int],
    *,
    type_: str = "empty",
    payload: Mapping[str, object] | None = None,
    priority: int = 0,
) -> list[int]:
    """So many tasks of each user, due at once, in one transaction; their ids."""
    made: list[int] = []
    with conn.transaction():
        for user, count in counts.items():
            values: dict[str, object] = {"type": type_, "user": user, "count": count, "priority": priority}
            values["payload"] = None if payload is None else Jsonb(dict(payload))
            made += [row[0] for row in conn.execute(FILL, values)]
    return made


def empty(conn: psycopg.Connection) -> None:
    """No task, no try, the limits of a new database. DELETE, for in small tables it is faster than TRUNCATE."""
    with conn.transaction():
        conn.execute("DELETE FROM queue.attempts")
        conn.execute("DELETE FROM queue.tasks")
        set_limits(conn, running=500, each_user=2)


LIMIT = "INSERT INTO queue.limits (kind, name, running, rate_per_minute) VALUES (%s, %s, %s, %s)"


def set_limits(
    conn: psycopg.Connection,
    *,
    running: int = 500,
    each_user: int = 2,
    users: Mapping[str, int] | None = None,
    types: Mapping[str, int] | None = None,
    rates: Mapping[str, float] | None = None,
) -> None:
    """These limits and no others."""
    types, rates = types or {}, rates or {}
    rows: list[tuple[str, str, int | None, float | None]] = [("all", "", running, None)]
    rows.append(("each_user", "", each_user, None))
    rows += [("user", name, limit, None) for name, limit in (users or {}).items()]
    rows += [("type", name, types.get(name), rates.get(name)) for name in types.keys() | rates.keys()]
    with conn.transaction():
        conn.execute("DELETE FROM queue.limits")
        for row in rows:
            conn.execute(LIMIT, row)


# Judging -----------------------------------------------------------------------------------------------------------

BROKEN = sql.SQL(" UNION ALL ").join(
    sql.SQL("SELECT {}, pg_catalog.to_jsonb(v)::text FROM {} AS v").format(name, sql.Identifier("queue", name))
    for name in VIEWS
)
# What the views do not say: a task is held exactly while it runs, and what has ended says when.
MALFORMED = """
SELECT task_id, state, lease_until, worker, finished_at FROM queue.tasks WHERE
    state = 'running' AND (fence = 0 OR lease_until IS NULL OR claimed_at IS NULL OR worker IS NULL OR attempts = 0)
    OR state IN ('succeeded', 'failed') AND finished_at IS NULL
    OR attempts < 0 OR crashes < 0 OR crashes > attempts
"""


def broken_promises(conn: psycopg.Connection) -> list[str]:
    """The rows of the four views, and of tasks that cannot be: none, always."""
    found = [f"{view}: {row}" for view, row in conn.execute(BROKEN)]
    return found + [f"malformed: {row}" for row in conn.execute(MALFORMED)]


def states(conn: psycopg.Connection) -> dict[str, int]:
    return dict(conn.execute("SELECT state, count(*)::int FROM queue.tasks GROUP BY state ORDER BY state").fetchall())


def unfinished(conn: psycopg.Connection) -> int:
    row = conn.execute("SELECT count(*) FROM queue.tasks WHERE state = ANY(%s)", (list(OPEN),)).fetchone()
    assert row is not None
    return row[0]


# Each task must be there still, with as many successful tries as its state says: one or none.
MISCOUNTED = """
SELECT w.task_id, t.state, a.successes
FROM unnest(%(ids)s::bigint[]) AS w (task_id)
LEFT JOIN queue.tasks AS t ON t.task_id = w.task_id
LEFT JOIN LATERAL (
    SELECT count(*) AS successes FROM queue.attempts AS e WHERE e.task_id = w.task_id AND e.outcome = 'succeeded'
) AS a ON true
WHERE t.task_id IS NULL OR a.successes <> (t.state = 'succeeded')::integer OR t.state <> ALL(%(states)s)
"""


def miscounted(conn: psycopg.Connection, ids: Sequence[int], *, ended_in: Sequence[str] = ("succeeded",)) -> list[str]:
    """Tasks that were lost, or not done exactly once, or did not end in one of these states."""
    rows = conn.execute(MISCOUNTED, {"ids": list(ids), "states": list(ended_in)})
    return [f"task {task_id}: state {state}, {successes} successful tries" for task_id, state, successes in rows]


# Auditing ----------------------------------------------------------------------------------------------------------


class Peak(NamedTuple):
    """How many tries were held at the same time, at most, and how many the limits allow."""

    kind: str
    name: str
    reached: int
    allowed: int | None


# A try that ended in the moment in which another began had ended: ends are counted first.
PEAKS = """
WITH tries AS (
    SELECT user_id, type, claimed_at AS began, finished_at AS ended FROM queue.attempts
    UNION ALL
    SELECT user_id, type, claimed_at, 'infinity' FROM queue.tasks WHERE state = 'running'
), kinds AS (
    SELECT 'all' AS kind, '' AS name, began, ended FROM tries
    UNION ALL SELECT 'type', type, began, ended FROM tries
    UNION ALL SELECT 'user', user_id, began, ended FROM tries WHERE user_id <> ''
), steps AS (
    SELECT kind, name, began AS at, 1 AS step FROM kinds UNION ALL SELECT kind, name, ended, -1 FROM kinds
), held AS (
    SELECT kind, name, sum(step) OVER (PARTITION BY kind, name ORDER BY at, step ROWS UNBOUNDED PRECEDING) AS held
    FROM steps
)
SELECT h.kind, h.name, max(h.held)::int, max(coalesce(l.running, e.running))
FROM held AS h
LEFT JOIN queue.limits AS l ON l.kind = h.kind AND l.name = h.name
LEFT JOIN queue.limits AS e ON h.kind = 'user' AND e.kind = 'each_user'
GROUP BY h.kind, h.name ORDER BY h.kind, h.name
"""


def peaks(conn: psycopg.Connection) -> list[Peak]:
    """From the begin and end of every try. The end is noted before it is committed and the begin after the claim has
    seen what had been committed, so two tries that followed one another never seem to overlap."""
    return [Peak(*row) for row in conn.execute(PEAKS)]


def exceeded(conn: psycopg.Connection) -> list[Peak]:
    return [peak for peak in peaks(conn) if peak.allowed is not None and peak.reached > peak.allowed]


class Turns(NamedTuple):
    """When a user's tasks had their turn, counted in first claims of all users from the beginning."""

    user: str
    tasks: int
    last_turn: int
    users: int

    @property
    def ideal(self) -> int:
        """With perfect rotation a user's k-th task starts in the k-th round of all users."""
        return self.tasks * self.users

    @property
    def times_ideal(self) -> float:
        return self.last_turn / self.ideal


TURNS = """
SELECT user_id, count(*)::int, max(turn)::int, (SELECT count(DISTINCT user_id)::int FROM queue.tasks)
FROM (SELECT user_id, row_number() OVER (ORDER BY claimed_at, min_fence) AS turn
      FROM (SELECT user_id, task_id, min(claimed_at) AS claimed_at, min(fence) AS min_fence
            FROM queue.attempts GROUP BY user_id, task_id) AS first) AS turns
GROUP BY user_id ORDER BY user_id
"""


def turns(conn: psycopg.Connection) -> list[Turns]:
    """Of tasks that were all enqueued before the first was claimed."""
    return [Turns(*row) for row in conn.execute(TURNS)]


WAITS = """
SELECT a.user_id, max(extract(epoch FROM a.claimed_at - a.due_at))::float8
FROM queue.attempts AS a WHERE a.attempt = 1 GROUP BY a.user_id ORDER BY a.user_id
"""


def longest_waits(conn: psycopg.Connection) -> dict[str, float]:
    """In seconds, of each user's first tries."""
    return dict(conn.execute(WAITS).fetchall())


class Held:
    """What the workers of one process hold by their own account, told between a claim and its completion."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._now: Counter[tuple[str, str]] = Counter()
        self._fences: dict[int, int] = {}
        self.peaks: Counter[tuple[str, str]] = Counter()
        self.faults: list[str] = []

    def took(self, tasks: Iterable[Task]) -> None:
        with self._lock:
            for task in tasks:
                if task.task_id in self._fences:
                    self.faults.append(f"task {task.task_id} was claimed while it was held")
                self._fences[task.task_id] = task.fence
                for key in _keys(task):
                    self._now[key] += 1
                    self.peaks[key] = max(self.peaks[key], self._now[key])

    def gave(self, tasks: Iterable[Task]) -> None:
        """To be called before the completion is sent: from then on another may have it."""
        with self._lock:
            for task in tasks:
                if self._fences.get(task.task_id) == task.fence:
                    del self._fences[task.task_id]
                    for key in _keys(task):
                        self._now[key] -= 1


def _keys(task: Task) -> list[tuple[str, str]]:
    keys = [("all", ""), ("type", task.type)]
    return [*keys, ("user", task.user_id)] if task.user_id else keys
