"""The incidents of a host that cannot reach PostgreSQL: a file, the same lifecycle, and messages that leave at once.

One file under the data directory, read and written under its lock, whole and with fsync. In it are the incidents that
this host's runs have opened without the database, and the messages that wait for their channels. A message that is on
its way is marked before it leaves, so that a process that is killed in the middle leaves it marked: it may have
arrived, and nobody sends it again.

When a run reaches the database again it brings the file in, before anything else is judged: incidents with their first
moment and what was told of them, messages that wait as rows of the outbox. Then the file goes. A death between commit
and removal has it brought in once more, which changes nothing: an incident is known by its cause and first moment.
"""

import fcntl
import json
import os
import tempfile
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, cast
from zoneinfo import ZoneInfo

import psycopg

from jobctl import clock, log
from jobctl.alerts import channels, delivery, judging, ledger, outbox, store, words
from jobctl.alerts.lifecycle import Alert, Incident
from jobctl.alerts.verdict import Verdict
from jobctl.alerts.webhook import Deadline, End
from jobctl.alerts.words import Told
from jobctl.redact import Redactor
from jobctl.settings import Settings

LOG = log.get_logger()

FORMAT = 1
NAME = "alerts.json"
MOST_MESSAGES = 500
LOCK_S = 2.0
POLL_S = 0.05

Book = dict[str, Any]


def exists(settings: Settings) -> bool:
    return (settings.spool_dir / NAME).exists()


def runs_ended(settings: Settings, redactor: Redactor, verdicts: Sequence[Verdict]) -> None:
    """Judge without the database, and send. Raises nothing."""
    wanted = settings.alert_channels()
    if not wanted:
        return
    whole = Deadline(delivery.BUDGET_S * min(len(wanted), 2))
    try:
        with delivery.signals_call(whole.hurry), _opened(settings.spool_dir, whole) as directory:
            book = _read(directory)
            _judge(book, settings, redactor, verdicts)
            _write(directory, book)
            for nth, channel in enumerate(wanted):
                part = min(delivery.BUDGET_S, whole.left_s() / (len(wanted) - nth) + delivery.SHORTEST_TRY_S)
                _deliver(directory, book, settings, redactor, channel, Deadline(part, whole=whole))
    except (OSError, ValueError, KeyError, TypeError) as error:
        LOG.error("alert_not_spooled", error=error)  # noqa: TRY400 - one line, no stack


def _judge(book: Book, settings: Settings, redactor: Redactor, verdicts: Sequence[Verdict]) -> None:
    now = clock.utc_now()
    known = [_incident(each) for each in book["incidents"]]
    ended = [incident for incident in known if not incident.is_open]
    changes = ledger.work_through(
        [incident for incident in known if incident.is_open],
        [judging.stored(verdict, redactor) for verdict in verdicts],
        judging.policy_of(settings),
        now,
    )
    for change in changes:
        for notice, incident in change.told:
            message = words.told(
                notice,
                0,
                incident,
                redact=redactor.text,
                zone=ZoneInfo(settings.timezone),
                runbook_url=settings.alert_settings.runbook_url,
            )
            LOG.warning("alert_spooled", notice=notice, title=message.title)
            for channel in settings.alert_channels():
                key = f"{channel}/local/{incident.cause}/{incident.opened_at.isoformat()}/{incident.notices}"
                waits = {"channel": channel, "key": key, "payload": message.as_payload(), "tries": 0, "at": None}
                book["messages"] = [*book["messages"], {**waits, "is_sending": False}][-MOST_MESSAGES:]
    changed = {change.after.cause: change.after for change in changes}
    still = [changed.pop(incident.cause, incident) for incident in known if incident.is_open]
    book["incidents"] = [_as_json(each) for each in (*ended, *still, *changed.values())]


def _deliver(
    directory: Path, book: Book, settings: Settings, redactor: Redactor, channel: str, deadline: Deadline
) -> None:
    """In order, until one is not taken; and after that not for a while."""
    now = clock.utc_now()
    for message in [each for each in book["messages"] if each["channel"] == channel]:
        if message["is_sending"]:
            book["messages"].remove(message)
            _write(directory, book)
            LOG.error("outbox_unknown", key=message["key"], channel=channel)
            continue
        last = datetime.fromisoformat(message["at"]) if message["at"] else None
        if last is not None and now - last < timedelta(seconds=outbox.PAUSE_S):
            return
        if deadline.left_s() < delivery.SHORTEST_TRY_S:
            return
        message.update(is_sending=True, tries=message["tries"] + 1, at=now.isoformat())
        _write(directory, book)
        answer = channels.send(channel, settings, Told.of(message["payload"]), message["key"], deadline)
        reason = redactor.text(answer.reason, limit=300)
        fields = {"key": message["key"], "channel": channel, "tries": message["tries"], "reason": reason}
        if answer.end is End.TRY_LATER:
            message["is_sending"] = False
            LOG.warning("outbox_try_later", **fields)
        else:
            book["messages"].remove(message)
            say = LOG.info if answer.end is End.ARRIVED else LOG.error
            say({End.ARRIVED: "outbox_sent", End.REFUSED: "outbox_failed"}.get(answer.end, "outbox_unknown"), **fields)
        _write(directory, book)
        if answer.end in (End.TRY_LATER, End.UNKNOWN):
            return


