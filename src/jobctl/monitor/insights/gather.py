"""All that is worth doing, from facts that are read part by part, each in a short transaction of its own."""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

import psycopg

from jobctl.db.connection import Database
from jobctl.monitor import looking
from jobctl.monitor.insights import queue, runs, server
from jobctl.monitor.insights.finding import Finding, ordered
from jobctl.monitor.insights.runs import Usual
from jobctl.monitor.looking import Unseen


class Insights(NamedTuple):
    findings: Sequence[Finding]
    unseen: Sequence[Unseen]


def gather(
    database: Database, conn: psycopg.Connection, since: datetime, now: datetime, usual: Usual, *, limit_ms: int
) -> Insights:
    parts: dict[str, Callable[[psycopg.Connection], Iterable[Finding]]] = {
        "runs": lambda conn: runs.of_durations(conn, since, now, usual),
        "failed runs": lambda conn: runs.of_failures(conn, since, now),
        "rejects": runs.of_rejects,
        "the queue's hours": lambda conn: queue.of_hours(conn, now),
        "the queue's backlog": lambda conn: queue.of_backlogs(conn, now),
        "failed tasks": lambda conn: queue.of_failures(conn, since, now),
        "the server": server.of_server,
    }
    found: list[Finding] = []
    unseen: list[Unseen] = []
    for name, part in parts.items():
        with looking.look(database, conn, limit_ms=limit_ms):
            found += looking.ask(conn, name, lambda conn, part=part: list(part(conn)), unseen) or ()
    with looking.look(database, conn, limit_ms=limit_ms):
        if not looking.sees_sessions(conn):
            unseen.append(Unseen("snapshots of other roles' sessions", "the role is no member of pg_read_all_stats"))
    return Insights(ordered(found), unseen)
