"""`jobctl report`, as cron or a lead runs it."""

import email.policy
import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Generator
from datetime import UTC, timedelta
from email.message import EmailMessage
from email.parser import BytesParser
from pathlib import Path
from typing import Any

import psycopg
import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from bench_metrics import Repositories
from bench_page import DOCS
from bench_report import keep_hour, keep_run
from bench_smtp import PASSWORD, USER, make_certificate, server_side
from jobctl import clock
from jobctl.reports.week import last_full

JSON_PAGE = (DOCS / "json.md").read_text(encoding="utf-8")
Command = Callable[..., "subprocess.CompletedProcess[str]"]
WEEK = last_full(clock.utc_now(), UTC)


class Post:
    """aiosmtpd with STARTTLS and a log-in; `bad` recipients are refused."""

    def __init__(self, certificate: Path, bad: str = "") -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            self.port: int = server.getsockname()[1]
        self.mails: list[tuple[str, EmailMessage]] = []
        self._bad = bad
        self.controller = Controller(
            self, hostname="127.0.0.1", port=self.port, tls_context=server_side(certificate), require_starttls=True,
            auth_required=True, authenticator=self._judge,
        )  # fmt: skip

    def _judge(self, _server: SMTP, _session: Session, _envelope: Envelope, _way: str, data: Any) -> AuthResult:
        assert isinstance(data, LoginPassword)
        return AuthResult(success=(data.login, data.password) == (USER.encode(), PASSWORD.encode()))

    async def handle_RCPT(self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _o: Any) -> str:  # noqa: N802
        if self._bad and address.startswith(self._bad):
            return "550 5.1.1 no such user"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        content = envelope.content
        assert isinstance(content, bytes)
        mail = BytesParser(policy=email.policy.default).parsebytes(content)
        assert isinstance(mail, EmailMessage)
        self.mails += [(to, mail) for to in envelope.rcpt_tos]
        return "250 taken"


@pytest.fixture
def post(tmp_path: Path) -> Generator[Post, None, None]:
    made = Post(make_certificate(tmp_path), bad="gone@")
    made.controller.start()
    yield made
    made.controller.stop()


@pytest.fixture
def week(conn: psycopg.Connection) -> None:
    """Rows of the last full week."""
    made = Repositories(conn)
    cat = made.project()
    made.bug(cat, "p0", created_at=WEEK.start)
    keep_hour(conn, WEEK.end - timedelta(hours=1))
    keep_run(conn, "sync", WEEK.start, status="failed", exit_code=1)


@pytest.fixture
def jobctl(database_url: str, tmp_path: Path) -> Command:
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "DATABASE_URL": database_url,
        "JOBCTL_DATA_DIR": str(tmp_path / "data"),
        "COLUMNS": "100",
        "REPORT_EMAILS": "ann@example.org,bob@example.org",
        "EMAIL_FROM": "Reports <reports@example.org>",
    }

    def jobctl(*words: object, code: int = 0, **settings: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "jobctl", "report", *map(str, words)]
        done = subprocess.run(
            command, env=environment | settings, text=True, capture_output=True, timeout=120, check=False
        )
        assert done.returncode == code, done.stderr or done.stdout
        assert "Traceback" not in done.stderr
        return done

    return jobctl


def told_on_the_page() -> set[str]:
    page = JSON_PAGE.partition("\n## `jobctl report --json`\n")[2].partition("\n## ")[0]
    archive = JSON_PAGE.partition("\n## `jobctl archive`\n")[2].partition("\n## ")[0]
    return set(re.findall(r"`([a-z0-9_]+)`", page + archive))


def way_of(post: Post, directory: Path, more: str = "") -> dict[str, str]:
    """The settings by which mails leave."""
    config = directory / "jobctl.toml"
    config.write_text(f'[mail]\nstarttls = "required"\n{more}')
    url = f"smtp://{USER}:{PASSWORD}@localhost:{post.port}"
    return {"SMTP_URL": url, "SSL_CERT_FILE": str(directory / "localhost.pem"), "JOBCTL_CONFIG": str(config)}


