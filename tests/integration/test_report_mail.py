"""The weekly mail leaves once for each who gets it: by real SMTP with STARTTLS and log-in, and by two mail services."""

import json
import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from email import message_from_bytes
from email.policy import default
from pathlib import Path
from typing import Any, Self

import psycopg
import pytest
import typer
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from typer.testing import CliRunner

from bench_mail import MailBox
from bench_report_mail import LETTER, SHORT, WEEK, put, send, settings_for, states
from bench_retry import RetryFailed
from bench_smtp import PASSWORD, USER, Fault, SmtpServer, make_certificate, server_side
from bench_webhook import Receiver, answer, cut, hang, refusing_url
from jobctl.alerts.conditions import mails
from jobctl.cli import report_mail_commands, session
from jobctl.db.connection import Database
from jobctl.errors import ConfigurationError, DataError, UsageError
from jobctl.jobs import look_around
from jobctl.jobs.retry_failed import draining
from jobctl.jobs.work.handlers import Handlers
from jobctl.reports import mail_store, mailing, ways
from jobctl.reports.letter import Image, Letter
from jobctl.settings import Settings


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


class Server:
    """aiosmtpd, which refuses `bad`."""

    def __init__(self, tls: ssl.SSLContext, bad: str = "") -> None:
        self.envelopes: list[Envelope] = []
        self.users: list[bytes | None] = []
        self._bad = bad
        self.port = free_port()
        self._controller = Controller(
            self, hostname="127.0.0.1", port=self.port, tls_context=tls, require_starttls=True, auth_required=True,
            authenticator=self._judge,
        )  # fmt: skip

    def content(self, nth: int) -> bytes:
        content = self.envelopes[nth].content
        assert isinstance(content, bytes)
        return content

    def __enter__(self) -> Self:
        self._controller.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._controller.stop()

    def _judge(self, _server: SMTP, _session: Session, _envelope: Envelope, _way: str, data: Any) -> AuthResult:
        assert isinstance(data, LoginPassword)
        self.users.append(data.login)
        return AuthResult(success=(data.login, data.password) == (USER.encode(), PASSWORD.encode()))

    async def handle_RCPT(self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _o: Any) -> str:  # noqa: N802
        if self._bad and address.startswith(self._bad):
            return "550 5.1.1 no such user"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        self.envelopes.append(envelope)
        return "250 OK"


@pytest.fixture
def certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = make_certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    return path


def by_smtp(directory: Path, url: str, **mail: object) -> Settings:
    return settings_for(directory, smtp_url=url, mail={"timeout_s": 5, **mail})


def api(directory: Path, way: str, receiver: Receiver | str, **changes: object) -> Settings:
    url = receiver if isinstance(receiver, str) else receiver.url
    base = url.partition("/services")[0]
    return settings_for(
        directory, **{f"{way}_api_key": "key-c4n4ry", "mail": {"api_url": base, "timeout_s": 1, **changes}}
    )


