"""Store of ops.schedules: the lines that each host's crontab (or timers) has, and since when.

Every scheduled start reads its own crontab and writes here what it finds, so that the database knows what to expect
also of a host that has died, and a line that was changed by hand is expected as it stands.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import psycopg
from psycopg.rows import class_row
from psycopg.types.json import Jsonb


class Line(NamedTuple):
    """A line to be expected: as it is installed, with what the plan says of its job."""

    source: str
    job: str
    scope: str
    expression: str
    zone: str
    command: str
    start_grace_s: int
    catch_up: str
    catch_up_cap: int


class Schedule(NamedTuple):
    """A row: a line of a host, from `installed_at` on. Slots up to `evaluated_until` have their verdict."""

    schedule_id: int
    host: str
    os_user: str
    source: str
    job: str
    scope: str
    expression: str
    zone: str
    command: str
    start_grace_s: int
    catch_up: str
    catch_up_cap: int
    installed_at: datetime
    evaluated_until: datetime


# The lines come as JSON, which needs no adaptation and is one round trip. A line that came, changed or went is written;
# most starts find all as it was and write nothing.
REGISTER = """
WITH given AS (
    SELECT * FROM pg_catalog.jsonb_to_recordset(%(lines)s) AS l (source text, job text, scope text, expression text,
        zone text, command text, start_grace_s integer, catch_up text, catch_up_cap integer)
), removed AS (
    UPDATE ops.schedules AS s SET removed_at = %(now)s
    WHERE s.host = %(host)s AND s.os_user = %(os_user)s AND s.removed_at IS NULL AND NOT EXISTS (
        SELECT FROM given AS g WHERE (g.source, g.job, g.scope, g.expression, g.zone)
            = (s.source, s.job, s.scope, s.expression, s.zone))
    RETURNING 1
), written AS (
    INSERT INTO ops.schedules AS s (host, os_user, source, job, scope, expression, zone, command, start_grace_s,
        catch_up, catch_up_cap, installed_at, evaluated_until)
    SELECT DISTINCT ON (source, job, scope, expression, zone) %(host)s, %(os_user)s, source, job, scope, expression,
        zone, command, start_grace_s, catch_up, catch_up_cap, %(now)s, %(now)s
    FROM given
    ORDER BY source, job, scope, expression, zone
    ON CONFLICT (host, os_user, source, job, scope, expression, zone) WHERE removed_at IS NULL DO UPDATE
    SET command = excluded.command, start_grace_s = excluded.start_grace_s, catch_up = excluded.catch_up,
        catch_up_cap = excluded.catch_up_cap
    WHERE (s.command, s.start_grace_s, s.catch_up, s.catch_up_cap)
        IS DISTINCT FROM (excluded.command, excluded.start_grace_s, excluded.catch_up, excluded.catch_up_cap)
    RETURNING 1
)
SELECT (SELECT count(*) FROM removed) + (SELECT count(*) FROM written)
"""


def register(conn: psycopg.Connection, host: str, os_user: str, lines: Sequence[Line], *, now: datetime) -> int:
    """Make `lines` what is expected of this host and user; gives how many rows that changed."""
    given = [
        {
            "source": line.source,
            "job": line.job,
            "scope": line.scope,
            "expression": line.expression,
            "zone": line.zone,
            "command": line.command,
            "start_grace_s": line.start_grace_s,
            "catch_up": line.catch_up,
            "catch_up_cap": line.catch_up_cap,
        }
        for line in lines
    ]
    row = conn.execute(REGISTER, {"lines": Jsonb(given), "host": host, "os_user": os_user, "now": now}).fetchone()
    assert row is not None
    return row[0]


INSTALLED = """
SELECT schedule_id, host, os_user, source, job, scope, expression, zone, command, start_grace_s, catch_up,
    catch_up_cap, installed_at, evaluated_until
FROM ops.schedules WHERE removed_at IS NULL
ORDER BY schedule_id
"""


def installed(conn: psycopg.Connection) -> list[Schedule]:
    """Every line that is expected now, of all hosts."""
    with conn.cursor(row_factory=class_row(Schedule)) as cursor:
        return cursor.execute(INSTALLED).fetchall()


IS_ANY_INSTALLED = "SELECT EXISTS (SELECT FROM ops.schedules WHERE removed_at IS NULL)"


def is_any_installed(conn: psycopg.Connection) -> bool:
    row = conn.execute(IS_ANY_INSTALLED).fetchone()
    return row is not None and row[0]


# Never backwards: another start may have gone further meanwhile.
MARK_EVALUATED = """
UPDATE ops.schedules SET evaluated_until = %(until)s
WHERE schedule_id = %(schedule_id)s AND evaluated_until < %(until)s
"""


def mark_evaluated(conn: psycopg.Connection, schedule_id: int, until: datetime) -> None:
    conn.execute(MARK_EVALUATED, {"schedule_id": schedule_id, "until": until})
