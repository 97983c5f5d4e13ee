"""Tasks and tries made by hand, in any state, whose counters add up."""

from typing import Any

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

VIEWS = ("no_task_twice", "limits_held", "no_stuck_past_lease", "attempts_add_up")
RUNNING = {"state": "running", "attempts": 1, "fence": 7, "worker": "vm2/41/1"}


def make_task(conn: psycopg.Connection, type_: str = "crawl", **columns: Any) -> int:
    """A row of queue.tasks; what is not named has its default. Texts that begin with `now()` are SQL."""
    if columns.get("state") == "running":
        times = {"claimed_at": "now() - interval '5 s'", "lease_until": "now() + interval '1 minute'"}
        columns = RUNNING | times | columns
    return _insert(conn, "tasks", {"type": type_} | columns, "task_id")


def make_attempt(conn: psycopg.Connection, task_id: int, outcome: str = "failed", **columns: Any) -> None:
    given = {
        "task_id": task_id,
        "fence": 1,
        "type": "crawl",
        "user_id": "",
        "attempt": 1,
        "host": "vm2",
        "worker": "vm2/41/1",
        "due_at": "now() - interval '30 s'",
        "claimed_at": "now() - interval '20 s'",
        "finished_at": "now() - interval '10 s'",
        "outcome": outcome,
    }
    _insert(conn, "attempts", given | columns, "task_id")


def state_of(conn: psycopg.Connection, task_id: int) -> str | None:
    row = conn.execute("SELECT state FROM queue.tasks WHERE task_id = %s", (task_id,)).fetchone()
    return row[0] if row else None


def column(conn: psycopg.Connection, task_id: int, *names: str) -> tuple[Any, ...]:
    """Columns of a task."""
    listed = sql.SQL(", ").join(sql.Identifier(name) for name in names)
    query = sql.SQL("SELECT {} FROM queue.tasks WHERE task_id = %s").format(listed)
    row = conn.execute(query, (task_id,)).fetchone()
    assert row is not None
    return row


def broken(conn: psycopg.Connection) -> list[tuple[str, int]]:
    """The views that have rows: none, always."""
    found: list[tuple[str, int]] = []
    for view in VIEWS:
        rows = conn.execute(sql.SQL("SELECT FROM {}").format(sql.Identifier("queue", view))).rowcount
        if rows:
            found.append((view, rows))
    return found


def _insert(conn: psycopg.Connection, table: str, columns: dict[str, Any], wanted: str) -> int:
    values = [
        sql.SQL(value) if isinstance(value, str) and value.startswith("now()") else sql.Literal(_plain(value))  # pyright: ignore[reportArgumentType]
        for value in columns.values()
    ]
    query = sql.SQL("INSERT INTO {} ({}) VALUES ({}) RETURNING {}").format(
        sql.Identifier("queue", table),
        sql.SQL(", ").join(map(sql.Identifier, columns)),
        sql.SQL(", ").join(values),
        sql.Identifier(wanted),
    )
    row = conn.execute(query).fetchone()
    assert row is not None
    return row[0]


def _plain(value: object) -> object:
    return Jsonb(value) if isinstance(value, dict | list) else value
