"""Messages leave once or are owned up to: the outbox, a real receiver on the loopback, and everything it can do wrong.

What arrived is counted by the receiver and never by the outbox.
"""

import os
import signal
import socket
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from pydantic import SecretStr

from bench_postgres import wait_for
from bench_runs import SOURCE
from bench_webhook import (
    SECRET,
    TOKEN,
    Behaviour,
    Receiver,
    answer,
    cut,
    garbage,
    hang,
    refusing_url,
    settings_for,
    trickle,
)
from jobctl import log
from jobctl.alerts import delivery, outbox
from jobctl.db.connection import Database
from jobctl.redact import Redactor
from jobctl.settings import Settings


def deliver(settings: Settings, database: Database) -> None:
    delivery.deliver(settings, Redactor(settings.secrets()), lambda: database)


def put(conn: psycopg.Connection, *texts: str) -> None:
    for text in texts:
        assert outbox.put(conn, "slack", f"slack/{text}", {"title": text, "text": text}, None)


def rows(conn: psycopg.Connection) -> list[Any]:
    return conn.execute("SELECT state, tries FROM ops.outbox ORDER BY message_id").fetchall()


def reason(conn: psycopg.Connection) -> str:
    row = conn.execute("SELECT error_message FROM ops.outbox ORDER BY message_id").fetchone()
    assert row is not None
    return row[0]


def make_due(conn: psycopg.Connection) -> None:
    """As if the last try had been two minutes ago."""
    conn.execute("UPDATE ops.outbox SET updated_at = updated_at - interval '2 minutes'")


def grow_older(conn: psycopg.Connection, by: str) -> None:
    conn.execute(
        "UPDATE ops.outbox SET updated_at = updated_at - %(by)s::interval, created_at = created_at - %(by)s::interval",
        {"by": by},
    )


@pytest.fixture
def log_file(tmp_path: Path) -> Path:
    """Where the lines of this process go, as those of a run."""
    settings = settings_for(tmp_path, f"https://hooks.example/{SECRET}", log_level="DEBUG")
    log.configure(settings, Redactor(settings.secrets()))
    return tmp_path / "jobctl.log"


# The store ---------------------------------------------------------------------------------------------------------


def test_a_second_message_of_the_same_key_is_not_kept(conn: psycopg.Connection) -> None:
    run_id = uuid.uuid4()
    assert outbox.put(conn, "slack", "k", {"text": "first"}, run_id)
    assert not outbox.put(conn, "slack", "k", {"text": "second"}, run_id)
    assert conn.execute("SELECT payload ->> 'text', run_id, state FROM ops.outbox").fetchall() == [
        ("first", run_id, "new")
    ]


def test_messages_are_taken_oldest_first_and_by_channel(conn: psycopg.Connection) -> None:
    outbox.put(conn, "mail", "m", {}, None)
    put(conn, "a", "b")
    taken = [outbox.take(conn, "slack") for _ in range(3)]
    assert [message and message.payload["text"] for message in taken] == ["a", "b", None]
    assert rows(conn) == [("new", 0), ("sending", 1), ("sending", 1)]


def test_a_message_that_another_process_is_taking_is_passed_over(conn: psycopg.Connection, database: Database) -> None:
    put(conn, "a")
    with database.connect() as other, other.transaction():
        assert outbox.take(other, "slack") is not None
        assert outbox.take(conn, "slack") is None


def test_a_message_whose_sender_lives_is_not_given_up(conn: psycopg.Connection, database: Database) -> None:
    put(conn, "a")
    with database.connect() as sender:
        message = outbox.take(sender, "slack")
        assert message is not None
        with sender.transaction():
            assert outbox.hold(sender, message)
            assert outbox.give_up_lost(conn) == []
            outbox.settle(sender, message, "sent")
    assert rows(conn) == [("sent", 1)]


def test_a_message_whose_sender_is_gone_becomes_unknown_and_is_not_taken_again(
    conn: psycopg.Connection, database: Database
) -> None:
    put(conn, "a")
    with database.connect() as sender:
        message = outbox.take(sender, "slack")
        assert message is not None
        sender.execute("BEGIN")
        assert outbox.hold(sender, message)
    assert [lost.message_id for lost in outbox.give_up_lost(conn)] == [message.message_id]
    assert rows(conn) == [("unknown", 1)]
    assert outbox.take(conn, "slack") is None


def test_a_sender_that_was_given_up_before_it_began_takes_its_message_back(conn: psycopg.Connection) -> None:
    put(conn, "a")
    message = outbox.take(conn, "slack")
    assert message is not None and outbox.give_up_lost(conn)
    with conn.transaction():
        assert outbox.hold(conn, message)
        outbox.settle(conn, message, "sent")
    assert rows(conn) == [("sent", 1)]


