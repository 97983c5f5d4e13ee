"""What the tests of the queue's stores share: tasks by the shortest way, claimers, and the views that must be empty."""

import uuid
from collections.abc import Iterable
from datetime import UTC, datetime

import psycopg
from psycopg import sql

from jobctl.db.connection import Database
from jobctl.queue.claim import Claimer
from jobctl.queue.complete import complete
from jobctl.queue.task import Ending, Task

PROMISES = ("no_task_twice", "limits_held", "no_stuck_past_lease", "attempts_add_up")


def add(
    conn: psycopg.Connection,
    count: int = 1,
    *,
    type_: str = "crawl",
    user: str = "ann",
    priority: int = 0,
    due_in_s: float = 0,
    subject_id: int | None = None,
    dedupe_key: str | None = None,
) -> list[int]:
    """Tasks that are alike; they are due after each other by a microsecond."""
    rows = conn.execute(
        "INSERT INTO queue.tasks (type, user_id, priority, scheduled_at, subject_id, dedupe_key)"
        " SELECT %s, %s, %s, clock_timestamp() + make_interval(secs => %s), %s, %s FROM generate_series(1, %s)"
        " RETURNING task_id",
        (type_, user, priority, due_in_s, subject_id, dedupe_key, count),
    )
    return [task_id for (task_id,) in rows]


def limit(conn: psycopg.Connection, kind: str, running: int | None, name: str = "", rate: float | None = None) -> None:
    conn.execute(
        "INSERT INTO queue.limits (kind, name, running, rate_per_minute) VALUES (%s, %s, %s, %s)"
        " ON CONFLICT (kind, name) DO UPDATE"
        " SET running = excluded.running, rate_per_minute = excluded.rate_per_minute",
        (kind, name, running, rate),
    )


def claimer(
    *types: str,
    worker: str = "vm1/1",
    lease_s: float = 60,
    database: Database | None = None,
    run_id: uuid.UUID | None = None,
) -> Claimer:
    run_id = run_id or uuid.uuid4()
    return Claimer(types or ("crawl",), worker=worker, run_id=run_id, lease_s=lease_s, database=database)


def claim_one(conn: psycopg.Connection, *types: str) -> Task:
    (task,) = claimer(*types).claim(conn, 1)
    return task


def succeeded(tasks: Iterable[Task]) -> list[Ending]:
    return [Ending(task, "succeeded", "succeeded") for task in tasks]


def back(task: Task, *, at: datetime | None = None) -> Ending:
    """A failed try whose task is to be tried again."""
    return Ending(task, "failed", "queued", scheduled_at=at or datetime.now(UTC), error_class="Boom")


def drain(conn: psycopg.Connection, with_claimer: Claimer, wanted: int = 20) -> list[Task]:
    """Claim and complete until there is nothing; all tasks in the order in which they were claimed."""
    done: list[Task] = []
    while tasks := with_claimer.claim(conn, wanted):
        assert complete(conn, succeeded(tasks)) == []
        done += tasks
    return done


def states(conn: psycopg.Connection) -> dict[int, str]:
    return dict(conn.execute("SELECT task_id, state FROM queue.tasks ORDER BY task_id").fetchall())


def end_leases(conn: psycopg.Connection) -> None:
    conn.execute("UPDATE queue.tasks SET lease_until = now() - interval '1 second' WHERE state = 'running'")


def broken_promises(conn: psycopg.Connection) -> dict[str, list[tuple[object, ...]]]:
    found = {
        view: conn.execute(sql.SQL("SELECT * FROM queue.{}").format(sql.Identifier(view))).fetchall()
        for view in PROMISES
    }
    return {view: rows for view, rows in found.items() if rows}