def keys_of(value: Any) -> set[str]:
    if isinstance(value, dict):
        own: dict[str, Any] = value  # pyright: ignore[reportUnknownVariableType]
        return set(own) | {key for each in own.values() for key in keys_of(each)}
    return {key for each in value for key in keys_of(each)} if isinstance(value, list) else set()  # pyright: ignore[reportUnknownVariableType]


def rows(conn: psycopg.Connection, question: str) -> list[tuple[Any, ...]]:
    return conn.execute(question.encode()).fetchall()


@pytest.mark.usefixtures("week")
def test_a_lead_looks_at_the_week_in_every_form_and_nothing_is_written(
    jobctl: Command, conn: psycopg.Connection, tmp_path: Path
) -> None:
    text = jobctl("--text").stdout
    assert text.startswith(f"Week {WEEK.number}, ") and "12,750 USD" in text and "octo/cat#" in text
    preview = jobctl("--preview", "--week", WEEK.name).stdout
    assert "What needs a decision" in preview and "12,750 USD" in preview and "\x1b" not in preview
    jobctl("--html", tmp_path / "week.html")
    page = (tmp_path / "week.html").read_text(encoding="utf-8")
    assert "12,750 USD" in page and "data:image/png;base64," in page

    dry = json.loads(jobctl("--dry-run", "--json").stdout)
    assert dry["recipients"] == ["ann@example.org", "bob@example.org"] and dry["counts"]["recipients"] == 2
    assert dry["report"]["week"]["name"] == WEEK.name and dry["letter"]["html"] > 5_000
    assert keys_of({name: dry[name] for name in ("report", "letter", "counts")}) - told_on_the_page() == set()
    told = jobctl("--dry-run", "-v").stdout
    assert "to: ann@example.org" in told and "subject: Week" in told and "attachments" in told

    twice = json.loads(jobctl("--dry-run", "--json", "--to", "ann@example.org", "--to", "Ann@Example.ORG").stdout)
    assert twice["recipients"] == ["ann@example.org"] and twice["counts"]["recipients"] == 1
    for words, said in (
        (("--week", "2026-W54"), "write it as 2026-W47"),
        (("--week", "2999-W01"), "still to come"),
        (("--to", "nobody"), "no e-mail address (it has a name, an @ and a domain)"),
        (("--text", "--preview"), "would stand on stdout together"),
    ):
        assert said in jobctl(*words, code=2).stderr
    assert jobctl("--html", tmp_path / "no" / "where.html", code=1).stderr.count("cannot be written") == 1
    assert conn.execute("SELECT count(*) FROM ops.job_history WHERE job = 'report'").fetchone() == (0,)