def test_a_sender_whose_message_was_taken_anew_does_not_send_it(conn: psycopg.Connection) -> None:
    put(conn, "a")
    late = outbox.take(conn, "slack")
    conn.execute("UPDATE ops.outbox SET state = 'new'")
    make_due(conn)
    assert late is not None and not outbox.hold(conn, late)
    assert outbox.take(conn, "slack") is not None
    assert not outbox.hold(conn, late)


# Sending -----------------------------------------------------------------------------------------------------------


def test_what_was_left_is_sent_once_in_order(
    conn: psycopg.Connection, database: Database, tmp_path: Path, receive: Callable[..., Receiver]
) -> None:
    receiver = receive(answer(200))
    put(conn, "a", "b", "c")
    deliver(settings_for(tmp_path, receiver.url), database)
    deliver(settings_for(tmp_path, receiver.url), database)
    assert receiver.texts == ["a", "b", "c"]
    assert receiver.paths == [f"/services/{SECRET}"] * 3
    assert rows(conn) == [("sent", 1)] * 3


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503])
def test_a_refusal_for_now_is_tried_again_by_the_next_run(
    status: int, conn: psycopg.Connection, database: Database, tmp_path: Path, receive: Callable[..., Receiver]
) -> None:
    receiver = receive(answer(status, "later", "Retry-After: 30\r\n"), answer(200))
    settings = settings_for(tmp_path, receiver.url)
    put(conn, "a", "b")
    deliver(settings, database)
    assert rows(conn) == [("new", 1), ("new", 0)] and len(receiver.bodies) == 1, "one refusal ends a delivery"
    assert reason(conn) == f"HTTP {status}: later"
    deliver(settings, database)
    assert len(receiver.bodies) == 1, "and the channel is left alone for a while, with all that waits for it"
    make_due(conn)
    deliver(settings, database)
    deliver(settings, database)
    assert rows(conn) == [("sent", 2), ("sent", 1)] and receiver.texts == ["a", "a", "b"]


def test_a_refused_connection_is_tried_again_by_the_next_run(
    conn: psycopg.Connection, database: Database, tmp_path: Path, receive: Callable[..., Receiver]
) -> None:
    put(conn, "a")
    deliver(settings_for(tmp_path, refusing_url()), database)
    assert rows(conn) == [("new", 1)] and "ConnectionRefusedError" in reason(conn)
    receiver = receive(answer(200))
    make_due(conn)
    deliver(settings_for(tmp_path, receiver.url), database)
    assert rows(conn) == [("sent", 2)] and receiver.texts == ["a"]


def test_a_name_that_leads_nowhere_is_tried_again(conn: psycopg.Connection, database: Database, tmp_path: Path) -> None:
    put(conn, "a")
    deliver(settings_for(tmp_path, f"https://nowhere.invalid/services/{SECRET}"), database)
    assert rows(conn) == [("new", 1)]