def test_a_real_server_gets_each_mail_once_encrypted_and_logged_in(
    conn: psycopg.Connection, database: Database, tmp_path: Path, certificate: Path
) -> None:
    with Server(server_side(certificate), bad="bob") as server:
        settings = by_smtp(tmp_path, f"smtp://{USER}:{PASSWORD}@localhost:{server.port}", starttls="required")
        people = ("ann@example.org", "bob@example.org", "Cid <cid@bücher.example>", "no address", "ANN@example.org")
        assert put(conn, settings, *people, letter=LETTER) == 4
        sent = send(settings, database)
        assert (sent.sent, sent.failed, sent.unknown, sent.left) == (2, 1, 0, 0)
        assert put(conn, settings, *people, "dan@example.org", letter=SHORT) == 1
        assert send(settings, database).sent == 1 and send(settings, database).sent == 0
    assert server.users == [USER.encode()] * 2  # a session for all
    assert [envelope.rcpt_tos for envelope in server.envelopes] == [
        ["ann@example.org"],
        ["cid@xn--bcher-kva.example"],
        ["dan@example.org"],
    ]
    assert states(conn) == {
        "ann@example.org": "sent",
        "bob@example.org": "failed",
        "cid@xn--bcher-kva.example": "sent",
        "no address": "failed",
        "dan@example.org": "sent",
    }
    lines = {line.address: line for line in mail_store.list_mails(conn)}
    assert "550 5.1.1 no such user" in (lines["bob@example.org"].error or "")
    first = message_from_bytes(server.content(0), policy=default)
    assert first["To"] == "ann@example.org" and first["Message-ID"] == lines["ann@example.org"].message_id
    assert first["List-Unsubscribe"] == "<mailto:reports@example.org?subject=unsubscribe>"
    leaves = [part for part in first.walk() if not part.is_multipart()]
    assert [part.get_content_type() for part in leaves] == [
        *("text/plain", "text/html", "image/png", "image/png", "text/csv")
    ]
    assert leaves[0].get_content().splitlines() == LETTER.text.splitlines()  # with its dots
    assert [part.get_payload(decode=True) for part in leaves[2:]] == [
        *(image.png for image in LETTER.images),
        LETTER.attachments[0].content,
    ]
    size = mailing.size_of(settings, LETTER, week=WEEK, recipient="ann@example.org", now=first["Date"].datetime)
    assert size == lines["ann@example.org"].bytes


def test_a_later_try_and_a_resend_are_the_same_bytes(
    conn: psycopg.Connection, database: Database, tmp_path: Path
) -> None:
    with SmtpServer() as server:
        settings = by_smtp(tmp_path, server.url)
        put(conn, settings, "ann@example.org", letter=LETTER)
        server.expect(Fault("after-dot", "cut"))
        assert send(settings, database).unknown == 1
        assert send(settings, database).sent == 0  # nobody sends it by itself
        with database.transaction(conn):
            assert mail_store.send_again(conn, WEEK, ["unknown"]) == 1
        assert send(settings, database).sent == 1
    first, second = server.taken
    assert first == second


def test_a_refusal_for_now_is_tried_again_in_the_run_and_one_for_good_is_not(
    conn: psycopg.Connection, database: Database, tmp_path: Path
) -> None:
    with SmtpServer() as server:
        settings = by_smtp(tmp_path, server.url)
        put(conn, settings, "ann@example.org", "bob@example.org")
        server.expect(Fault("rcpt", "4xx", times=2))
        sent = send(settings, database, waits_s=(0.0, 0.0))
        assert (sent.sent, sent.left, sent.problem) == (2, 0, "")
        put(conn, settings, "cid@example.org")
        server.expect(Fault("mail", "5xx", times=99))
        sent = send(settings, database, waits_s=(0.0, 0.0))
        assert (sent.left, sent.problem) == (1, "550 never")
        assert server.commands.count("MAIL") == 4 + 1
        settings = by_smtp(tmp_path, server.url, keep_unsent_s=3_600)
        conn.execute("UPDATE ops.report_mails SET due_at = due_at - interval '2 hours'")
        assert send(settings, database).failed == 1
        assert states(conn)["cid@example.org"] == "failed"


class OddServer(SmtpServer):
    """Says at one point what no text of PostgreSQL's can hold, and a terminal would obey."""

    def __init__(self, point: str, said: str) -> None:
        super().__init__()
        self._odd = point, said

    def at(self, point: str) -> str | None:
        return self._odd[1] if point == self._odd[0] else super().at(point)