IS_KNOWN = "SELECT EXISTS (SELECT FROM ops.incidents WHERE cause = %(cause)s AND opened_at = %(opened_at)s)"


def bring_in(conn: psycopg.Connection, settings: Settings) -> int:
    """What this host kept while the database was away; gives how many incidents. Raises nothing but what the connection
    does."""
    try:
        with _opened(settings.spool_dir, Deadline(LOCK_S)) as directory:
            book = _read(directory)
            with conn.transaction():
                store.lock(conn)
                is_open = {each.incident.cause for each in store.open_incidents(conn)}
                incidents = [_incident(each) for each in book["incidents"]]
                brought = sum(_bring(conn, incident, is_open) for incident in incidents)
                for each in book["messages"]:
                    if not each["is_sending"]:
                        outbox.put(conn, each["channel"], each["key"], each["payload"], None)
            (directory / NAME).unlink(missing_ok=True)
    except (OSError, ValueError, KeyError, TypeError) as error:
        LOG.error("alerts_not_brought_in", error=error)  # noqa: TRY400 - one line, no stack
        return 0
    LOG.info("alerts_brought_in", incidents=brought, messages=len(book["messages"]))
    return brought


def _bring(conn: psycopg.Connection, incident: Incident, is_open: set[str]) -> int:
    row = conn.execute(IS_KNOWN, {"cause": incident.cause, "opened_at": incident.opened_at}).fetchone()
    if (row is not None and row[0]) or (incident.is_open and incident.cause in is_open):
        return 0  # brought in before, or another host's incident is this one, too
    (incident_id,) = store.save(conn, [(None, ledger.Change(None, incident))])
    events = ("opened",) if incident.is_open else ("opened", "resolved")
    said = f"without the database: {incident.title}"
    store.add_events(conn, [store.NewEvent(incident_id, event, said) for event in events])
    return 1


# The file ------------------------------------------------------------------------------------------------------------


@contextmanager
def _opened(directory: Path, deadline: Deadline) -> Generator[Path, None, None]:
    """Raises OSError where another process has it for longer."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(directory / f".{NAME}.lock", flags, 0o600)
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if deadline.left_s() == 0:
                    raise
                time.sleep(POLL_S)
        yield directory
    finally:
        os.close(descriptor)


def _read(directory: Path) -> Book:
    try:
        book = json.loads((directory / NAME).read_text(encoding="utf-8"))
        if book["format"] != FORMAT:
            raise ValueError(f"format {book['format']} is not known")
    except FileNotFoundError:
        return {"format": FORMAT, "incidents": [], "messages": []}
    except (ValueError, KeyError, TypeError) as error:
        LOG.error("alerts_put_aside", error=error)  # noqa: TRY400 - one line, no stack
        (directory / NAME).replace(directory / f"{NAME}.bad")
        return {"format": FORMAT, "incidents": [], "messages": []}
    return book


def _write(directory: Path, book: Book) -> None:
    descriptor, temporary = tempfile.mkstemp(dir=directory, prefix=".alerts-")  # 0600
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(book, file)
        file.flush()
        os.fsync(file.fileno())
    Path(temporary).replace(directory / NAME)


def _as_json(incident: Incident) -> dict[str, object]:
    plain = {name: value.isoformat() if isinstance(value, datetime) else value for name, value in
             incident._asdict().items()}  # fmt: skip
    alerts = [
        [
            *fingerprint,
            {name: value.isoformat() if isinstance(value, datetime) else value for name, value in
             alert._asdict().items()},
        ]
        for fingerprint, alert in incident.alerts.items()
    ]  # fmt: skip
    return {
        **plain,
        "alerts": alerts,
        "facts": [list(fact) for fact in incident.facts],
        "realert_every": incident.realert_every.total_seconds(),
    }


def _incident(given: dict[str, Any]) -> Incident:
    alerts = {
        (str(condition), str(subject)): Alert(**_moments(cast("dict[str, Any]", alert)))
        for condition, subject, alert in given["alerts"]
    }
    rest = _moments(given)
    rest["alerts"] = alerts
    rest["facts"] = tuple((str(word), str(said)) for word, said in given["facts"])
    rest["realert_every"] = timedelta(seconds=given["realert_every"])
    return Incident(**rest)


def _moments(given: dict[str, Any]) -> dict[str, Any]:
    return {
        name: datetime.fromisoformat(value) if isinstance(value, str) and name.endswith(("_at", "_until")) else value
        for name, value in given.items()
    }
