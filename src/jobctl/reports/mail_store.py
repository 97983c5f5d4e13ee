"""Store of ops.report_mails and ops.report_letters; its states and their order are told in mailing.py."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NamedTuple

import psycopg
from psycopg.rows import class_row

State = Literal["new", "sending", "sent", "unknown", "failed"]
End = Literal["new", "sent", "unknown", "failed"]


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail that says `new`. `tries` are those before this one; by that number a late try is known."""

    mail_id: int
    week: str
    address: str
    message_id: str
    letter_id: int
    head: bytes
    tries: int


class Source(NamedTuple):
    sender: str
    source: bytes


# Those that were tried least come first, so that a few at which every try breaks do not keep the others waiting.
WAITING = """
SELECT mail_id FROM ops.report_mails
WHERE state = 'new' AND (%(week)s::text IS NULL OR week = %(week)s)
ORDER BY tries, mail_id
"""


def waiting(conn: psycopg.Connection, week: str | None = None) -> list[int]:
    return [row[0] for row in conn.execute(WAITING, {"week": week})]


# Zero rows: another process has it, or has sent it.
READ = """
SELECT mail_id, week, address, message_id, letter_id, head, tries FROM ops.report_mails
WHERE mail_id = %(mail_id)s AND state = 'new'
"""


def read(conn: psycopg.Connection, mail_id: int) -> Mail | None:
    with conn.cursor(row_factory=class_row(Mail)) as cursor:
        return cursor.execute(READ, {"mail_id": mail_id}).fetchone()


SOURCE = "SELECT sender, source FROM ops.report_letters WHERE letter_id = %(letter_id)s"


def source(conn: psycopg.Connection, letter_id: int) -> Source:
    with conn.cursor(row_factory=class_row(Source)) as cursor:
        found = cursor.execute(SOURCE, {"letter_id": letter_id}).fetchone()
    assert found is not None, "its mails refer to it"
    return found


# Zero rows: somebody else has claimed or settled it since it was read. Nothing may be sent.
CLAIM = """
UPDATE ops.report_mails SET state = 'sending', tries = tries + 1, way = %(way)s, updated_at = clock_timestamp()
WHERE mail_id = %(mail_id)s AND state = 'new' AND tries = %(tries)s
"""


def claim(conn: psycopg.Connection, mail: Mail, way: str) -> bool:
    """new -> sending. Commit it before what may make the mail the other side's."""
    return conn.execute(CLAIM, {"mail_id": mail.mail_id, "tries": mail.tries, "way": way}).rowcount == 1


# Between the commit of `claim` and this lock another process may have believed the row lost. Nothing has been sent yet,
# so the try with this number takes it back. Zero rows: somebody has decided about the mail; do not send it.
HOLD = """
UPDATE ops.report_mails SET state = 'sending', error_message = NULL, updated_at = clock_timestamp()
WHERE mail_id = %(mail_id)s AND tries = %(tries)s + 1 AND state IN ('sending', 'unknown')
"""


def hold(conn: psycopg.Connection, mail: Mail) -> bool:
    """Open the transaction in which the answer is waited for and `settle` is called: it shows that the sender lives."""
    return conn.execute(HOLD, {"mail_id": mail.mail_id, "tries": mail.tries}).rowcount == 1


# Zero rows: not held by this try any more.
SETTLE = """
UPDATE ops.report_mails SET error_message = %(error_message)s, updated_at = clock_timestamp(),
    state = CASE WHEN %(state)s = 'new' AND due_at < clock_timestamp() - %(keep_s)s * interval '1 second'
        THEN 'failed' ELSE %(state)s END
WHERE mail_id = %(mail_id)s AND tries = %(tries)s + 1 AND state = 'sending'
RETURNING state
"""


def settle(conn: psycopg.Connection, mail: Mail, end: End, said: str | None, *, keep_s: float) -> State | None:
    """sending -> `end`, in the transaction of `hold`. `new` of a mail that has waited for `keep_s` is `failed`."""
    parameters = {"mail_id": mail.mail_id, "tries": mail.tries, "state": end, "error_message": said, "keep_s": keep_s}
    row = conn.execute(SETTLE, parameters).fetchone()
    return row[0] if row is not None else None


# Zero rows: another process is at it.
TURN_DOWN = """
UPDATE ops.report_mails SET tries = tries + 1, way = %(way)s, error_message = %(error_message)s,
    updated_at = clock_timestamp(),
    state = CASE WHEN %(state)s = 'new' AND due_at < clock_timestamp() - %(keep_s)s * interval '1 second'
        THEN 'failed' ELSE %(state)s END
WHERE mail_id = %(mail_id)s AND tries = %(tries)s AND state = 'new'
RETURNING state
"""


