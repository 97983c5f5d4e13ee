"""What leaves the process: an alert is kept as a row with the run's end; the rows are sent when all else is done.

`keep` runs in the transaction of the history row that it tells of, so that neither is there without the other.
`deliver` is the supervisor's last act: it has outlived the worker however that ended, the outcome is committed, the
marker is logged, and nothing it meets changes report or exit code. It also sends what earlier runs left. A channel that
is dead or hangs costs a run BUDGET_S in all: the first message that it refuses for now or leaves unanswered ends the
delivery. A signal that arrives meanwhile ends the delivery too, and not the run, which has ended already.

With alerts off nothing is written and nothing is connected to. A run that could not reach the database leaves no alert
at once: its log, its line on stderr and its exit code tell, and the line `outbox_not_sent` says that nothing else does.
Its alert comes with its row, when a later run replays it (`spool`).
"""

import signal
import threading
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager
from datetime import timedelta

import psycopg

from jobctl import log
from jobctl.db.connection import Database, Limits
from jobctl.errors import DatabaseUnavailable
from jobctl.redact import Redactor
from jobctl.runtime import alerting, outbox, webhook
from jobctl.runtime.alerting import Who
from jobctl.runtime.outbox import Message, State
from jobctl.runtime.outcome import RunReport, ScopeReport
from jobctl.runtime.webhook import Deadline, End
from jobctl.settings import Settings

LOG = log.get_logger()

SLACK = "slack"
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


def is_on(settings: Settings) -> bool:
    return settings.enable_slack_alerts and settings.slack_webhook_url is not None


def keep(
    conn: psycopg.Connection,
    settings: Settings,
    redactor: Redactor,
    who: Who,
    reports: Iterable[ScopeReport],
    *,
    cool_down: timedelta = alerting.COOL_DOWN,
) -> None:
    """Inside the transaction of the reports' rows: keep the alert of each that is worth one and is the first of its
    cause and window (`cool_down`). An alert that cannot be kept takes nothing else along; the log tells it."""
    if not is_on(settings):
        return
    from zoneinfo import ZoneInfo

    for report in reports:
        try:
            alert = alerting.alert_of(
                report, who, redact=redactor.text, zone=ZoneInfo(settings.timezone), cool_down=cool_down
            )
            if alert is None:
                continue
            with conn.transaction():
                payload = {"title": alert.title, "text": alert.text}
                is_first = outbox.put(conn, SLACK, f"{SLACK}/{alert.key}", payload, who.run_id)
        except Exception as error:
            if conn.closed:  # the row that it tells of is lost with it, and will be written anew
                raise
            LOG.error("alert_not_kept", alert_scope=report.scope, error=error)  # noqa: TRY400 - one line, no stack
        else:
            LOG.info("alert_kept" if is_first else "alert_told_already", key=alert.key)


def deliver(settings: Settings, redactor: Redactor, report: RunReport, open_database: Callable[[], Database]) -> None:
    """After the run of `report`: send what is due, within BUDGET_S. Raises nothing."""
    if settings.slack_webhook_url is None or not is_on(settings) or report.dry_run:
        return
    last = report.error or (report.scopes[-1].error if report.scopes else None)
    if last is not None and last.class_ == DatabaseUnavailable.__name__:
        LOG.error("outbox_not_sent", reason="the run could not reach the database")  # which it has waited for already
        return
    deadline = Deadline(BUDGET_S)
    url = settings.slack_webhook_url.get_secret_value()
    try:
        with _signals_call(deadline.hurry):
            database = open_database()
            with database.connect(purpose="outbox", limits=BRIEF) as conn:
                _own_up_to_lost(database, conn)
                while deadline.left_s() >= SHORTEST_TRY_S and _send_next(database, conn, url, redactor, deadline):
                    pass
    except Exception as error:  # noqa: BLE001 - the run has ended; whatever this meets is a line in the log
        LOG.error("outbox_not_sent", error=error)  # noqa: TRY400 - one line, without the stack where secrets lie


def slack_body(message: Message) -> Mapping[str, object]:
    """A Slack message of plain text: a block that is not read for markup, and the same as text for notifications and
    for receivers that know no blocks, where Slack's own three characters are escaped."""
    text = str(message.payload["text"])
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return {
        "text": escaped,
        "blocks": [{"type": "section", "text": {"type": "plain_text", "text": text, "emoji": False}}],
        "mrkdwn": False,
        "unfurl_links": False,
        "unfurl_media": False,
    }


def _own_up_to_lost(database: Database, conn: psycopg.Connection) -> None:
    with database.transaction(conn, limits=BRIEF):
        lost = outbox.give_up_lost(conn)
    for message in lost:
        LOG.error("outbox_unknown", message_id=message.message_id, channel=message.channel, tries=message.tries)


def _send_next(database: Database, conn: psycopg.Connection, url: str, redactor: Redactor, deadline: Deadline) -> bool:
    """Send the next message, if there is one. False: there is none, or the channel is not well."""
    with database.transaction(conn, limits=BRIEF):
        message = outbox.take(conn, SLACK)
    if message is None:
        return False
    with database.transaction(conn, limits=BRIEF):
        if not outbox.hold(conn, message):
            return True
        answer = webhook.post(url, slack_body(message), deadline)
        reason = redactor.text(answer.reason, limit=300)
        state = outbox.settle(conn, message, STATE_AFTER[answer.end], reason)
    fields = {"message_id": message.message_id, "channel": SLACK, "tries": message.tries, "reason": reason}
    if state == "sent":
        LOG.info("outbox_sent", **fields)
    elif state == "new":
        LOG.warning("outbox_try_later", **fields)
    elif state == "failed":
        LOG.error("outbox_failed", **fields)
    else:
        LOG.error("outbox_unknown", **fields)
    return answer.end in (End.ARRIVED, End.REFUSED)


@contextmanager
def _signals_call(function: Callable[[], None]) -> Generator[None, None, None]:
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