@pytest.mark.usefixtures("week")
def test_a_week_is_mailed_once_to_everybody_and_one_bad_address_holds_nobody_back(
    jobctl: Command, conn: psycopg.Connection, post: Post, tmp_path: Path
) -> None:
    """With the server's own eyes: what arrived, whole, encrypted, and once."""
    everybody = "ann@example.org,gone@example.org,bob@example.org"
    way = {**way_of(post, tmp_path), "REPORT_EMAILS": everybody}
    dry = json.loads(jobctl("--dry-run", "--json", **way).stdout)
    assert dry["counts"]["mails"] == 3 and not post.mails and rows(conn, "TABLE ops.report_mails") == []

    first = jobctl("--scheduled", "--json", code=3, **way)
    report = json.loads(first.stdout)
    assert (report["status"], report["degraded"]) == ("completed", True)
    assert {name: report["counts"][name] for name in ("mails", "mails_sent", "mails_failed", "mails_left")} == {
        "mails": 3, "mails_sent": 2, "mails_failed": 1, "mails_left": 0,
    }  # fmt: skip
    assert keys_of({name: report[name] for name in ("report", "letter", "counts")}) - told_on_the_page() == set()
    assert sorted(to for to, _ in post.mails) == ["ann@example.org", "bob@example.org"]
    for to, mail in post.mails:
        assert (mail["To"], mail["Subject"]) == (to, f"Week {WEEK.number}: a critical bug is nobody's")
        assert mail["List-Unsubscribe"] and mail.get_all("Message-ID") == [mail["Message-ID"]]
        html, text = mail.get_body(("html",)), mail.get_body(("plain",))
        assert html is not None and text is not None
        page = html.get_content()
        assert "12,750 USD" in page and "12,750 USD" in text.get_content()
        ids = [part["Content-ID"].strip("<>") for part in mail.walk() if part.get_content_type() == "image/png"]
        assert sorted(ids) == sorted(re.findall(r'src="cid:([^"]+)"', page)) and ids
        names = [part.get_filename() for part in mail.iter_attachments() if part.get_filename()]
        assert {"critical-bugs.csv", "jobs.csv"} <= set(names)
        assert 0.8 < len(mail.as_bytes(policy=email.policy.SMTP)) / dry["letter"]["mail"] < 1.2
    assert post.mails[0][1]["Message-ID"] != post.mails[1][1]["Message-ID"]

    again = json.loads(jobctl("--json", **way).stdout)
    assert again["counts"]["mails"] == 0 and len(post.mails) == 2
    assert "3 of 3 have this week's mail already" in again["notes"]
    outbox = json.loads(jobctl("outbox", "--json", **way).stdout)["items"]
    assert sorted((each["address"], each["state"]) for each in outbox) == [
        ("ann@example.org", "sent"), ("bob@example.org", "sent"), ("gone@example.org", "failed"),
    ]  # fmt: skip
    history = rows(
        conn, "SELECT status, degraded, exit_code FROM ops.job_history WHERE job = 'report' ORDER BY started_at"
    )
    assert history == [("completed", True, 3), ("completed", False, 0)]


@pytest.mark.usefixtures("week")
def test_without_a_way_the_mails_wait_and_the_rest_of_the_run_is_done(
    jobctl: Command, conn: psycopg.Connection, post: Post, tmp_path: Path
) -> None:
    """What is wrong with the way is told, as configuration; the next run that has one sends them."""
    said = jobctl("--scheduled", code=78)
    assert "SMTP_URL" in said.stderr and said.stderr.count("\n") == 1 and said.stdout == ""
    [(counts,)] = rows(conn, "SELECT counts FROM ops.job_history WHERE job = 'report'")
    assert counts["mails"] == 2 and "archived" in counts and "health_checked" in counts
    assert "EMAIL_FROM" in jobctl("--to", "eve@example.org", code=78, EMAIL_FROM="").stderr
    way = way_of(post, tmp_path)
    sent = json.loads(jobctl("--json", **way).stdout)
    assert sent["counts"]["mails"] == 0 and sent["counts"]["mails_sent"] == 2 == len(post.mails)


@pytest.mark.usefixtures("week")
def test_what_is_locked_is_told_as_not_read_and_the_rest_goes_out(
    jobctl: Command, conn: psycopg.Connection, post: Post, tmp_path: Path
) -> None:
    """A migration that holds a table on Monday at nine costs one section, and not the mail."""
    way = way_of(post, tmp_path, "[archive]\ntakes = []\n")
    with conn.transaction():
        conn.execute("LOCK TABLE queue.attempts IN ACCESS EXCLUSIVE MODE")
        look = jobctl("--text", code=3)
        assert "The queue could not be read" in " ".join(look.stdout.split())
        assert look.stderr.startswith("jobctl report: completed, but degraded: The queue could not be read: ")
        report = json.loads(jobctl("--json", code=3, **way).stdout)
    assert (report["status"], report["degraded"]) == ("completed", True)
    assert report["report"]["queue"] is None and set(report["report"]["unread"]) == {"queue"}
    assert keys_of({name: report[name] for name in ("report", "letter", "counts")}) - told_on_the_page() == set()
    assert len(post.mails) == 2
    for _, mail in post.mails:
        for part in mail.get_body(("html",)), mail.get_body(("plain",)):
            assert part is not None
            said = " ".join(part.get_content().split())
            assert "The queue could not be read: PostgreSQL error 55P03: canceling" in said and "12,750 USD" in said
    assert rows(conn, "SELECT count(*) FROM ops.sync_events WHERE event = 'report_part_unread'") == [(1,)]
