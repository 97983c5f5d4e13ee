"""Figures of the queue: what waits, what ended in a window of time, how long tasks waited and ran, what failed.

The window is read from queue.attempts by the BRIN index on the end of a try, so what it costs grows with what ended in
it and not with what is kept. Tries that were given back (snoozed, released) are counted and have no times.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

import psycopg
from psycopg.rows import class_row

from jobctl.monitor.queue.patterns import Failure
from jobctl.monitor.queue.quantiles import BUCKETS_PER_E, SHORTEST_S, Quantiles, quantiles

OUTCOMES = ("succeeded", "failed", "timeout", "crashed", "snoozed", "released")
ENOUGH = 50_000  # tries for their percentiles; of more a share is taken
PARTS = 12  # of the window, for the course of what waits
MOST_FAILURES = 20_000  # that are looked at for patterns, the latest


class Window(NamedTuple):
    """Tries that ended from `since` to `until`, of one type (None: of all)."""

    since: datetime
    until: datetime
    type: str | None = None


class Backlog(NamedTuple):
    """Tasks of a type and state. `due` could run now; the oldest of those was to run at `oldest_due_at`."""

    type: str
    state: str
    tasks: int
    due: int
    oldest_due_at: datetime | None


class Flow(NamedTuple):
    """Tasks that came, and tasks that ended for good, in the window."""

    arrived: int
    left: int


class Standing(NamedTuple):
    backlog: tuple[Backlog, ...]
    flow: Flow


class Tries(NamedTuple):
    """Tries of a type (None: of all) that ended; wait is from when a try was due to its claim, run from there on."""

    type: str | None
    outcomes: Mapping[str, int]
    wait: Quantiles | None
    run: Quantiles | None

    @property
    def number(self) -> int:
        return sum(self.outcomes.values())


class Load(NamedTuple):
    """What a user has waiting and running, and had of the workers' time."""

    user_id: str
    due: int
    running: int
    tries: int
    run_s: float


class FailedTry(NamedTuple):
    task_id: int
    type: str
    user_id: str
    attempt: int
    outcome: str
    worker: str
    finished_at: datetime
    error_class: str | None
    error_message: str | None


# All of the table is read once: what has no index of its own (blocked, created lately) is found on the way.
STANDING = """
SELECT t.type, t.state, count(*) AS tasks,
    count(*) FILTER (WHERE t.state = 'queued' AND t.scheduled_at <= %(until)s) AS due,
    min(greatest(t.scheduled_at, 'epoch')) FILTER (WHERE t.state = 'queued' AND t.scheduled_at <= %(until)s)
        AS oldest_due_at,
    count(*) FILTER (WHERE t.created_at >= %(since)s) AS arrived,
    count(*) FILTER (WHERE t.finished_at >= %(since)s AND t.state IN ('succeeded', 'failed', 'cancelled')) AS left
FROM queue.tasks AS t
WHERE %(type)s::text IS NULL OR t.type = %(type)s
GROUP BY t.type, t.state ORDER BY t.type, t.state
"""


def standing(conn: psycopg.Connection, window: Window) -> Standing:
    rows = conn.execute(STANDING, window._asdict()).fetchall()
    backlog = tuple(Backlog(*row[:5]) for row in rows)
    return Standing(backlog, Flow(sum(row[5] for row in rows), sum(row[6] for row in rows)))


class Waiting(NamedTuple):
    """How many tasks were due and not yet begun at a moment."""

    at: datetime
    due: int


# A task waits from when it is due to its claim: tries have both, tasks that wait or run have them for their next or
# present try. Counted by how many of the moments lie before either. Of what was cancelled nothing is known any more.
WAITED = """
SELECT w.due, w.claimed, count(*) FROM (
    SELECT width_bucket(a.due_at, %(moments)s::timestamptz[]) AS due,
        width_bucket(a.claimed_at, %(moments)s::timestamptz[]) AS claimed
    FROM queue.attempts AS a
    WHERE a.finished_at >= %(since)s AND a.finished_at <= %(until)s AND (%(type)s::text IS NULL OR a.type = %(type)s)
      AND a.due_at > '-infinity'
    UNION ALL
    SELECT width_bucket(greatest(t.scheduled_at, t.created_at), %(moments)s::timestamptz[]),
        CASE WHEN t.state = 'running' THEN width_bucket(t.claimed_at, %(moments)s::timestamptz[]) ELSE %(parts)s END
    FROM queue.tasks AS t
    WHERE t.state IN ('queued', 'running') AND (%(type)s::text IS NULL OR t.type = %(type)s)
) AS w
WHERE w.due < w.claimed GROUP BY w.due, w.claimed
"""


def waiting(conn: psycopg.Connection, window: Window) -> tuple[Waiting, ...]:
    """At the ends of `PARTS` equal parts of the window, the oldest first; the last is now."""
    length = window.until - window.since
    moments = [window.since + length * (nth + 1) / PARTS for nth in range(PARTS)]
    due_at = [0] * PARTS
    parameters = {**window._asdict(), "moments": moments, "parts": PARTS}
    for before_due, before_claim, tasks in conn.execute(WAITED, parameters):
        for nth in range(before_due, before_claim):
            due_at[nth] += tasks
    return tuple(map(Waiting, moments, due_at))


