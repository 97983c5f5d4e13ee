"""What ran, as it is told beside a schedule: questions to ops.job_history, which `history` writes."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import psycopg
from psycopg.rows import class_row


class RunRow(NamedTuple):
    """What is told of a run beside its schedule."""

    run_id: UUID
    scope: str
    status: str
    exit_code: int | None
    host: str
    slot_at: datetime | None
    started_at: datetime
    finished_at: datetime | None
    error_message: str | None


LAST_RUN = """
SELECT run_id, scope, status, exit_code, host, slot_at, started_at, finished_at, error_message
FROM ops.job_history
WHERE job = %(job)s AND (cardinality(%(scopes)s::text[]) = 0 OR scope = ANY (%(scopes)s))
ORDER BY started_at DESC, run_id LIMIT 1
"""


def last_run(conn: psycopg.Connection, job: str, scopes: Sequence[str]) -> RunRow | None:
    """The latest run of the job in one of the scopes; without scopes in any."""
    with conn.cursor(row_factory=class_row(RunRow)) as cursor:
        return cursor.execute(LAST_RUN, {"job": job, "scopes": list(scopes)}).fetchone()


# A run by hand has no slot; it is told of when it began before the next slot.
RUNS_OF_SLOT = """
SELECT run_id, scope, status, exit_code, host, slot_at, started_at, finished_at, error_message
FROM ops.job_history
WHERE job = %(job)s AND (cardinality(%(scopes)s::text[]) = 0 OR scope = ANY (%(scopes)s))
  AND (slot_at = %(slot_at)s OR (slot_at IS NULL AND started_at >= %(slot_at)s AND started_at < %(before)s))
ORDER BY started_at, scope LIMIT 20
"""


def runs_of_slot(
    conn: psycopg.Connection, job: str, scopes: Sequence[str], slot_at: datetime, *, before: datetime
) -> list[RunRow]:
    """The runs that answered for a slot, and those that began in its time and answered for none."""
    parameters = {"job": job, "scopes": list(scopes), "slot_at": slot_at, "before": before}
    with conn.cursor(row_factory=class_row(RunRow)) as cursor:
        return cursor.execute(RUNS_OF_SLOT, parameters).fetchall()
