"""Store of ops.cancellations: requests to end a run, made on any host, heard by the run's own heartbeat.

    (nothing) --request--> asked --the run's next beat--> heard --> the run ends as by SIGTERM
                             |-- requested again, with `is_now`: the second signal

No process is ended from here by its number: a number means another process on another host, or nobody's by now.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import psycopg
from psycopg.rows import class_row


class Cancellation(NamedTuple):
    """Who wants a run to end, and whether it has heard of it."""

    requested_at: datetime
    requested_by: str
    requested_from: str
    reason: str
    is_now: bool
    heard_at: datetime | None

    def __str__(self) -> str:
        why = f": {self.reason}" if self.reason else ""
        return f"cancelled by {self.requested_by} on {self.requested_from}{why}"

    def as_evidence(self) -> dict[str, object]:
        return {
            "cancelled_by": self.requested_by,
            "cancelled_from": self.requested_from,
            "cancelled_at": self.requested_at.isoformat(),
            "cancel_reason": self.reason,
            "cancelled_now": self.is_now,
        }


def of_row(row: Mapping[str, Any]) -> Cancellation:
    """From the row as JSON, which is how a beat brings it (`history.beat`)."""
    heard_at = row["heard_at"]
    return Cancellation(
        datetime.fromisoformat(row["requested_at"]),
        row["requested_by"],
        row["requested_from"],
        row["reason"],
        row["is_now"],
        datetime.fromisoformat(heard_at) if heard_at is not None else None,
    )


# Zero rows: no row of the run says any more that it runs. Who asked first stands; a second asks for haste.
REQUEST = """
INSERT INTO ops.cancellations AS c (run_id, requested_by, requested_from, reason, is_now)
SELECT %(run_id)s, %(requested_by)s, %(requested_from)s, %(reason)s, %(is_now)s
WHERE EXISTS (SELECT FROM ops.job_history AS h WHERE h.run_id = %(run_id)s AND h.status IN ('pending', 'running'))
ON CONFLICT (run_id) DO UPDATE
SET is_now = c.is_now OR excluded.is_now, reason = coalesce(nullif(c.reason, ''), excluded.reason)
RETURNING requested_at, requested_by, requested_from, reason, is_now, heard_at
"""


def request(
    conn: psycopg.Connection, run_id: UUID, *, requested_by: str, requested_from: str, reason: str, is_now: bool
) -> Cancellation | None:
    """None: the run has ended."""
    parameters = {
        "run_id": run_id,
        "requested_by": requested_by,
        "requested_from": requested_from,
        "reason": reason,
        "is_now": is_now,
    }
    with conn.cursor(row_factory=class_row(Cancellation)) as cursor:
        return cursor.execute(REQUEST, parameters).fetchone()


HEARD = "UPDATE ops.cancellations SET heard_at = clock_timestamp() WHERE run_id = %(run_id)s AND heard_at IS NULL"


def mark_heard(conn: psycopg.Connection, run_id: UUID) -> None:
    """Zero rows: another scope of the run has heard of it already."""
    conn.execute(HEARD, {"run_id": run_id})


GET = """
SELECT requested_at, requested_by, requested_from, reason, is_now, heard_at
FROM ops.cancellations WHERE run_id = %(run_id)s
"""


def get(conn: psycopg.Connection, run_id: UUID) -> Cancellation | None:
    with conn.cursor(row_factory=class_row(Cancellation)) as cursor:
        return cursor.execute(GET, {"run_id": run_id}).fetchone()