@pytest.mark.parametrize(
    ("point", "said", "state"),
    [("rcpt", "550 no\0\x1b[31m", "failed"), ("mail", "451 no\0w\x9b", "new"), ("after-dot", "250 yes\0", "sent")],
)
def test_whatever_a_server_says_is_kept_as_plain_words(
    conn: psycopg.Connection, database: Database, tmp_path: Path, point: str, said: str, state: str
) -> None:
    with OddServer(point, said) as server:
        settings = by_smtp(tmp_path, server.url)
        put(conn, settings, "ann@example.org", "bob@example.org")
        send(settings, database)
    rows = conn.execute("SELECT state, error_message FROM ops.report_mails ORDER BY mail_id").fetchall()
    assert [row[0] for row in rows] == [state, state]
    assert rows[0][1].startswith(said[:3]) and rows[0][1].isprintable()


def test_a_server_that_closes_after_each_mail_gets_all_of_them(
    conn: psycopg.Connection, database: Database, tmp_path: Path
) -> None:
    with SmtpServer() as server:
        settings = by_smtp(tmp_path, server.url)
        put(conn, settings, *(f"p{n}@example.org" for n in range(6)))
        server.expect(Fault("after-answer", "cut", times=99))
        assert send(settings, database).sent == 6
        assert server.connections == 6 and len(server.taken) == 6


def test_three_cuts_in_a_row_end_a_pass_and_those_least_tried_come_first(
    conn: psycopg.Connection, database: Database, tmp_path: Path
) -> None:
    with SmtpServer() as server:
        settings = by_smtp(tmp_path, server.url)
        put(conn, settings, *(f"p{n}@example.org" for n in range(5)))
        server.expect(Fault("rcpt", "cut", times=3))
        sent = send(settings, database)
        assert (sent.left, sent.sent) == (5, 0) and sent.problem
        assert send(settings, database).sent == 5
    assert [each.recipient[:2] for each in server.taken] == ["p3", "p4", "p0", "p1", "p2"]


