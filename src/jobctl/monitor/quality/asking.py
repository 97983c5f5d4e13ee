"""Asks each check in a short transaction of its own, so that no snapshot is held for longer than one of them takes."""

from collections.abc import Mapping, Sequence
from typing import Final, LiteralString

import psycopg
from psycopg import sql

from jobctl.db.connection import Database
from jobctl.monitor import looking
from jobctl.monitor.looking import Unseen
from jobctl.monitor.quality import check, checks_of_data, checks_of_runs
from jobctl.monitor.quality.check import Check, Finding

CHECKS: Final[Sequence[Check]] = (*checks_of_data.CHECKS, *checks_of_runs.CHECKS)
MOST_COUNTED = 100_000  # faults; whoever has more needs no exact number

# An example that is always the same one while the faults are.
COUNTED: Final[LiteralString] = """
SELECT count(*), min(b.example COLLATE "C") FROM (SELECT f.example FROM ({}) AS f LIMIT %(most)s) AS b
"""


def statement(asked: Check) -> sql.Composed:
    broken = asked.broken
    return sql.SQL(COUNTED).format(broken if isinstance(broken, sql.Composable) else sql.SQL(broken))


def ask(
    database: Database,
    conn: psycopg.Connection,
    asked: Check,
    parameters: Mapping[str, object],
    *,
    limit_ms: int,
) -> Finding:
    """`parameters`: since, now, model_version."""
    unseen: list[Unseen] = []

    def question(conn: psycopg.Connection) -> tuple[int, str | None]:
        row = conn.execute(statement(asked), {**parameters, "most": MOST_COUNTED}).fetchone()
        assert row is not None
        return row

    with looking.look(database, conn, limit_ms=limit_ms, one_moment=False):
        answer = looking.ask(conn, asked.name, question, unseen)
    return check.not_asked(asked, unseen[0].why) if answer is None else check.found(asked, *answer)
