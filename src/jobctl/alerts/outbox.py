"""Store of ops.outbox: what must leave the process, written with its cause and sent after that commit.

    new --take--> sending --settle--> sent      the other side said yes
     ^               |--------------> failed    it said no for good, or for longer than the message is worth
     +---------------|                          it said no for now: tried again by a later run
                     +--------------> unknown   it may have arrived; nobody sends it again by itself

`sending` is committed before the request leaves, so a process that is killed in the middle leaves a row that tells. Who
sends holds the row's lock until the end is written (`hold`): a row that says `sending` and is not locked is a dead
process's, whatever its age, and becomes `unknown`. So nothing is sent twice by itself and nothing gets lost unseen.

A channel that said no for now is left alone for PAUSE_S, with all that waits for it, however often jobs run. So it
costs a minute's runs one try, and hears of what waits within a minute of its return, in order. One message that it
never takes holds the others up no longer than PATIENT_TRIES tries: from then on the next one is tried behind it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

import psycopg
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

PAUSE_S = 45
PATIENT_TRIES = 10

State = Literal["new", "sent", "failed", "unknown"]


@dataclass(frozen=True, slots=True)
class Message:
    """A row that this process is to send; `tries` counts this try, and is the number by which a late one is known."""

    message_id: int
    channel: str
    payload: Mapping[str, object]
    tries: int
    dedupe_key: str = ""


PUT = """
INSERT INTO ops.outbox (channel, dedupe_key, payload, run_id)
VALUES (%(channel)s, %(dedupe_key)s, %(payload)s, %(run_id)s)
ON CONFLICT (dedupe_key) DO NOTHING
"""


def put(
    conn: psycopg.Connection, channel: str, dedupe_key: str, payload: Mapping[str, object], run_id: UUID | None
) -> bool:
    """Inside the transaction of what the message tells. False: a message with this key is there already."""
    parameters = {"channel": channel, "dedupe_key": dedupe_key, "payload": Jsonb(dict(payload)), "run_id": run_id}
    return conn.execute(PUT, parameters).rowcount == 1


# Zero rows: nothing is due, or what is due is in another process's hands.
TAKE = """
UPDATE ops.outbox AS o SET state = 'sending', tries = o.tries + 1, updated_at = clock_timestamp()
WHERE o.state = 'new' AND o.message_id = (
    SELECT n.message_id FROM ops.outbox AS n
    WHERE n.state = 'new' AND n.channel = %(channel)s AND n.message_id > %(behind)s
      AND (%(behind)s > 0 OR NOT EXISTS (SELECT FROM ops.outbox AS f
        WHERE f.state = 'new' AND f.channel = %(channel)s AND f.tries > 0
          AND f.updated_at > clock_timestamp() - %(pause_s)s * interval '1 second'))
    ORDER BY n.message_id LIMIT 1
    FOR UPDATE SKIP LOCKED)
RETURNING o.message_id, o.channel, o.payload, o.tries, o.dedupe_key
"""


def take(conn: psycopg.Connection, channel: str, *, behind: int = 0) -> Message | None:
    """new -> sending, for the oldest message that is due. Commit before it is sent. `behind`: one that the channel has
    just not taken, though it answers."""
    with conn.cursor(row_factory=class_row(Message)) as cursor:
        return cursor.execute(TAKE, {"channel": channel, "behind": behind, "pause_s": PAUSE_S}).fetchone()


# Between the commit of `take` and this lock another process may have believed the row lost. Nothing has been sent yet,
# so the try with this number takes it back. Zero rows: somebody else decided about the message; do not send it.
HOLD = """
UPDATE ops.outbox SET state = 'sending', updated_at = clock_timestamp()
WHERE message_id = %(message_id)s AND tries = %(tries)s AND state IN ('sending', 'unknown')
"""


def hold(conn: psycopg.Connection, message: Message) -> bool:
    """Open the transaction in which the request is made and `settle` is called: it shows that the sender lives."""
    return conn.execute(HOLD, {"message_id": message.message_id, "tries": message.tries}).rowcount == 1


SETTLE = """
UPDATE ops.outbox SET error_message = %(error_message)s, updated_at = clock_timestamp(),
    state = CASE WHEN %(state)s = 'new' AND created_at < clock_timestamp() - %(keep_s)s * interval '1 second'
        THEN 'failed' ELSE %(state)s END
WHERE message_id = %(message_id)s AND tries = %(tries)s AND state = 'sending'
RETURNING state
"""


def settle(
    conn: psycopg.Connection,
    message: Message,
    state: State,
    error_message: str | None = None,
    *,
    keep_s: float = 259_200.0,
) -> State:
    """sending -> `state`, in the transaction of `hold`. `new` is a refusal for now: of a message that has waited for
    `keep_s` it is `failed`."""
    parameters = {
        "state": state,
        "error_message": error_message,
        "keep_s": keep_s,
        "message_id": message.message_id,
        "tries": message.tries,
    }
    row = conn.execute(SETTLE, parameters).fetchone()
    assert row is not None, "the row is locked by this transaction"
    return row[0]


GIVE_UP_LOST = """
UPDATE ops.outbox AS o SET state = 'unknown', updated_at = clock_timestamp(),
    error_message = 'the process that sent it ended before it knew the answer'
WHERE o.state = 'sending' AND o.message_id IN (
    SELECT s.message_id FROM ops.outbox AS s WHERE s.state = 'sending' FOR UPDATE SKIP LOCKED)
RETURNING o.message_id, o.channel, o.payload, o.tries, o.dedupe_key
"""


def give_up_lost(conn: psycopg.Connection) -> list[Message]:
    """sending -> unknown, for messages whose sender is gone; usually none."""
    with conn.cursor(row_factory=class_row(Message)) as cursor:
        return cursor.execute(GIVE_UP_LOST).fetchall()


COUNT_LEFT = "SELECT count(*) FROM ops.outbox WHERE state IN ('new', 'sending') AND channel = ANY (%(channels)s)"


def count_left(conn: psycopg.Connection, channels: Sequence[str]) -> int:
    """Messages that these channels have not got yet."""
    row = conn.execute(COUNT_LEFT, {"channels": list(channels)}).fetchone()
    return row[0] if row else 0