COUNTS = """
SELECT a.type, a.outcome, count(*) FROM queue.attempts AS a
WHERE a.finished_at >= %(since)s AND a.finished_at <= %(until)s AND (%(type)s::text IS NULL OR a.type = %(type)s)
GROUP BY a.type, a.outcome
"""
# Nothing is sorted: times are counted in buckets (see `quantiles`). Of very many tries each task's go in or stay out by
# a hash of its number.
TIMES = """
SELECT r.type, grouping(r.run) = 1 AS is_wait, coalesce(r.wait, r.run), count(*)
FROM (
    SELECT a.type,
        floor(%(per_e)s * ln(greatest(%(shortest_s)s, date_part('epoch', a.claimed_at - a.due_at))))::integer AS wait,
        floor(%(per_e)s * ln(greatest(%(shortest_s)s, date_part('epoch', a.finished_at - a.claimed_at))))::integer
            AS run
    FROM queue.attempts AS a
    WHERE a.finished_at >= %(since)s AND a.finished_at <= %(until)s AND (%(type)s::text IS NULL OR a.type = %(type)s)
      AND a.outcome IN ('succeeded', 'failed', 'timeout', 'crashed') AND hashint8(a.task_id) & %(mask)s = 0
) AS r
GROUP BY GROUPING SETS ((r.type, r.wait), (r.type, r.run))
"""


class Ended(NamedTuple):
    """All types first, then each. Percentiles rest on this share of the tries."""

    tries: tuple[Tries, ...]
    sampled_share: float


def ended(conn: psycopg.Connection, window: Window, *, enough: int = ENOUGH) -> Ended:
    outcomes: dict[str | None, Counter[str]] = defaultdict(Counter)
    for type_, outcome, number in conn.execute(COUNTS, window._asdict()):
        for whose in (None, type_):
            outcomes[whose][outcome] += number
    mask = (1 << max(0, (outcomes[None].total() // enough).bit_length() - 1)) - 1
    parameters = {"shortest_s": SHORTEST_S, "per_e": BUCKETS_PER_E, "mask": mask}
    times: dict[tuple[str | None, bool], Counter[int]] = defaultdict(Counter)
    for type_, is_wait, bucket, number in conn.execute(TIMES, window._asdict() | parameters):
        for whose in (None, type_):
            times[whose, is_wait][bucket] += number
    types = (None, *sorted(type_ for type_ in outcomes if type_ is not None))
    tries = tuple(
        Tries(
            type_,
            {name: outcomes[type_][name] for name in OUTCOMES},
            quantiles(times[type_, True]),
            quantiles(times[type_, False]),
        )
        for type_ in types
    )
    return Ended(tries, 1 / (mask + 1))


LOADS = """
WITH tries AS (
    SELECT a.user_id, count(*) AS tries, sum(date_part('epoch', a.finished_at - a.claimed_at)) AS run_s
    FROM queue.attempts AS a
    WHERE a.finished_at >= %(since)s AND a.finished_at <= %(until)s AND (%(type)s::text IS NULL OR a.type = %(type)s)
    GROUP BY a.user_id
), waiting AS (
    SELECT t.user_id, count(*) AS due FROM queue.tasks AS t
    WHERE t.state = 'queued' AND (%(type)s::text IS NULL OR t.type = %(type)s)
      AND t.scheduled_at <= %(until)s
    GROUP BY t.user_id
), running AS (
    SELECT t.user_id, count(*) AS running FROM queue.tasks AS t
    WHERE t.state = 'running' AND (%(type)s::text IS NULL OR t.type = %(type)s) GROUP BY t.user_id
)
SELECT user_id, coalesce(w.due, 0) AS due, coalesce(r.running, 0) AS running, coalesce(a.tries, 0) AS tries,
    coalesce(a.run_s, 0) AS run_s
FROM tries AS a FULL JOIN waiting AS w USING (user_id) FULL JOIN running AS r USING (user_id)
ORDER BY coalesce(a.tries, 0) + coalesce(w.due, 0) + coalesce(r.running, 0) DESC, user_id
LIMIT %(limit)s
"""


def loads(conn: psycopg.Connection, window: Window, *, limit: int) -> list[Load]:
    """The users with most to do, done or waiting."""
    with conn.cursor(row_factory=class_row(Load)) as cursor:
        return cursor.execute(LOADS, window._asdict() | {"limit": limit}).fetchall()


FEED = """
SELECT a.task_id, a.type, a.user_id, a.attempt, a.outcome, a.worker, a.finished_at, a.error_class,
    left(a.error_message, 500) AS error_message
FROM queue.attempts AS a
WHERE a.outcome IN ('failed', 'timeout', 'crashed') AND a.finished_at >= %(since)s AND a.finished_at <= %(until)s
  AND (%(type)s::text IS NULL OR a.type = %(type)s)
ORDER BY a.finished_at DESC, a.task_id DESC LIMIT %(limit)s
"""


def feed(conn: psycopg.Connection, window: Window, *, limit: int) -> list[FailedTry]:
    """The latest failed tries, the latest first."""
    with conn.cursor(row_factory=class_row(FailedTry)) as cursor:
        return cursor.execute(FEED, window._asdict() | {"limit": limit}).fetchall()


FAILURES = """
SELECT f.type, f.error_class, f.error_message, count(*) AS failures, min(f.finished_at) AS first_at,
    max(f.finished_at) AS last_at, max(f.task_id) AS task_id
FROM (
    SELECT a.type, a.task_id, a.finished_at, a.error_class, left(a.error_message, 2000) AS error_message
    FROM queue.attempts AS a
    WHERE a.outcome IN ('failed', 'timeout', 'crashed') AND a.finished_at >= %(since)s AND a.finished_at <= %(until)s
      AND (%(type)s::text IS NULL OR a.type = %(type)s)
    ORDER BY a.finished_at DESC LIMIT %(most)s
) AS f
GROUP BY f.type, f.error_class, f.error_message
"""


def failures(conn: psycopg.Connection, window: Window) -> list[Failure]:
    """Failed tries by their very words, of the latest `MOST_FAILURES`."""
    with conn.cursor(row_factory=class_row(Failure)) as cursor:
        return cursor.execute(FAILURES, window._asdict() | {"most": MOST_FAILURES}).fetchall()