def test_an_address_that_does_not_speak_tls_gets_nothing_and_is_tried_again(
    conn: psycopg.Connection,
    database: Database,
    tmp_path: Path,
    receive: Callable[..., Receiver],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(delivery, "BUDGET_S", 0.8)
    receiver = receive(answer(200))
    put(conn, "a")
    deliver(settings_for(tmp_path, receiver.url.replace("http://", "https://")), database)
    assert rows(conn) == [("new", 1)] and receiver.bodies == []


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(
    status: int, conn: psycopg.Connection, database: Database, tmp_path: Path, receive: Callable[..., Receiver]
) -> None:
    elsewhere = receive(answer(200))
    receiver = receive(answer(status, "", f"Location: {elsewhere.url}\r\n"))
    put(conn, "a")
    deliver(settings_for(tmp_path, receiver.url), database)
    assert rows(conn) == [("failed", 1)] and elsewhere.connections == 0


@pytest.mark.parametrize("status", [400, 403, 404, 410])
def test_a_refusal_for_good_fails_that_message_and_not_the_next(
    status: int, conn: psycopg.Connection, database: Database, tmp_path: Path, receive: Callable[..., Receiver]
) -> None:
    receiver = receive(answer(status, "no_service"), answer(200))
    put(conn, "a", "b")
    deliver(settings_for(tmp_path, receiver.url), database)
    deliver(settings_for(tmp_path, receiver.url), database)
    assert rows(conn) == [("failed", 1), ("sent", 1)] and receiver.texts == ["a", "b"]
    assert reason(conn) == f"HTTP {status}: no_service"


def test_whatever_a_channel_says_is_kept_as_plain_words(
    conn: psycopg.Connection, database: Database, tmp_path: Path, receive: Callable[..., Receiver]
) -> None:
    receiver = receive(answer(400, "no\0ser\x1b[31mvice\x9b"), answer(200))
    put(conn, "a", "b")
    deliver(settings_for(tmp_path, receiver.url), database)
    deliver(settings_for(tmp_path, receiver.url), database)
    assert rows(conn) == [("failed", 1), ("sent", 1)]
    assert reason(conn) == "HTTP 400: no ser [31mvice"


@pytest.mark.parametrize(
    "behave", [hang, cut, trickle, garbage, answer(504)], ids=["hang", "cut", "trickle", "garbage", "504"]
)
def test_a_message_that_may_have_arrived_is_unknown_and_not_sent_again(
    behave: Behaviour,
    conn: psycopg.Connection,
    database: Database,
    tmp_path: Path,
    receive: Callable[..., Receiver],
    monkeypatch: pytest.MonkeyPatch,
    log_file: Path,
) -> None:
    monkeypatch.setattr(delivery, "BUDGET_S", 0.8)
    receiver = receive(behave, answer(200))
    settings = settings_for(tmp_path, receiver.url)
    put(conn, "a", "b")
    deliver(settings, database)
    assert rows(conn) == [("unknown", 1), ("new", 0)], "and one that is not answered ends a delivery"
    assert '"outbox_unknown"' in log_file.read_text()
    make_due(conn)
    deliver(settings, database)
    assert rows(conn) == [("unknown", 1), ("sent", 1)] and receiver.texts == ["a", "b"]


def test_a_channel_that_answers_500_for_an_hour_gets_all_within_two_minutes_of_its_return_once_and_in_order(
    conn: psycopg.Connection, database: Database, tmp_path: Path, receive: Callable[..., Receiver]
) -> None:
    """Jobs that run each minute: before each, everything in the table grows a minute older."""
    receiver = receive(answer(500))
    settings = settings_for(tmp_path, receiver.url)
    put(conn, "a", "b", "c")

    def minute() -> None:
        grow_older(conn, "1 minute")
        deliver(settings, database)

    for _ in range(60):
        minute()
    assert {state for state, _ in rows(conn)} == {"new"}
    assert len(receiver.bodies) <= 60 + 51, "a try a minute, and later one of the next message behind it"
    receiver.bodies.clear()
    receiver.then(answer(200))
    minute()
    minute()
    assert receiver.texts == ["a", "b", "c"] and {state for state, _ in rows(conn)} == {"sent"}
    for _ in range(5):
        minute()
    assert len(receiver.texts) == 3


def test_a_channel_that_is_away_for_a_day_loses_nothing_and_one_that_is_away_for_ever_does_in_the_end(
    conn: psycopg.Connection, database: Database, tmp_path: Path, receive: Callable[..., Receiver], log_file: Path
) -> None:
    receiver = receive(answer(500))
    settings = settings_for(tmp_path, receiver.url)
    put(conn, "a")
    for _ in range(3):
        deliver(settings, database)
        grow_older(conn, "24 hours")
    assert rows(conn) == [("new", 3)]
    deliver(settings, database)
    assert rows(conn) == [("failed", 4)] and '"outbox_failed"' in log_file.read_text()


def test_one_message_that_a_channel_never_takes_does_not_hold_up_the_others_for_long(
    conn: psycopg.Connection, database: Database, tmp_path: Path, receive: Callable[..., Receiver]
) -> None:
    def choosy(receiver: Receiver, peer: socket.socket) -> None:
        answer(500 if receiver.bodies[-1]["text"] == "poison" else 200)(receiver, peer)

    receiver = receive(choosy)
    settings = settings_for(tmp_path, receiver.url)
    put(conn, "poison", "b", "c")
    for _ in range(outbox.PATIENT_TRIES + 1):
        deliver(settings, database)
        make_due(conn)
    assert [state for state, _ in rows(conn)] == ["new", "sent", "sent"]


def test_a_request_that_was_given_up_before_it_began_is_never_made(
    conn: psycopg.Connection,
    database: Database,
    tmp_path: Path,
    receive: Callable[..., Receiver],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A name lookup that hangs obeys no timeout. When it comes back at last, the message is somebody else's."""
    receiver = receive(answer(200))
    found, released = threading.Event(), threading.Event()
    real = socket.getaddrinfo

    def slow(*arguments: Any, **options: Any) -> Any:
        found.set()
        assert released.wait(20)
        return real(*arguments, **options)

    put(conn, "a")
    with monkeypatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", slow)
        patch.setattr(delivery, "BUDGET_S", 0.8)
        deliver(settings_for(tmp_path, receiver.url), database)
    assert found.is_set() and rows(conn) == [("new", 1)]
    requests = [thread for thread in threading.enumerate() if thread.name == "webhook"]
    assert len(requests) == 1
    released.set()
    requests[0].join(10)
    assert receiver.bodies == []
    make_due(conn)
    deliver(settings_for(tmp_path, receiver.url), database)
    assert receiver.texts == ["a"]


def test_eight_runs_that_deliver_at_once_send_each_message_once(
    conn: psycopg.Connection, database: Database, tmp_path: Path, receive: Callable[..., Receiver]
) -> None:
    receiver = receive(answer(200))
    settings = settings_for(tmp_path, receiver.url)
    texts = [f"m{number:02}" for number in range(40)]
    put(conn, *texts)
    threads = [threading.Thread(target=deliver, args=(settings, database)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    deliver(settings, database)
    assert sorted(receiver.texts) == texts and rows(conn) == [("sent", 1)] * 40


def test_a_sender_cut_off_from_the_database_in_the_middle_leaves_unknown(
    conn: psycopg.Connection, database: Database, tmp_path: Path, receive: Callable[..., Receiver], log_file: Path
) -> None:
    def cut_off(receiver: Receiver, peer: socket.socket) -> None:
        conn.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name LIKE '%/outbox'"
        )
        answer(200)(receiver, peer)

    receiver = receive(cut_off, answer(200))
    settings = settings_for(tmp_path, receiver.url)
    put(conn, "a")
    deliver(settings, database)
    assert '"outbox_not_sent"' in log_file.read_text()
    deliver(settings, database)
    assert rows(conn) == [("unknown", 1)] and receiver.texts == ["a"]


SENDER = """
import sys
from pathlib import Path
from jobctl.alerts import delivery
from jobctl.db.connection import Database
from jobctl.redact import Redactor
from jobctl.settings import Settings

settings = Settings(data_dir=Path("/"), enable_slack_alerts=True, slack_webhook_url=sys.argv[2])
delivery.BUDGET_S = 20
delivery.deliver(settings, Redactor(), lambda: Database(sys.argv[1], "sender"))
sys.exit(3)
"""


@pytest.mark.parametrize(
    ("number", "exit_code"), [(signal.SIGKILL, -signal.SIGKILL), (signal.SIGTERM, 3), (signal.SIGINT, 3)]
)
def test_a_sender_that_gets_a_signal_in_the_middle_leaves_unknown_and_only_kill_takes_its_exit_code(
    number: int,
    exit_code: int,
    conn: psycopg.Connection,
    database: Database,
    tmp_path: Path,
    receive: Callable[..., Receiver],
) -> None:
    receiver = receive(hang, answer(200))
    put(conn, "a", "b")
    sender = subprocess.Popen(
        [sys.executable, "-c", SENDER, database.dsn, receiver.url],
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
    )
    try:
        wait_for(receiver.got_one.is_set)
        sender.send_signal(number)
        assert sender.wait(15) == exit_code
    finally:
        sender.kill()
        sender.wait()
    sessions = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'sender/outbox'"
    wait_for(lambda: conn.execute(sessions).fetchone() == (0,))
    deliver(settings_for(tmp_path, receiver.url), database)
    assert rows(conn) == [("unknown", 1), ("sent", 1)] and receiver.texts == ["a", "b"]


@pytest.mark.parametrize("changes", [{"enable_slack_alerts": False}, {"slack_webhook_url": None}], ids=str)
def test_without_a_channel_nothing_is_connected_to(
    changes: dict[str, object], tmp_path: Path, receive: Callable[..., Receiver]
) -> None:
    receiver = receive(answer(200))
    asked: list[bool] = []

    def refuse() -> Database:
        asked.append(True)
        raise AssertionError("it asked for the database")

    settings = settings_for(tmp_path, receiver.url, **changes)
    delivery.deliver(settings, Redactor(settings.secrets()), refuse)
    assert not asked and receiver.connections == 0


def test_a_database_that_is_away_is_a_line_in_the_log_and_no_error(tmp_path: Path, log_file: Path) -> None:
    deliver(settings_for(tmp_path, refusing_url()), Database(f"host={tmp_path} dbname=x", "t"))
    assert '"outbox_not_sent"' in log_file.read_text()


@pytest.mark.parametrize(
    "behave",
    [answer(200), answer(400, SECRET), answer(500, f"no /services/{SECRET} here"), cut, None],
    ids=["200", "400", "500", "cut", "refused"],
)
def test_the_address_is_in_no_log_line_and_no_row(
    behave: Behaviour | None,
    conn: psycopg.Connection,
    database: Database,
    tmp_path: Path,
    receive: Callable[..., Receiver],
    log_file: Path,
) -> None:
    url = receive(behave).url if behave else refusing_url()
    settings = settings_for(tmp_path, url)
    put(conn, "a")
    for _ in range(5):
        deliver(settings, database)
        make_due(conn)
    row = conn.execute("SELECT string_agg(o::text, ' ') FROM ops.outbox AS o").fetchone()
    assert row is not None and row[0]
    written = row[0] + log_file.read_text()
    assert '"outbox_' in written
    assert TOKEN not in written and "services/T0" not in written
    assert isinstance(settings.slack_webhook_url, SecretStr)
