"""Store of ops.demo, and how a demo's rows come into all other tables."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, NamedTuple

import psycopg
from psycopg import sql
from psycopg.rows import class_row, scalar_row
from psycopg.types.json import Jsonb

from jobctl.jobs.demo import incidents, places, projects, runs, tasks
from jobctl.jobs.demo.plan import Row

COLUMNS: Final[Mapping[str, Sequence[str]]] = {
    **projects.COLUMNS,
    **runs.COLUMNS,
    **tasks.COLUMNS,
    **places.COLUMNS,
    **incidents.COLUMNS,
}
COMPUTED: Final = ("dev.metric_rules", "dev.metric_hours", "dev.project_hours", "dev.project_days", "dev.issue_pauses")
# The tables whose rows the database numbers, with the column.
NUMBERED: Final = {
    "branch.branches": "branch_id",
    "branch.loads": "load_id",
    "branch.records": "record_no",
    "branch.rejects": "reject_id",
    "dev.projects": "project_id",
    "ops.incident_events": "event_id",
    "ops.incidents": "incident_id",
    "ops.pauses": "pause_id",
    "ops.schedules": "schedule_id",
    "ops.sync_events": "event_id",
    "queue.tasks": "task_id",
}
# What an operator calls the rows.
WORDS: Final = {
    "dev.projects": "projects",
    "branch.branches": "branches",
    "ops.job_history": "runs",
    "queue.tasks": "tasks",
    "ops.incidents": "incidents",
    "ops.slots": "slots",
    "ops.schedules": "installed lines of a crontab",
}

# Whatever takes up work waits until the demo is complete, or finds it there.
LOCK = """
LOCK TABLE dev.projects, branch.branches, queue.tasks, ops.job_history, ops.demo IN SHARE ROW EXCLUSIVE MODE
"""
COUNT = "SELECT count(*) FROM {}"


def lock(conn: psycopg.Connection) -> None:
    """Until the end of the transaction."""
    conn.execute(LOCK)


def filled(conn: psycopg.Connection) -> dict[str, int]:
    """The tables of a demo that have rows, and how many."""
    return {table: number for table in (*COLUMNS, *COMPUTED) if (number := count(conn, table))}


def count(conn: psycopg.Connection, table: str) -> int:
    with conn.cursor(row_factory=scalar_row) as cursor:
        return int(cursor.execute(sql.SQL(COUNT).format(_name(table))).fetchone() or 0)


def copy(conn: psycopg.Connection, table: str, rows: Sequence[Row]) -> int:
    """Numbers are as given, also where the database would draw them."""
    columns = sql.SQL(", ").join(map(sql.Identifier, COLUMNS[table]))
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(_name(table), columns)
    with conn.cursor() as cursor, cursor.copy(statement) as stream:
        for row in rows:
            stream.write_row(row)
    return len(rows)


# Drawn one by one, since a worker's role may draw numbers and not set them.
DRAW = """
SELECT count(nextval(%(sequence)s::text::regclass))
FROM generate_series(coalesce(pg_catalog.pg_sequence_last_value(%(sequence)s::text::regclass), 0) + 1, %(last)s::bigint)
"""
SEQUENCE = "SELECT pg_get_serial_sequence(%(table)s, %(column)s)"


def draw_numbers(conn: psycopg.Connection, last_ids: Mapping[str, int], *, last_fence: int) -> None:
    """What comes later gets higher ones."""
    for table, last in last_ids.items():
        row = conn.execute(SEQUENCE, {"table": table, "column": NUMBERED[table]}).fetchone()
        assert row is not None
        conn.execute(DRAW, {"sequence": row[0], "last": last})
    conn.execute(DRAW, {"sequence": "queue.fences", "last": last_fence})


# The planner knows nothing of rows that came a moment ago.
ANALYZE = "ANALYZE dev.issues, dev.pulls, dev.reviews, dev.commits, dev.labels, dev.projects"


def analyze(conn: psycopg.Connection) -> None:
    conn.execute(ANALYZE)


class Demo(NamedTuple):
    """The row of ops.demo."""

    seed: int
    as_of: datetime
    loaded_at: datetime
    last_ids: Mapping[str, int]


INSERT = "INSERT INTO ops.demo (seed, as_of, last_ids) VALUES (%(seed)s, %(as_of)s, %(last_ids)s)"


def insert(conn: psycopg.Connection, seed: int, as_of: datetime, last_ids: Mapping[str, int]) -> None:
    conn.execute(INSERT, {"seed": seed, "as_of": as_of, "last_ids": Jsonb(last_ids)})


GET = "SELECT seed, as_of, loaded_at, last_ids FROM ops.demo"


def get(conn: psycopg.Connection) -> Demo | None:
    with conn.cursor(row_factory=class_row(Demo)) as cursor:
        return cursor.execute(GET).fetchone()


# The rules were first used when the demo's first hour was worked out.
DATE_RULES = "UPDATE dev.metric_rules SET first_used_at = %(at)s"


def date_rules(conn: psycopg.Connection, at: datetime) -> None:
    conn.execute(DATE_RULES, {"at": at})


def _name(table: str) -> sql.Composable:
    schema, _, name = table.partition(".")
    return sql.Identifier(schema, name)