def turn_down(
    conn: psycopg.Connection, mail: Mail, way: str, end: Literal["new", "failed"], said: str, *, keep_s: float
) -> State | None:
    """new -> `end`, for a try that ended before anything was claimed."""
    parameters = {"mail_id": mail.mail_id, "tries": mail.tries, "way": way, "state": end, "keep_s": keep_s}
    row = conn.execute(TURN_DOWN, {**parameters, "error_message": said}).fetchone()
    return row[0] if row is not None else None


GIVE_UP_LOST = """
UPDATE ops.report_mails AS m SET state = 'unknown', updated_at = clock_timestamp(),
    error_message = 'the process that sent it ended before it knew the answer'
WHERE m.state = 'sending' AND m.mail_id IN (
    SELECT s.mail_id FROM ops.report_mails AS s WHERE s.state = 'sending' FOR UPDATE SKIP LOCKED)
"""


def give_up_lost(conn: psycopg.Connection) -> int:
    """sending -> unknown, for mails whose sender is gone; usually none."""
    return conn.execute(GIVE_UP_LOST).rowcount


# A mail that never had bytes has an address to which nothing can be sent, and stays as it is.
SEND_AGAIN = """
UPDATE ops.report_mails SET state = 'new', due_at = clock_timestamp(), updated_at = clock_timestamp()
WHERE week = %(week)s AND state = ANY (%(states)s) AND octet_length(head) > 0
  AND (%(recipients)s::text[] IS NULL OR recipient = ANY (%(recipients)s))
"""


def send_again(
    conn: psycopg.Connection,
    week: str,
    states: Sequence[Literal["unknown", "failed"]],
    recipients: Sequence[str] | None = None,
) -> int:
    """unknown, failed -> new, because a person has looked."""
    parameters = {"week": week, "states": list(states), "recipients": list(recipients) if recipients else None}
    return conn.execute(SEND_AGAIN, parameters).rowcount


# Questions -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Line:
    """A mail, for people."""

    mail_id: int
    week: str
    address: str
    message_id: str
    state: State
    tries: int
    way: str
    bytes: int
    error: str | None
    created_at: datetime
    updated_at: datetime


LIST = """
SELECT m.mail_id, m.week, m.address, m.message_id, m.state, m.tries, m.way,
    octet_length(m.head) + octet_length(l.source) AS bytes, m.error_message AS error, m.created_at, m.updated_at
FROM ops.report_mails AS m JOIN ops.report_letters AS l USING (letter_id)
WHERE (%(week)s::text IS NULL OR m.week = %(week)s)
  AND (%(states)s::text[] IS NULL OR m.state = ANY (%(states)s))
  AND (%(recipients)s::text[] IS NULL OR m.recipient = ANY (%(recipients)s))
  AND (%(below)s::bigint IS NULL OR m.mail_id < %(below)s)
ORDER BY m.mail_id DESC LIMIT %(limit)s
"""


def list_mails(
    conn: psycopg.Connection,
    *,
    week: str | None = None,
    states: Sequence[str] = (),
    recipients: Sequence[str] = (),
    below: int | None = None,
    limit: int = 1_000,
) -> list[Line]:
    """The newest first."""
    parameters = {
        "week": week,
        "states": list(states) or None,
        "recipients": list(recipients) or None,
        "below": below,
        "limit": limit,
    }
    with conn.cursor(row_factory=class_row(Line)) as cursor:
        return cursor.execute(LIST, parameters).fetchall()


class Standing(NamedTuple):
    """How a week's mails stand; `waiting_s` is how long the oldest that is not settled has waited."""

    week: str
    sent: int
    unknown: int
    failed: int
    waiting: int
    waiting_s: float


STANDINGS = """
SELECT week, count(*) FILTER (WHERE state = 'sent') AS sent, count(*) FILTER (WHERE state = 'unknown') AS unknown,
    count(*) FILTER (WHERE state = 'failed') AS failed,
    count(*) FILTER (WHERE state IN ('new', 'sending')) AS waiting,
    coalesce(extract(epoch FROM clock_timestamp() - min(due_at) FILTER (WHERE state IN ('new', 'sending'))), 0)::float8
        AS waiting_s
FROM ops.report_mails
WHERE created_at > %(since)s
GROUP BY week ORDER BY week
"""


def standings(conn: psycopg.Connection, since: datetime) -> list[Standing]:
    """Of the weeks whose mails were made since then."""
    with conn.cursor(row_factory=class_row(Standing)) as cursor:
        return cursor.execute(STANDINGS, {"since": since}).fetchall()
