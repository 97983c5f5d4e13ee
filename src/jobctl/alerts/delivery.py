"""What leaves the process: rows of the outbox, written with what they tell of, sent when all else is done.

`deliver` is the supervisor's last act: it has outlived the worker however that ended, the outcome is committed, the
marker is logged, and nothing it meets changes report or exit code. It also sends what earlier runs left. A channel that
is dead or hangs costs a run BUDGET_S at the most, two channels or more twice that in all; after a refusal the channel
is left alone for a while (outbox.py). The first message that it refuses for now or leaves unanswered ends the delivery
to it. A signal that arrives meanwhile ends the delivery, too, and not the run, which has ended already.

With no channel set up nothing is connected to. Where PostgreSQL itself is away, messages leave from the local book.
"""

import signal
import threading
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager

import psycopg

from jobctl import log
from jobctl.alerts import channels, outbox
from jobctl.alerts.outbox import Message, State
from jobctl.alerts.webhook import Deadline, End
from jobctl.alerts.words import Told
from jobctl.db.connection import Database, Limits
from jobctl.redact import Redactor
from jobctl.settings import Settings

LOG = log.get_logger()

BUDGET_S = 3.0
SHORTEST_TRY_S = 0.5
# Its transactions touch one row each, and whoever waits here keeps an ended run from ending.
BRIEF = Limits(lock_ms=500, statement_ms=1_000, idle_in_transaction_ms=30_000)
STATE_AFTER: Mapping[End, State] = {
    End.ARRIVED: "sent",
    End.TRY_LATER: "new",
    End.REFUSED: "failed",
    End.UNKNOWN: "unknown",
}
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def deliver(
    settings: Settings,
    redactor: Redactor,
    open_database: Callable[[], Database],
    *,
    budget_s: float | None = None,
) -> None:
    """Send what is due. Raises nothing. `budget_s` is for whoever has nothing else to do."""
    budget_s = BUDGET_S if budget_s is None else budget_s
    wanted = settings.alert_channels()
    if not wanted:
        return
    whole = Deadline(budget_s * min(len(wanted), 2))
    try:
        with signals_call(whole.hurry):
            database = open_database()
            with database.connect(purpose="outbox", limits=BRIEF) as conn:
                _own_up_to_lost(database, conn)
                for nth, channel in enumerate(wanted):
                    part = min(budget_s, whole.left_s() / (len(wanted) - nth) + SHORTEST_TRY_S)
                    _to_channel(_Sender(settings, redactor, database, conn), channel, Deadline(part, whole=whole))
    except Exception as error:  # noqa: BLE001 - the run has ended; whatever this meets is a line in the log
        LOG.error("outbox_not_sent", error=error)  # noqa: TRY400 - one line, without the stack where secrets lie


class _Sender:
    def __init__(self, settings: Settings, redactor: Redactor, database: Database, conn: psycopg.Connection) -> None:
        self.settings = settings
        self.redactor = redactor
        self.database = database
        self.conn = conn


def _to_channel(sender: _Sender, channel: str, deadline: Deadline) -> None:
    behind = 0
    while deadline.left_s() >= SHORTEST_TRY_S:
        with sender.database.transaction(sender.conn, limits=BRIEF):
            message = outbox.take(sender.conn, channel, behind=behind)
        if message is None:
            return
        end = _send(sender, message, deadline)
        if end is End.TRY_LATER and message.tries >= outbox.PATIENT_TRIES and not behind:
            behind = message.message_id  # is it the message or the channel?
        elif end not in (None, End.ARRIVED, End.REFUSED):
            return


def _send(sender: _Sender, message: Message, deadline: Deadline) -> End | None:
    """None: somebody else has it."""
    keep_s = sender.settings.alert_settings.keep_undelivered_s
    with sender.database.transaction(sender.conn, limits=BRIEF):
        if not outbox.hold(sender.conn, message):
            return None
        told = Told.of(message.payload)
        answer = channels.send(message.channel, sender.settings, told, message.dedupe_key, deadline)
        # A server may say anything, NUL included, which the database does not keep.
        said = "".join(letter if letter.isprintable() else " " for letter in answer.reason)
        reason = sender.redactor.text(" ".join(said.split()), limit=300)
        state = outbox.settle(sender.conn, message, STATE_AFTER[answer.end], reason, keep_s=keep_s)
    fields = {"message_id": message.message_id, "channel": message.channel, "tries": message.tries, "reason": reason}
    if state == "sent":
        LOG.info("outbox_sent", **fields)
    elif state == "new":
        LOG.warning("outbox_try_later", **fields)
    elif state == "failed":
        LOG.error("outbox_failed", **fields)
    else:
        LOG.error("outbox_unknown", **fields)
    return answer.end


def _own_up_to_lost(database: Database, conn: psycopg.Connection) -> None:
    with database.transaction(conn, limits=BRIEF):
        lost = outbox.give_up_lost(conn)
    for message in lost:
        LOG.error("outbox_unknown", message_id=message.message_id, channel=message.channel, tries=message.tries)


@contextmanager
def signals_call(function: Callable[[], None]) -> Generator[None, None, None]:
    """Meanwhile the signals that end a run, but for those the caller ignores, call this and end nothing else."""
    heeded = [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    if threading.current_thread() is not threading.main_thread():
        heeded = []

    def handler(_number: int, _frame: object) -> None:
        function()

    old = {number: signal.signal(number, handler) for number in heeded}
    try:
        yield
    finally:
        for number, before in old.items():
            signal.signal(number, before)
