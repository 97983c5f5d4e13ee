"""The weekly mail on its way: one mail a recipient and week, each of which is known where it is.

    new --claim--> sending --settle--> sent      the other side took it
     ^  \\            |----------------> failed    it said no for good, or for longer than a weekly mail is worth
     |   \\-----------)----------------> failed      ... which it may say before anything was sent, too
     +----------------+                           it said no for now: tried again, by this run or a later one
                      +----------------> unknown   it may have arrived; nobody sends it again by itself

`put` writes the rows in the transaction of the run that made the report, so there is no report without its mails and no
mail twice: (week, recipient) is unique, whoever runs it again, and the Message-ID is made of the two. What is sent is
stored (message.py), so a later try sends the same bytes, whatever the figures have become.

The whole question is when `sending` is committed. SMTP gives the answer: until the line with the single dot, what was
sent is nothing, and a server that loses the connection drops it (RFC 5321, 4.1.1.4 and 4.2.5). So connection, log-in,
addresses and the whole text happen while the row still says `new` and nobody holds anything; a process that dies there,
at whatever byte, costs nothing. Then `claim` commits new -> sending, and only then the dot goes. Who loses the claim
drops the connection without it. So two senders never send the same, without any lock during the conversation. A way
that is one HTTP request has no such dot: there the claim comes before the request.

Between the claim and the answer the sender holds the row's lock (`hold`), which says that it lives. A row that says
`sending` and is not locked is a dead sender's, whatever its age, and becomes `unknown` (`give_up_lost`). Right after
the claim another process may do that too early; nothing has been sent yet, so `hold` takes the row back by its number
of tries, unless somebody else has decided about it meanwhile. This is the outbox of alerts (alerts/outbox.py), but for
the claim that waits for the dot; its table is another one because a message to a channel is small, has no recipient,
and is worth other waiting. What is left is the time from the dot to the answer: there nobody can know, and the row
says so.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import psycopg

from jobctl.errors import ConfigurationError, DataError
from jobctl.reports import addresses, message
from jobctl.reports.letter import Letter
from jobctl.reports.message import Sender
from jobctl.settings import Settings

KNOWN = "SELECT recipient FROM ops.report_mails WHERE week = %(week)s"

PUT_LETTER = """
INSERT INTO ops.report_letters (week, sender, source, run_id)
VALUES (%(week)s, %(sender)s, %(source)s, %(run_id)s) RETURNING letter_id
"""

PUT_MAIL = """
INSERT INTO ops.report_mails (week, recipient, address, message_id, letter_id, head, state, error_message, run_id)
VALUES (%(week)s, %(recipient)s, %(address)s, %(message_id)s, %(letter_id)s, %(head)s, %(state)s, %(error_message)s,
    %(run_id)s)
ON CONFLICT (week, recipient) DO NOTHING
"""


class _Row(NamedTuple):
    recipient: str
    address: str
    message_id: str
    head: bytes
    state: str = "new"
    error_message: str | None = None


def put(
    conn: psycopg.Connection,
    settings: Settings,
    *,
    week: str,
    recipients: Iterable[str],
    letter: Letter,
    run_id: UUID | None,
    now: datetime,
) -> int:
    """Inside the transaction of the run: the mails of this week to those who have none yet; how many that were.

    A recipient to whose address nothing can be sent gets a row that says so. Raises ConfigurationError without a usable
    EMAIL_FROM, and DataError for a letter that is too large or cannot be a mail."""
    sender = sender_of(settings)
    rows: dict[str, _Row] = {}
    for each in recipients:
        row = _row(each, week, sender, settings)
        rows.setdefault(row.recipient, row)
    known = {recipient for (recipient,) in conn.execute(KNOWN, {"week": week})}
    missing = [row for recipient, row in rows.items() if recipient not in known]
    if not missing:
        return 0
    source = _source(settings, letter, sender, now)
    given = {"week": week, "sender": sender.address.spelled, "source": source, "run_id": run_id}
    found = conn.execute(PUT_LETTER, given).fetchone()
    assert found is not None
    more = {"week": week, "letter_id": found[0], "run_id": run_id}
    with conn.cursor() as cursor:
        cursor.executemany(PUT_MAIL, [{**row._asdict(), **more} for row in missing])
        return cursor.rowcount


def size_of(settings: Settings, letter: Letter, *, week: str, recipient: str, now: datetime) -> int:
    """Bytes of the mail to one recipient. Raises as `put` does."""
    sender = sender_of(settings)
    return len(_row(recipient, week, sender, settings).head) + len(_source(settings, letter, sender, now))


def sender_of(settings: Settings) -> Sender:
    if settings.email_from is None:
        raise ConfigurationError("there is no sender for the weekly mail", hint="set EMAIL_FROM")
    try:
        return message.sender_of(settings.email_from)
    except ValueError as error:
        raise ConfigurationError(f"EMAIL_FROM cannot send mail: {error}", hint="set EMAIL_FROM") from None


def _source(settings: Settings, letter: Letter, sender: Sender, now: datetime) -> bytes:
    about = settings.mail_settings
    try:
        source = message.source_of(letter, sender, now, list_id=about.list_id, reply_to=about.reply_to)
    except ValueError as error:
        raise DataError(f"the report cannot be a mail: {error}") from None
    if len(source) > about.largest_mb << 20:
        raise DataError(
            f"the mail has {len(source):,} bytes, more than {about.largest_mb} MiB",
            hint="raise largest_mb in [mail], or send fewer tables",
        )
    return source


def _row(text: str, week: str, sender: Sender, settings: Settings) -> _Row:
    unsubscribe = settings.mail_settings.list_unsubscribe
    unsubscribe = unsubscribe or f"mailto:{sender.address.spelled}?subject=unsubscribe"
    try:
        address = addresses.parse(text)
        message_id = message.message_id_of(address, week, sender)
        return _Row(address.key, address.spelled, message_id, message.head_of(address, message_id, unsubscribe))
    except ValueError as error:
        is_none = addresses.shown(text)
        return _Row(f"no address: {is_none}", is_none, f"none: {week} {is_none}", b"", "failed", str(error))
