"""How tries ended lately, read from queue.attempts and queue.tasks."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import psycopg
from psycopg.rows import class_row, scalar_row

from jobctl.queue.rates import Failing, TypeTries

HOUR = timedelta(hours=1)
DAY = timedelta(hours=24)

NOW = "SELECT clock_timestamp()"


def now(conn: psycopg.Connection) -> datetime:
    """By the clock that stamps the tries."""
    with conn.cursor(row_factory=scalar_row) as cursor:
        return cursor.execute(NOW).fetchone()  # pyright: ignore[reportReturnType]  # one row, always


TRIES = """
SELECT a.type,
    count(*) FILTER (WHERE a.finished_at > %(hour)s) AS tries,
    count(*) FILTER (WHERE a.finished_at > %(hour)s AND a.outcome <> 'succeeded') AS failed,
    count(*) FILTER (WHERE a.finished_at <= %(hour)s) AS tries_before,
    count(*) FILTER (WHERE a.finished_at <= %(hour)s AND a.outcome <> 'succeeded') AS failed_before
FROM queue.attempts AS a
WHERE a.finished_at > %(day)s AND a.finished_at <= %(until)s AND a.outcome NOT IN ('snoozed', 'released')
    AND (%(types)s::text[] IS NULL OR a.type = ANY (%(types)s))
GROUP BY a.type ORDER BY a.type
"""


def tries_by_type(conn: psycopg.Connection, *, until: datetime, types: Sequence[str] | None = None) -> list[TypeTries]:
    """Tries that were given back are none."""
    parameters = {"until": until, "hour": until - HOUR, "day": until - HOUR - DAY, "types": types}
    with conn.cursor(row_factory=class_row(TypeTries)) as cursor:
        return cursor.execute(TRIES, parameters).fetchall()


# A task that failed and has succeeded since needs nobody; one whose try failed and that waits for the next does.
FAILING = """
WITH failing AS (
    SELECT a.task_id FROM queue.attempts AS a
    WHERE a.outcome IN ('failed', 'timeout', 'crashed') AND a.finished_at > %(hour)s AND a.finished_at <= %(until)s
    UNION
    SELECT t.task_id FROM queue.tasks AS t
    WHERE t.state = 'failed' AND t.finished_at > %(hour)s AND t.finished_at <= %(until)s
)
SELECT t.type, coalesce(t.error_class, '') AS error_class, count(*) AS tasks
FROM failing AS f JOIN queue.tasks AS t ON t.task_id = f.task_id
WHERE t.state NOT IN ('succeeded', 'cancelled') AND (%(types)s::text[] IS NULL OR t.type = ANY (%(types)s))
GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2
"""


def failing_in_last_hour(
    conn: psycopg.Connection, *, until: datetime, types: Sequence[str] | None = None
) -> list[Failing]:
    """Tasks that met a failure in the last hour and have not succeeded since, by type and error, the most first."""
    with conn.cursor(row_factory=class_row(Failing)) as cursor:
        return cursor.execute(FAILING, {"until": until, "hour": until - HOUR, "types": types}).fetchall()
