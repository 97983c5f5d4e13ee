"""Rows of ops.* and branch.* made by hand, for looks at the past: runs, slots, incidents, with what a test names."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

NOW = datetime.now(UTC)


def insert(conn: psycopg.Connection, table: str, **columns: Any) -> None:
    """Mappings and lists of texts go in as JSON where the column is jsonb."""
    schema, name = table.split(".")
    values = {key: Jsonb(value) if isinstance(value, dict) else value for key, value in columns.items()}
    query = sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(
        sql.Identifier(schema, name),
        sql.SQL(", ").join(map(sql.Identifier, values)),
        sql.SQL(", ").join(map(sql.Placeholder, values)),
    )
    conn.execute(query, values)


def ran(
    conn: psycopg.Connection,
    job: str = "sync",
    scope: str = "",
    status: str = "completed",
    *,
    ago: timedelta = timedelta(hours=1),
    took_s: float = 10.0,
    **columns: Any,
) -> uuid.UUID:
    """A run that began `ago` and took so long; `running` has no end."""
    run_id = columns.pop("run_id", None) or uuid.uuid4()
    started_at = NOW - ago
    is_running = status == "running"
    exit_code = {"completed": 0, "skipped": 0, "running": None}.get(status, 1)
    row = {
        "run_id": run_id,
        "job": job,
        "scope": scope,
        "correlation_id": str(run_id),
        "status": status,
        "exit_code": exit_code,
        "host": "vm1",
        "os_user": "ops",
        "supervisor_pid": 1,
        "version": "1.0",
        "command": f"jobctl {job}",
        "started_at": started_at,
        "heartbeat_at": started_at,
        "finished_at": None if is_running else started_at + timedelta(seconds=took_s),
        "duration_ms": None if is_running else round(took_s * 1000),
    }
    insert(conn, "ops.job_history", **row | columns)
    return run_id


def slot(conn: psycopg.Connection, job: str = "sync", verdict: str = "ran", *, ago: timedelta, **columns: Any) -> None:
    at = NOW - ago
    row = {"job": job, "slot_at": at, "slot_local": f"{at:%Y-%m-%d %H:%M}", "verdict": verdict, "host": "vm1"}
    insert(conn, "ops.slots", **row | {"decided_at": at} | columns)


def incident(conn: psycopg.Connection, *, state: str = "open", opened_ago: timedelta = timedelta(hours=2)) -> int:
    """With one alert, which fires while it is open, and the events of its opening and end."""
    at = NOW - opened_ago
    ended = NOW if state == "resolved" else None
    insert(
        conn, "ops.incidents", cause=f"run/{uuid.uuid4()}", state=state, severity="critical", title="t", opened_at=at,
        last_seen_at=at, realert_every_s=60, resolved_at=ended,
    )  # fmt: skip
    row = conn.execute("SELECT max(incident_id) FROM ops.incidents").fetchone()
    assert row is not None
    number: int = row[0]
    insert(
        conn, "ops.alerts", incident_id=number, condition="run-failed", subject="sync", title="t", occurrences=1,
        first_seen_at=at, last_seen_at=at, cleared_at=ended,
    )  # fmt: skip
    insert(conn, "ops.incident_events", incident_id=number, event="opened")
    if ended:
        insert(conn, "ops.incident_events", incident_id=number, event="resolved")
    return number