def test_two_senders_at_once_send_each_mail_once(conn: psycopg.Connection, database: Database, tmp_path: Path) -> None:
    with SmtpServer() as server:
        settings = by_smtp(tmp_path, server.url)
        put(conn, settings, *(f"p{n}@example.org" for n in range(40)))
        threads = [threading.Thread(target=send, args=(settings, database)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert sorted(each.recipient for each in server.taken) == sorted(f"p{n}@example.org" for n in range(40))
    assert set(states(conn).values()) == {"sent"}


def test_a_row_whose_sender_is_gone_is_unknown_and_one_whose_sender_lives_is_not(
    conn: psycopg.Connection, database: Database, tmp_path: Path
) -> None:
    settings = by_smtp(tmp_path, "smtp://localhost:1")
    put(conn, settings, "ann@example.org", "bob@example.org")
    ann, bob = (mail_store.read(conn, each) for each in mail_store.waiting(conn))
    assert ann is not None and bob is not None
    with database.connect() as other:
        for mail in (ann, bob):
            with other.transaction():
                assert mail_store.claim(other, mail, "smtp")
        assert not mail_store.claim(conn, ann, "smtp")
        with other.transaction():
            assert mail_store.hold(other, ann)
            assert mail_store.give_up_lost(conn) == 1
            assert states(conn) == {"ann@example.org": "sending", "bob@example.org": "unknown"}
            assert mail_store.settle(other, ann, "sent", "250 ok", keep_s=60) == "sent"
        with other.transaction():  # it was believed lost too early, and takes it back
            assert mail_store.hold(other, bob)
            assert mail_store.settle(other, bob, "unknown", None, keep_s=60) == "unknown"
    mail_store.send_again(conn, WEEK, ["unknown"])
    assert not mail_store.hold(conn, bob)  # a person has decided about it


def test_without_encryption_nothing_is_sent_and_no_password_told(
    conn: psycopg.Connection, database: Database, tmp_path: Path
) -> None:
    with MailBox("AUTH PLAIN LOGIN") as box:
        settings = by_smtp(tmp_path, f"smtp://{USER}:{PASSWORD}@127.0.0.1:{box.port}", starttls="required")
        put(conn, settings, "ann@example.org")
        sent = send(settings, database, waits_s=(0.0,))
        assert sent.left == 1 and "STARTTLS" in sent.problem
        assert box.commands.count("EHLO") == 1  # waiting does not help
    assert "AUTH" not in box.commands and box.mails == []


def test_a_certificate_of_nobody_is_refused(conn: psycopg.Connection, database: Database, tmp_path: Path) -> None:
    with SmtpServer(server_side(make_certificate(tmp_path)), with_auth=True) as server:
        settings = by_smtp(tmp_path, server.url, starttls="required")
        put(conn, settings, "ann@example.org")
        sent = send(settings, database)
    assert sent.left == 1 and "certificate" in sent.problem.lower() and "AUTH" not in server.commands


def test_resend_is_asked_once_with_a_key_of_the_mails_own(
    conn: psycopg.Connection, database: Database, tmp_path: Path, receive: Callable[..., Receiver]
) -> None:
    receiver = receive(answer(200, '{"id": "1"}'))
    settings = api(tmp_path, "resend", receiver, reply_to="team@example.org")
    put(conn, settings, "ann@example.org", letter=LETTER)
    assert send(settings, database).sent == 1
    (body,), (headers,) = receiver.bodies, receiver.headers
    line = mail_store.list_mails(conn)[0]
    assert receiver.paths == ["/emails"] and headers["authorization"] == "Bearer key-c4n4ry"
    assert headers["idempotency-key"] == line.message_id.strip("<>")
    assert body["from"] == "Reports <reports@example.org>" and body["to"] == ["ann@example.org"]
    assert body["subject"] == LETTER.subject and body["reply_to"] == "team@example.org"
    assert body["text"].rstrip() == LETTER.text.rstrip() and body["html"].rstrip() == LETTER.html.rstrip()
    assert [file.get("content_id") for file in body["attachments"]] == ["trend@jobctl", "heat", None]
    assert body["headers"]["Message-ID"] == line.message_id and "List-Unsubscribe" in body["headers"]


def test_sendgrid_is_asked_for_the_same(
    conn: psycopg.Connection, database: Database, tmp_path: Path, receive: Callable[..., Receiver]
) -> None:
    receiver = receive(answer(202, ""))
    settings = api(tmp_path, "sendgrid", receiver)
    put(conn, settings, "ann@example.org", letter=LETTER)
    assert send(settings, database).sent == 1
    (body,) = receiver.bodies
    assert receiver.paths == ["/v3/mail/send"]
    assert body["personalizations"] == [{"to": [{"email": "ann@example.org"}]}]
    assert body["from"] == {"email": "reports@example.org", "name": "Reports"}
    assert [part["type"] for part in body["content"]] == ["text/plain", "text/html"]
    assert [file["disposition"] for file in body["attachments"]] == ["inline", "inline", "attachment"]


@pytest.mark.parametrize("way", ["resend", "sendgrid"])
@pytest.mark.parametrize(
    ("behaviour", "expected", "asked"),
    [
        (answer(400, "bad"), {"failed": 2}, 2),
        (answer(401, "who?"), {"new": 2}, 1),
        (answer(429, "slow"), {"new": 2}, 1),
        (answer(500, "oops"), {"unknown": 2}, 2),
        (answer(504, "oops"), {"unknown": 2}, 2),
        (answer(302, "", "Location: http://127.0.0.1:1/\r\n"), {"new": 2}, 1),
        (cut, {"unknown": 2}, 2),
        (hang, {"unknown": 2}, 2),
        (None, {"new": 2}, 0),
    ],
)
def test_what_a_service_says_of_a_mail_is_what_becomes_of_it(
    conn: psycopg.Connection,
    database: Database,
    tmp_path: Path,
    receive: Callable[..., Receiver],
    way: str,
    behaviour: Any,
    expected: dict[str, int],
    asked: int,
) -> None:
    receiver = receive(behaviour) if behaviour is not None else None
    settings = api(tmp_path, way, receiver or refusing_url())
    put(conn, settings, "ann@example.org", "bob@example.org")
    send(settings, database)
    found = [*states(conn).values()]
    assert {state: found.count(state) for state in found} == expected
    assert asked == (len(receiver.bodies) if receiver is not None else 0)
    assert not any("key-c4n4ry" in (line.error or "") for line in mail_store.list_mails(conn))


def test_the_way_is_the_one_that_is_set_up(tmp_path: Path) -> None:
    both = {"smtp_url": "smtp://localhost", "resend_api_key": "k"}
    assert ways.chosen(settings_for(tmp_path)) is None
    assert ways.chosen(settings_for(tmp_path, sendgrid_api_key="k")) == "sendgrid"
    assert ways.chosen(settings_for(tmp_path, **both)) == "smtp"
    assert ways.chosen(settings_for(tmp_path, **both, mail={"way": "resend"})) == "resend"


def test_what_cannot_be_a_mail_is_said_before_anything_is_written(conn: psycopg.Connection, tmp_path: Path) -> None:
    settings = settings_for(tmp_path, mail={"largest_mb": 1})
    with pytest.raises(DataError, match="more than 1 MiB"):
        put(conn, settings, "ann@example.org", letter=Letter("s", "h", "t", (Image("a", b"x" * (1 << 20), ""),)))
    with pytest.raises(DataError, match="name of a picture"):
        put(conn, settings, "ann@example.org", letter=Letter("s", "h", "t", (Image("a b", b"", ""),)))
    with pytest.raises(ConfigurationError, match="no sender"):
        put(conn, settings.model_copy(update={"email_from": None}), "ann@example.org")
    assert states(conn) == {}


def test_mails_without_a_way_are_a_fault_of_the_settings(
    conn: psycopg.Connection, database: Database, tmp_path: Path
) -> None:
    settings = settings_for(tmp_path)
    assert send(settings, database).left == 0
    put(conn, settings, "ann@example.org")
    with pytest.raises(ConfigurationError, match="no way"):
        send(settings, database)


def test_what_is_not_sent_is_an_alert_until_it_is(conn: psycopg.Connection, database: Database, tmp_path: Path) -> None:
    settings = by_smtp(tmp_path, "smtp://localhost:1")
    put(conn, settings, "ann@example.org", "no address")
    (verdict,) = look_around.of_mails(conn, settings)
    assert verdict.is_firing and verdict.title == f"report {WEEK}: of its mails 1 were refused"
    conn.execute("UPDATE ops.report_mails SET due_at = due_at - interval '2 hours', state = 'new'")
    (verdict,) = look_around.of_mails(conn, settings)
    assert verdict.title == f"report {WEEK}: of its mails 2 wait"
    conn.execute("UPDATE ops.report_mails SET state = 'sent'")
    (verdict,) = look_around.of_mails(conn, settings)
    assert verdict.is_firing is False
    conn.execute("UPDATE ops.report_mails SET created_at = created_at - interval '15 days'")
    assert look_around.of_mails(conn, settings) == []
    off = {name: each.model_copy(update={"enabled": False}) for name, each in
           settings.alert_settings.conditions.items()}  # fmt: skip
    assert mails.of_mails([mails.Mails(WEEK, 0, 1, 1, 1, 1e9)], off, verdict.at + timedelta(1)) == []


def test_what_the_reports_own_run_could_not_send_is_sent_hourly(
    conn: psycopg.Connection, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(draining, "installed", lambda: Handlers(()))
    retry = RetryFailed(database, conn)
    with SmtpServer() as server:
        settings = by_smtp(tmp_path, server.url)
        put(conn, settings, "ann@example.org")
        server.expect(Fault("connect", "cut", times=99))
        assert retry(settings=settings).notes[0].startswith("1 weekly mails wait: SMTPServerDisconnected")
        server.expect(None)
        retry(settings=settings, dry_run=True)
        assert states(conn) == {"ann@example.org": "new"}
        assert retry(settings=settings).notes == []
    assert states(conn) == {"ann@example.org": "sent"}


class Commands:
    """`jobctl report outbox` and `resend`, in this process."""

    def __init__(self, settings: Settings, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
        def open_it(_settings: Settings) -> Database:
            return database

        monkeypatch.setattr(session, "current_settings", lambda: settings)
        monkeypatch.setattr(session, "open_database", open_it)
        self._app = typer.Typer()
        report_mail_commands.add_to(self._app)

    def __call__(self, *words: str) -> tuple[int, dict[str, Any]]:
        result = CliRunner().invoke(self._app, [*words, "--json"])
        if isinstance(result.exception, UsageError):
            return 2, {"error": f"{result.exception} ({result.exception.hint})"}
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result.exit_code, json.loads(result.stdout)


def test_an_operator_sees_and_sends_again(
    conn: psycopg.Connection, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with SmtpServer() as server:
        settings = by_smtp(tmp_path, server.url)
        jobctl = Commands(settings, database, monkeypatch)
        put(conn, settings, "ann@example.org", "bob@example.org", "cid@example.org", "dan@example.org")
        assert jobctl("resend", WEEK)[1]["mails_sent"] == 4
        conn.execute("UPDATE ops.report_mails SET state = 'unknown' WHERE address LIKE 'bob%%' OR address LIKE 'dan%%'")
        conn.execute("UPDATE ops.report_mails SET state = 'failed' WHERE address LIKE 'cid%%'")
        code, page = jobctl("outbox", "--limit", "2")
        assert code == 0 and [item["address"] for item in page["items"]] == ["dan@example.org", "cid@example.org"]
        assert list(page["items"][0]) == [
            *("mail_id", "week", "address", "message_id", "state", "tries", "way", "bytes", "error"),
            *("created_at", "updated_at"),
        ]
        code, rest = jobctl("outbox", "--after", str(page["next"]))
        assert [item["address"] for item in rest["items"]] == ["bob@example.org", "ann@example.org"]
        assert rest["next"] is None and len(jobctl("outbox", "--week", "2026-w47")[1]["items"]) == 4
        assert [item["address"] for item in jobctl("outbox", "--state", "failed")[1]["items"]] == ["cid@example.org"]
        server.taken.clear()
        assert jobctl("resend", WEEK)[1]["again"] == 0
        none = dict.fromkeys(("mails_failed", "mails_unknown", "mails_left"), 0)
        expected = {"week": WEEK, "again": 1, "mails_sent": 1, **none, "problem": None}
        assert jobctl("resend", WEEK, "--failed") == (0, expected)
        code, said = jobctl("resend", WEEK, "--unknown")
        assert code == 2 and "2 of the mails may have arrived already" in said["error"] and "--yes" in said["error"]
        assert "it is not sent again" in jobctl("resend", WEEK, "--to", "ann@example.org", "--yes")[1]["error"]
        assert "there is no mail of 2026-W47 to" in jobctl("resend", WEEK, "--to", "eve@example.org")[1]["error"]
        assert "no week" in jobctl("resend", "2026-W60")[1]["error"]
        assert jobctl("resend", "2026-w47")[1]["week"] == WEEK
        assert "there is no mail" in jobctl("resend", "2026-W40")[1]["error"]
        assert jobctl("resend", WEEK, "--to", "BOB@example.org", "--yes")[1]["mails_sent"] == 1
        server.expect(Fault("mail", "5xx", times=9))
        code, said = jobctl("resend", WEEK, "--unknown", "--yes")
        assert (code, said["mails_left"], said["problem"]) == (75, 1, "550 never")
        assert [each.recipient for each in server.taken] == ["cid@example.org", "bob@example.org"]
    with closing(conn):
        assert states(conn)["dan@example.org"] == "new"
