"""Failed tasks that get another round: `failed` -> `queued`.

What a task has spent is forgiven and kept apart, so that its counters still add up with its rows. One whose twin waits
already (a newer request for the same subject or key) becomes `cancelled` instead, for the twin does its work.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

import psycopg
from psycopg.rows import class_row

SUPERSEDED = "Superseded"
WITHOUT_END = 2**31 - 1

COUNT = """
SELECT t.type, count(*)
FROM queue.tasks AS t
LEFT JOIN unnest(%(types)s::text[], %(allowed)s::bigint[]) AS a (type, allowed) ON a.type = t.type
WHERE t.state = 'failed' AND t.finished_at >= %(since)s AND t.is_recoverable
    AND (%(only)s::text[] IS NULL OR t.type = ANY (%(only)s))
    AND t.attempts - t.crashes + t.forgiven_attempts - t.forgiven_crashes < coalesce(a.allowed, %(otherwise)s)
GROUP BY t.type ORDER BY t.type
"""
CANDIDATES = """
WITH failed AS (
    SELECT t.task_id, t.type, row_number() OVER (PARTITION BY t.type ORDER BY t.finished_at, t.task_id) AS place
    FROM queue.tasks AS t
    LEFT JOIN unnest(%(types)s::text[], %(allowed)s::bigint[]) AS a (type, allowed) ON a.type = t.type
    WHERE t.state = 'failed' AND t.finished_at >= %(since)s AND t.is_recoverable
        AND t.attempts - t.crashes + t.forgiven_attempts - t.forgiven_crashes < coalesce(a.allowed, %(otherwise)s)
)
SELECT f.task_id, f.type
FROM failed AS f
JOIN unnest(%(quota_types)s::text[], %(quotas)s::bigint[]) AS q (type, quota) ON q.type = f.type
WHERE f.place <= q.quota
ORDER BY f.place, f.type
"""


class Budget(NamedTuple):
    """How many failed tries a task may have had and still get a round, by type, and of every other type; of tasks that
    failed at `since` or later."""

    since: datetime
    by_type: Mapping[str, int]
    otherwise: int

    def parameters(self) -> dict[str, object]:
        return {
            "since": self.since,
            "types": list(self.by_type),
            "allowed": list(self.by_type.values()),
            "otherwise": self.otherwise,
        }


class Candidate(NamedTuple):
    task_id: int
    type: str


def count_candidates(conn: psycopg.Connection, budget: Budget, *, types: Sequence[str] | None = None) -> dict[str, int]:
    """Failed tasks whose error is recoverable and who have a round left, by type."""
    return dict(conn.execute(COUNT, budget.parameters() | {"only": types}).fetchall())


def candidates(conn: psycopg.Connection, budget: Budget, quotas: Mapping[str, int]) -> list[Candidate]:
    """Of each type as many as its quota says, those first that failed first, the types by turns."""
    parameters = budget.parameters() | {"quota_types": list(quotas), "quotas": list(quotas.values())}
    with conn.cursor(row_factory=class_row(Candidate)) as cursor:
        return cursor.execute(CANDIDATES, parameters).fetchall()


# `newest`: of several failed tasks with the same subject or key one statement takes up the newest alone; the others
# find their twin waiting afterwards, or, if that was superseded by yet another, take their turn.
REQUEUE = """
WITH asked AS (
    SELECT a.task_id, a.delay_s
    FROM unnest(%(task_ids)s::bigint[], %(delays_s)s::double precision[]) AS a (task_id, delay_s)
), failed AS MATERIALIZED (
    SELECT t.task_id, t.type, t.subject_id, t.model_version, t.dedupe_key, a.delay_s
    FROM queue.tasks AS t JOIN asked AS a ON a.task_id = t.task_id
    WHERE t.state = 'failed' AND (t.is_recoverable OR %(by_hand)s)
    ORDER BY t.task_id
    FOR UPDATE OF t SKIP LOCKED
), newest AS (
    SELECT f.*,
        f.subject_id IS NULL
            OR f.task_id = max(f.task_id) OVER (PARTITION BY f.type, f.subject_id, f.model_version) AS of_subject,
        f.dedupe_key IS NULL OR f.task_id = max(f.task_id) OVER (PARTITION BY f.type, f.dedupe_key) AS of_key
    FROM failed AS f
), judged AS (
    SELECT n.task_id, n.delay_s, coalesce(
        (SELECT w.task_id FROM queue.tasks AS w WHERE w.state = 'queued' AND w.type = n.type
            AND w.subject_id = n.subject_id AND w.model_version = n.model_version),
        (SELECT w.task_id FROM queue.tasks AS w WHERE w.state = 'queued' AND w.type = n.type
            AND w.dedupe_key = n.dedupe_key)) AS twin
    FROM newest AS n WHERE n.of_subject AND n.of_key
)
UPDATE queue.tasks AS t SET
    state = CASE WHEN j.twin IS NULL THEN 'queued' ELSE 'cancelled' END,
    scheduled_at = CASE WHEN j.twin IS NULL
        THEN statement_timestamp() + j.delay_s * interval '1 second' ELSE t.scheduled_at END,
    attempts = CASE WHEN j.twin IS NOT NULL THEN t.attempts WHEN %(all_forgiven)s THEN 0 ELSE t.crashes END,
    crashes = CASE WHEN j.twin IS NULL AND %(all_forgiven)s THEN 0 ELSE t.crashes END,
    forgiven_attempts = t.forgiven_attempts + CASE WHEN j.twin IS NOT NULL THEN 0
        WHEN %(all_forgiven)s THEN t.attempts ELSE t.attempts - t.crashes END,
    forgiven_crashes = t.forgiven_crashes + CASE WHEN j.twin IS NULL AND %(all_forgiven)s THEN t.crashes ELSE 0 END,
    error_class = CASE WHEN j.twin IS NULL THEN t.error_class ELSE %(superseded)s END,
    error_message = CASE WHEN j.twin IS NULL THEN t.error_message
        ELSE format('superseded by a newer request that waits as task %%s', j.twin) END,
    lease_until = NULL,
    finished_at = CASE WHEN j.twin IS NULL THEN NULL ELSE clock_timestamp() END,
    updated_at = clock_timestamp()
