"""Store of ops.pauses."""

from datetime import datetime

import psycopg
from psycopg.rows import class_row

from jobctl.schedule.pause import Pause, Refusal

BEGIN = """
INSERT INTO ops.pauses (job, scope, from_at, until_at, reason, paused_by)
VALUES (%(job)s, %(scope)s, %(now)s, %(until_at)s, %(reason)s, %(paused_by)s)
RETURNING pause_id, job, scope, from_at, until_at, reason, paused_by, ended_at, ended_by
"""


def begin(
    conn: psycopg.Connection, job: str, scope: str, *, now: datetime, until_at: datetime, reason: str, paused_by: str
) -> Pause:
    """Replaces a pause of the same job and scope that is still on; both in one transaction of the caller."""
    end(conn, job, scope, now=now, ended_by=paused_by)
    parameters = {
        "job": job,
        "scope": scope,
        "now": now,
        "until_at": until_at,
        "reason": reason,
        "paused_by": paused_by,
    }
    with conn.cursor(row_factory=class_row(Pause)) as cursor:
        pause = cursor.execute(BEGIN, parameters).fetchone()
    assert pause is not None
    return pause


# Zero rows: nothing was paused.
END = """
UPDATE ops.pauses SET ended_at = %(now)s, ended_by = %(ended_by)s
WHERE job = %(job)s AND scope = %(scope)s AND ended_at IS NULL AND until_at > %(now)s
"""


def end(conn: psycopg.Connection, job: str, scope: str, *, now: datetime, ended_by: str) -> int:
    """How many pauses were on and now are not."""
    return conn.execute(END, {"job": job, "scope": scope, "now": now, "ended_by": ended_by}).rowcount


ACTIVE = """
SELECT pause_id, job, scope, from_at, until_at, reason, paused_by, ended_at, ended_by FROM ops.pauses
WHERE ended_at IS NULL AND from_at <= %(now)s AND until_at > %(now)s
ORDER BY job, scope, pause_id
"""


def active(conn: psycopg.Connection, now: datetime) -> list[Pause]:
    with conn.cursor(row_factory=class_row(Pause)) as cursor:
        return cursor.execute(ACTIVE, {"now": now}).fetchall()


def refusal(conn: psycopg.Connection, job: str, scope: str, now: datetime) -> Refusal | None:
    """Why a start of the job has nothing to do now; None: no pause is on."""
    pause = next((pause for pause in active(conn, now) if pause.covers(job, scope, now)), None)
    if pause is None:
        return None
    why = f"skipped: {job} is {pause} (resume: jobctl resume {job})"
    return Refusal(why, {"pause_id": pause.pause_id, "pause": str(pause)})


SINCE = """
SELECT pause_id, job, scope, from_at, until_at, reason, paused_by, ended_at, ended_by FROM ops.pauses
WHERE least(until_at, ended_at) > %(since)s
ORDER BY pause_id
"""


def since(conn: psycopg.Connection, moment: datetime) -> list[Pause]:
    """Every pause that was on at or after `moment`."""
    with conn.cursor(row_factory=class_row(Pause)) as cursor:
        return cursor.execute(SINCE, {"since": moment}).fetchall()