FROM judged AS j
WHERE t.task_id = j.task_id AND t.state = 'failed'
RETURNING t.task_id, t.type, t.state = 'queued' AS is_queued
"""
MOST_PASSES = 3


class Requeued(NamedTuple):
    """What became of a failed task: it waits again, or (`is_queued` false) its twin does."""

    task_id: int
    type: str
    is_queued: bool


def requeue(
    conn: psycopg.Connection, delays_s: Mapping[int, float], *, all_forgiven: bool = False, by_hand: bool = False
) -> list[Requeued]:
    """Inside the caller's transaction: another round for these failed tasks, each after its delay. `all_forgiven` also
    forgives crashes, `by_hand` asks nothing of the error. What is no longer failed, or in other hands, is left out.

    Raises UniqueViolation when a twin was enqueued in this moment: roll back and call again."""
    done: list[Requeued] = []
    left = dict(delays_s)
    for _ in range(MOST_PASSES):
        parameters = {
            "task_ids": list(left),
            "delays_s": list(left.values()),
            "all_forgiven": all_forgiven,
            "by_hand": by_hand,
            "superseded": SUPERSEDED,
        }
        with conn.cursor(row_factory=class_row(Requeued)) as cursor:
            changed = cursor.execute(REQUEUE, parameters).fetchall()
        done += changed
        for each in changed:
            del left[each.task_id]
        if not changed or not left:
            break
    return done


STATES = "SELECT t.task_id, t.state FROM queue.tasks AS t WHERE t.task_id = ANY (%(task_ids)s)"


def states(conn: psycopg.Connection, task_ids: Sequence[int]) -> dict[int, str]:
    """Those that are not there are left out."""
    return dict(conn.execute(STATES, {"task_ids": list(task_ids)}).fetchall())
