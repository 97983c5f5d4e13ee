"""Incidents in the database: from rows of runs to one message, through real channels on the loopback, or by a file."""

import json
import smtplib
import sys
import threading
import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from email import message_from_string
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from bench_mail import MailBox
from bench_webhook import TOKEN, Receiver, answer, refusing_url, settings_for
from jobctl import log
from jobctl.alerts import delivery, judging, local, rules, store
from jobctl.alerts.conditions.queue import Backlog, of_backlogs
from jobctl.alerts.conditions.run_fact import RunFact
from jobctl.alerts.conditions.runs import of_runs
from jobctl.alerts.judging import Ended
from jobctl.alerts.verdict import Verdict
from jobctl.db.connection import Database
from jobctl.redact import Redactor
from jobctl.settings import Settings
from jobctl.settings_alerts import RuleSettings

REDACTOR = Redactor(["hunter-2-secret"])
OUTBOX = "SELECT channel, state, tries FROM ops.outbox ORDER BY message_id"


def mailing(box_url: str, **alerts: object) -> dict[str, Any]:
    return {
        "smtp_url": box_url,
        "email_from": "jobctl <jobs@example.org>",
        "alerts": {"emails": ["ops@example.org", "ann@example.org"], **alerts},
    }


def ran(conn: psycopg.Connection, job: str, status: str = "failed", error: str | None = "DatabaseUnavailable",
        scope: str = "", message: str = "away", **evidence: object) -> None:  # fmt: skip
    """A row of history that has just got its end."""
    conn.execute(
        "INSERT INTO ops.job_history (run_id, job, scope, correlation_id, status, exit_code, host, os_user,"
        " supervisor_pid, version, command, started_at, finished_at, duration_ms, error_class, error_message, evidence)"
        " VALUES (%s, %s, %s, 'c', %s, %s, 'vm1', 'u', 1, '0', 'x', clock_timestamp(), clock_timestamp(), 10, %s, %s,"
        " %s)",
        (uuid.uuid4(), job, scope, status, 0 if status in ("completed", "skipped") else 75,
         error if status == "failed" else None, message, Jsonb(evidence)),
    )  # fmt: skip


def ends(conn: psycopg.Connection, settings: Settings, job: str, status: str = "failed", scope: str = "",
         **row: Any) -> None:  # fmt: skip
    """A run's end, judged in its transaction."""
    with conn.transaction():
        ran(conn, job, status, scope=scope, **row)
        judging.runs_ended(conn, settings, REDACTOR, [Ended(job, scope)])


def deliver(settings: Settings, database: Database) -> None:
    delivery.deliver(settings, REDACTOR, lambda: database)


def incidents(conn: psycopg.Connection) -> list[Any]:
    return conn.execute("SELECT cause, state, occurrences, notices FROM ops.incidents ORDER BY incident_id").fetchall()


@pytest.fixture
def log_file(tmp_path: Path) -> Path:
    log.configure(settings_for(tmp_path, log_level="DEBUG"), REDACTOR)
    return tmp_path / "jobctl.log"


def test_a_thousand_failures_of_five_jobs_with_one_cause_are_one_alert_and_one_recovery(
    conn: psycopg.Connection, database: Database, tmp_path: Path, receive: Callable[..., Receiver]
) -> None:
    """Five processes at once, as five hosts' crons would run them."""
    receiver = receive(answer(200))
    settings = settings_for(tmp_path, receiver.url)
    jobs = ["ingest-branch", "sync", "metrics", "report", "work"]

    def fail(job: str) -> None:
        with database.connect() as own:
            for _ in range(200):
                ends(own, settings, job)

    threads = [threading.Thread(target=fail, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(300)
    deliver(settings, database)
    assert incidents(conn) == [("database", "open", 1_000, 1)]
    assert len(receiver.texts) == 1 and receiver.texts[0].startswith("jobctl: PostgreSQL cannot be reached\n")
    for job in jobs:
        ends(conn, settings, job, "completed")
        deliver(settings, database)
    assert incidents(conn) == [("database", "resolved", 1_000, 2)]
    assert len(receiver.texts) == 2 and receiver.texts[1].startswith("jobctl: resolved: PostgreSQL cannot be reached\n")
    assert "\nlasted: " in receiver.texts[1] and "\nseen: 1,000 times" in receiver.texts[1]


def test_two_causes_at_once_are_two_incidents_and_each_has_its_own_end(
    conn: psycopg.Connection, database: Database, tmp_path: Path, receive: Callable[..., Receiver]
) -> None:
    receiver = receive(answer(200))
    settings = settings_for(tmp_path, receiver.url)
    for _ in range(5):
        ends(conn, settings, "sync", error="Limited")
        ends(conn, settings, "metrics", error="DatabaseUnavailable")
        ends(conn, settings, "work", error="DatabaseUnavailable")
    deliver(settings, database)
    assert incidents(conn) == [("github", "open", 5, 1), ("database", "open", 10, 1)]
    ends(conn, settings, "work", "completed")
    deliver(settings, database)
    assert [row[1] for row in incidents(conn)] == ["open", "resolved"]
    ends(conn, settings, "sync", "completed")
    deliver(settings, database)
    assert [text.partition("\n")[0] for text in receiver.texts] == [
        "jobctl: GitHub's limit is near or reached, or GitHub does not answer",
        "jobctl: PostgreSQL cannot be reached",
        "jobctl: resolved: PostgreSQL cannot be reached",
        "jobctl: resolved: GitHub's limit is near or reached, or GitHub does not answer",
    ]


def test_a_run_that_went_well_where_nothing_is_wrong_writes_nothing(conn: psycopg.Connection, tmp_path: Path) -> None:
    ends(conn, settings_for(tmp_path, refusing_url()), "sync", "completed")
    assert incidents(conn) == [] and conn.execute(OUTBOX).fetchall() == []


def test_an_alert_is_undone_with_the_row_it_tells_of(conn: psycopg.Connection, tmp_path: Path) -> None:
    with conn.transaction() as outer:
        ends(conn, settings_for(tmp_path, refusing_url()), "sync")
        assert len(incidents(conn)) == 1
        raise psycopg.Rollback(outer)
    assert incidents(conn) == [] and conn.execute(OUTBOX).fetchall() == []


def test_an_alert_that_cannot_be_kept_takes_nothing_else_along(
    conn: psycopg.Connection, tmp_path: Path, log_file: Path
) -> None:
    conn.execute("ALTER TABLE ops.outbox RENAME TO gone")
    ends(conn, settings_for(tmp_path, refusing_url()), "sync")
    assert conn.execute("SELECT count(*) FROM ops.job_history").fetchone() == (1,)
    assert '"alert_not_kept"' in log_file.read_text()


def test_without_a_channel_the_history_is_kept_and_switched_off_not_even_that(
    conn: psycopg.Connection, tmp_path: Path
) -> None:
    ends(conn, settings_for(tmp_path), "sync")
    assert incidents(conn) == [("database", "open", 1, 0)] and conn.execute(OUTBOX).fetchall() == []
    assert conn.execute("SELECT event FROM ops.incident_events").fetchall() == [("opened",)]


def test_acknowledged_and_snoozed_by_a_person_it_is_silent(
    conn: psycopg.Connection, database: Database, tmp_path: Path, receive: Callable[..., Receiver]
) -> None:
    receiver = receive(answer(200))
    settings = settings_for(tmp_path, receiver.url, alerts={"realert_every_s": 1})
    ends(conn, settings, "sync")
    (kept,) = store.open_incidents(conn)
    with conn.transaction():
        assert store.acknowledge(conn, kept.incident_id, who="ann", said="at it")
        assert not store.acknowledge(conn, 999, who="ann", said="")
    later(conn, "1 hour")
    ends(conn, settings, "sync")
    with conn.transaction():
        assert store.snooze(conn, kept.incident_id, datetime.now(UTC) + timedelta(hours=2), who="ann", said="")
    later(conn, "1 hour")
    ends(conn, settings, "sync")
    deliver(settings, database)
    assert len(receiver.texts) == 1
    conn.execute("UPDATE ops.incidents SET snoozed_until = clock_timestamp()")
    with conn.transaction():
        judging.time_passed(conn, settings, REDACTOR)
    deliver(settings, database)
    assert len(receiver.texts) == 2 and receiver.texts[1].startswith("jobctl: still: PostgreSQL")
    events = conn.execute("SELECT event, who FROM ops.incident_events ORDER BY event_id").fetchall()
    assert events == [("opened", ""), ("acknowledged", "ann"), ("snoozed", "ann"), ("again", "")]


def later(conn: psycopg.Connection, by: str) -> None:
    """Everything that was is as much longer ago."""
    conn.execute(
        "UPDATE ops.incidents SET told_at = told_at - %(by)s::interval, opened_at = opened_at - %(by)s::interval,"
        " last_seen_at = last_seen_at - %(by)s::interval",
        {"by": by},
    )
    conn.execute(
        "UPDATE ops.alerts SET first_seen_at = first_seen_at - %(by)s::interval,"
        " last_seen_at = last_seen_at - %(by)s::interval, cleared_at = cleared_at - %(by)s::interval",
        {"by": by},
    )
    conn.execute(
        "UPDATE ops.outbox SET updated_at = updated_at - %(by)s::interval, created_at = created_at - %(by)s::interval",
        {"by": by},
    )


def test_starts_behind_one_holder_are_told_with_the_third(conn: psycopg.Connection, tmp_path: Path) -> None:
    settings, holder = settings_for(tmp_path), str(uuid.uuid4())
    for nth in range(5):
        ends(conn, settings, "sync", "skipped", holder_run_id=holder)
        assert len(incidents(conn)) == (1 if nth >= 2 else 0)
    ends(conn, settings, "sync", "completed")
    assert [row[:2] for row in incidents(conn)] == [("skips/sync", "resolved")]


def test_what_a_complete_look_does_not_find_any_more_is_over(conn: psycopg.Connection, tmp_path: Path) -> None:
    settings = settings_for(tmp_path)
    backlog = of_backlogs([Backlog("a/b", 9_999, 3)], settings.alert_settings.conditions, datetime.now(UTC))

    def look(verdicts: Sequence[Verdict]) -> None:
        with conn.transaction():
            judging.judged(conn, settings, REDACTOR, verdicts, looked_at=("queue-backlog",))

    look(backlog)
    look(backlog)
    assert incidents(conn) == [("queue-backlog/queue a%2Fb", "open", 2, 0)]
    look([])
    assert [row[1] for row in incidents(conn)] == ["resolved"]


def test_more_incidents_than_a_batch_holds_open_stay_and_end_each_under_its_own_number(
    conn: psycopg.Connection, tmp_path: Path
) -> None:
    """As the hourly look at many projects hands them over: new ones between known ones, and what is gone."""
    settings = settings_for(tmp_path)
    now = datetime.now(UTC)
    number = 2 * store.BATCH + 1

    def look(subjects: Sequence[int], at: datetime) -> None:
        said = [of_project(each, at) for each in subjects]
        with conn.transaction():
            judging.judged(conn, settings, REDACTOR, said, looked_at=["sla-breach"])

    look(range(0, number, 2), now)
    look([*range(0, number, 4), *range(1, number, 2)], now + timedelta(hours=1))
    rows = conn.execute(
        "SELECT i.cause, i.title, i.state, i.occurrences, array_agg(DISTINCT a.subject),"
        " array_agg(DISTINCT a.title), array_agg(e.event ORDER BY e.event_id)"
        " FROM ops.incidents AS i JOIN ops.alerts AS a USING (incident_id) JOIN ops.incident_events AS e"
        " USING (incident_id) GROUP BY i.incident_id"
    ).fetchall()

    assert sorted(rows) == sorted(
        (
            f"sla-breach/octo/{each}",
            f"octo/{each} is late",
            "resolved" if each % 4 == 2 else "open",
            2 if each % 4 == 0 else 1,
            [f"octo/{each}"],
            [f"octo/{each} is late"],
            ["opened", "resolved"] if each % 4 == 2 else ["opened"],
        )
        for each in range(number)
    )


def of_project(number: int, at: datetime) -> Verdict:
    name = f"octo/{number}"
    return Verdict("sla-breach", name, True, at, cause=f"sla-breach/{name}", title=f"{name} is late")


@pytest.mark.parametrize("text", ["\x00", "\ud800", "x" * 9_000, "💥\U000e0041", "a/b%", "@here <!channel>"], ids=ascii)
def test_whatever_stands_in_a_row_its_incident_can_be_kept_told_and_ended(
    text: str, conn: psycopg.Connection, tmp_path: Path
) -> None:
    settings, now = settings_for(tmp_path, refusing_url()), datetime.now(UTC)
    fires = Verdict(text, text, True, now, text, text, ((text, text),))
    with conn.transaction():
        judging.judged(conn, settings, REDACTOR, [fires._replace(condition="run-failed")])
    assert [row[1] for row in incidents(conn)] == ["open"]
    with conn.transaction():
        judging.judged(conn, settings, REDACTOR, [fires._replace(condition="run-failed", is_firing=False)])
    assert [row[1] for row in incidents(conn)] == ["resolved"]


def test_secrets_are_in_no_table_and_no_message(conn: psycopg.Connection, tmp_path: Path) -> None:
    settings = settings_for(tmp_path, refusing_url())
    with conn.transaction():
        said = "with hunter-2-secret in it"
        fires = Verdict("x", said, True, datetime.now(UTC), said, said, ((said, said),))
        judging.judged(conn, settings, REDACTOR, [fires])
    tables = ("ops.incidents", "ops.alerts", "ops.incident_events", "ops.outbox")
    rows = [conn.execute(f"SELECT t::text FROM {name} AS t".encode()).fetchall() for name in tables]
    assert all(rows) and "hunter" not in str(rows)


# Mail ----------------------------------------------------------------------------------------------------------------


def mail_of(box: MailBox, nth: int = 0) -> EmailMessage:
    return message_from_string(box.mails[nth].removesuffix("\r\n.\r\n"), policy=default)


HOSTILE = "Bcc: x\r\nSubject: other\r\n.\r\nQUIT\r\n<!channel> @here https://evil.example =?utf-8?q?=40?= ünï"


def test_a_mail_arrives_as_one_text_with_the_headers_that_are_ours(
    conn: psycopg.Connection, database: Database, tmp_path: Path
) -> None:
    with MailBox() as box:
        settings = settings_for(tmp_path, **mailing(box.url, runbook_url="https://wiki.example.org/b"))
        ends(conn, settings, "sync", error="SourceError", message=HOSTILE)
        deliver(settings, database)
        deliver(settings, database)
    assert conn.execute(OUTBOX).fetchall() == [("email", "sent", 1)] and len(box.mails) == 1
    assert box.commands == ["EHLO", "MAIL", "RCPT", "RCPT", "DATA", "QUIT"]
    mail = mail_of(box)
    assert mail["To"] == "ops@example.org, ann@example.org" and mail["From"] == "jobctl <jobs@example.org>"
    assert mail["Subject"] == "jobctl: sync failed: SourceError" and "Bcc" not in mail
    assert mail.get_content_type() == "text/plain" and mail.get_content_charset() == "utf-8"
    lines = mail.get_content().replace("\r\n", "\n").splitlines()
    assert (
        lines[0] == "jobctl: sync failed: SourceError" and "runbook: https://wiki.example.org/b/run-failed.md" in lines
    )
    (error,) = [line for line in lines if line.startswith("error: ")]
    assert "ünï" in error and "@" not in error and "://evil" not in error and "<" not in error


@pytest.mark.parametrize(
    ("answers", "row"),
    [
        ({"MAIL": "451 later"}, ("email", "new", 1)),
        ({"RCPT": "550 nobody"}, ("email", "failed", 1)),
        ({"DATA": "452 full"}, ("email", "new", 1)),
        ({"DATA": "554 no"}, ("email", "failed", 1)),
        ({"EHLO": "421 not now", "HELO": "421 not now"}, ("email", "new", 1)),
    ],
    ids=str,
)
def test_what_the_mail_server_says_decides(
    answers: dict[str, str], row: tuple[str, str, int], conn: psycopg.Connection, database: Database, tmp_path: Path
) -> None:
    with MailBox(answers=answers) as box:
        settings = settings_for(tmp_path, **mailing(box.url))
        ends(conn, settings, "sync")
        deliver(settings, database)
    assert conn.execute(OUTBOX).fetchall() == [row] and box.mails == []


def test_a_mail_server_that_ends_after_the_mail_without_a_word_leaves_unknown(
    conn: psycopg.Connection, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(smtplib.SMTP, "getreply", wordless(smtplib.SMTP.getreply))
    with MailBox() as box:
        settings = settings_for(tmp_path, **mailing(box.url))
        ends(conn, settings, "sync")
        deliver(settings, database)
        assert conn.execute(OUTBOX).fetchall() == [("email", "unknown", 1)]
        later(conn, "1 hour")
        deliver(settings, database)
        assert conn.execute(OUTBOX).fetchall() == [("email", "unknown", 1)] and len(box.mails) == 1


def wordless(real: Callable[[smtplib.SMTP], tuple[int, bytes]]) -> Callable[[smtplib.SMTP], tuple[int, bytes]]:
    """The answer after the dot does not come."""
    seen: list[bytes] = []

    def getreply(session: smtplib.SMTP) -> tuple[int, bytes]:
        answer = real(session)
        if seen and seen[-1].startswith(b"go on"):
            session.close()
            raise smtplib.SMTPServerDisconnected("Connection unexpectedly closed")
        seen.append(answer[1])
        return answer

    return getreply


def test_a_mail_server_that_does_not_greet_costs_the_budget_and_no_more_and_keeps_slack_from_nothing(
    conn: psycopg.Connection,
    database: Database,
    tmp_path: Path,
    receive: Callable[..., Receiver],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(delivery, "BUDGET_S", 0.8)
    receiver = receive(answer(200))
    with MailBox(greets=False) as box:
        settings = settings_for(tmp_path, receiver.url, **mailing(box.url, stderr=True))
        ends(conn, settings, "sync")
        deliver(settings, database)
    assert conn.execute(OUTBOX).fetchall() == [("stderr", "sent", 1), ("slack", "sent", 1), ("email", "new", 1)]
    assert len(receiver.bodies) == 1


def test_stderr_gets_one_line(
    conn: psycopg.Connection, database: Database, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = settings_for(tmp_path, alerts={"stderr": True})
    ends(conn, settings, "sync", error="SourceError", message="gone\nand more")
    deliver(settings, database)
    assert capsys.readouterr().err == "jobctl: sync failed: SourceError (SourceError: gone and more)\n"


def test_slack_gets_blocks_with_what_the_run_was(
    conn: psycopg.Connection, database: Database, tmp_path: Path, receive: Callable[..., Receiver]
) -> None:
    receiver = receive(answer(200))
    settings = settings_for(tmp_path, receiver.url, alerts={"runbook_url": "https://wiki.example.org/b/"})
    ends(conn, settings, "sync", error="SourceError", message=HOSTILE + "y" * 200)
    deliver(settings, database)
    (body,) = receiver.bodies
    assert [block["type"] for block in body["blocks"]] == ["header", "section", "section", "context"]
    assert body["blocks"][0]["text"]["text"] == "jobctl: sync failed: SourceError"
    fields = [field["text"].partition("\n")[0] for field in body["blocks"][2]["fields"]]
    assert fields == ["status", "host", "run", "since", "incident", "look"]
    link = "<https://wiki.example.org/b/run-failed.md|Runbook>"
    assert body["blocks"][3]["elements"] == [{"type": "mrkdwn", "text": link, "verbatim": True}]
    plain = json.dumps(body["blocks"][:3])
    assert "mrkdwn" not in plain and "<" not in plain and "@" not in plain and "://" not in plain


# Apprise -------------------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore::DeprecationWarning:apprise")
def test_each_address_of_apprise_is_a_channel_of_its_own(
    conn: psycopg.Connection,
    database: Database,
    tmp_path: Path,
    receive: Callable[..., Receiver],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By two of its services, to a real receiver; a third one is broken, and a fourth is none of its."""
    monkeypatch.setattr(delivery, "BUDGET_S", 30.0)
    well, form, broken = receive(answer(200)), receive(answer(200)), receive(answer(500))
    urls = [
        well.url.replace("http://", "json://"),
        form.url.replace("http://", "form://"),
        broken.url.replace("http://", "json://"),
        "nosuchservice://host/path",
    ]
    settings = settings_for(tmp_path, apprise_urls=" ".join(urls))
    assert all(TOKEN not in redactor_of(settings).text(f"at {url}") for url in urls)
    ends(conn, settings, "sync", error="SourceError", message=HOSTILE)
    deliver(settings, database)
    assert conn.execute("SELECT channel, state FROM ops.outbox ORDER BY message_id").fetchall() == [
        ("apprise-1", "sent"), ("apprise-2", "sent"), ("apprise-3", "new"), ("apprise-4", "failed"),
    ]  # fmt: skip
    for receiver in (well, form):
        (body,) = receiver.bodies
        assert (body["title"], body["type"]) == ("jobctl: sync failed: SourceError", "warning")
        lines = body["message"].splitlines()
        (error,) = [line for line in lines if line.startswith("error: ")]
        assert "Bcc: x" in error and "@" not in body["message"] and "://" not in body["message"]
    ends(conn, settings, "sync", "completed")
    broken.then(answer(200))
    later(conn, "1 hour")
    deliver(settings, database)
    assert [body["type"] for body in well.bodies] == [body["type"] for body in form.bodies] == ["warning", "success"]
    arrived = [(body["type"], body["title"].split(" ")[1]) for body in broken.bodies]
    assert arrived == [("warning", "sync"), ("warning", "sync"), ("success", "resolved:")], "once more, and in order"


def test_without_the_package_a_message_waits_and_says_what_is_missing(
    conn: psycopg.Connection, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)
    settings = settings_for(tmp_path, apprise_urls=refusing_url().replace("http://", "json://"))
    ends(conn, settings, "sync")
    deliver(settings, database)
    ((state, said),) = conn.execute("SELECT state, error_message FROM ops.outbox").fetchall()
    assert state == "new" and "pip install 'jobctl[apprise]'" in said


def redactor_of(settings: Settings) -> Redactor:
    return Redactor(settings.secrets())


# PostgreSQL is the outage --------------------------------------------------------------------------------------------


def away(settings: Settings, job: str = "sync", *, is_firing: bool = True) -> None:
    run = RunFact(
        uuid.uuid4(), "failed" if is_firing else "completed", False, 75 if is_firing else 0, "vm1", datetime.now(UTC),
        datetime.now(UTC), 5, {}, (), "DatabaseUnavailable" if is_firing else None, "PostgreSQL cannot be reached",
    )  # fmt: skip
    verdicts = of_runs([run], job, "", settings.alert_settings.conditions)
    local.runs_ended(settings, REDACTOR, verdicts)


def test_without_the_database_one_message_leaves_at_once_and_the_end_is_told_when_it_is_back(
    conn: psycopg.Connection, database: Database, tmp_path: Path, receive: Callable[..., Receiver]
) -> None:
    receiver = receive(answer(200))
    settings = settings_for(tmp_path, receiver.url)
    for nth in range(40):
        away(settings, ("sync", "metrics", "work")[nth % 3])
    assert len(receiver.texts) == 1 and receiver.texts[0].startswith("jobctl: PostgreSQL cannot be reached\n")
    assert local.bring_in(conn, settings) == 1 and not local.exists(settings)
    assert incidents(conn) == [("database", "open", 40, 1)]
    ends(conn, settings, "work", "completed")
    deliver(settings, database)
    assert incidents(conn) == [("database", "resolved", 40, 2)] and len(receiver.texts) == 2
    assert receiver.texts[1].startswith("jobctl: resolved: PostgreSQL cannot be reached\nlasted: ")


def test_what_neither_database_nor_channel_took_is_sent_once_by_whichever_is_back_first(
    conn: psycopg.Connection, database: Database, tmp_path: Path, receive: Callable[..., Receiver]
) -> None:
    receiver = receive(answer(500))
    settings = settings_for(tmp_path, receiver.url)
    for _ in range(5):
        away(settings)
    assert len(receiver.bodies) == 1, "the channel is left alone for a while"
    local.bring_in(conn, settings)
    receiver.then(answer(200))
    deliver(settings, database)
    deliver(settings, database)
    assert len(receiver.bodies) == 2 and conn.execute(OUTBOX).fetchall() == [("slack", "sent", 1)]


def test_a_message_on_its_way_when_its_process_died_is_not_sent_again(
    conn: psycopg.Connection, tmp_path: Path, receive: Callable[..., Receiver], log_file: Path
) -> None:
    receiver = receive(answer(500))
    settings = settings_for(tmp_path, receiver.url)
    away(settings)
    path = settings.spool_dir / local.NAME
    book = json.loads(path.read_text())
    book["messages"][0]["is_sending"] = True
    path.write_text(json.dumps(book))
    away(settings)
    assert len(receiver.bodies) == 1 and '"outbox_unknown"' in log_file.read_text()
    assert json.loads(path.read_text())["messages"] == []


def test_a_file_that_is_brought_in_twice_or_is_broken_changes_nothing(
    conn: psycopg.Connection, tmp_path: Path, log_file: Path
) -> None:
    settings = settings_for(tmp_path, refusing_url())
    away(settings)
    path = settings.spool_dir / local.NAME
    kept = path.read_text()
    for _ in range(2):
        path.write_text(kept)
        local.bring_in(conn, settings)
    assert len(incidents(conn)) == 1 and len(conn.execute(OUTBOX).fetchall()) == 1
    path.write_text('{"format": 1, "incid')
    away(settings)
    assert (settings.spool_dir / f"{local.NAME}.bad").exists() and local.exists(settings)


def test_a_command_that_runs_without_the_database_ends_its_own_failure_without_it(
    tmp_path: Path, receive: Callable[..., Receiver]
) -> None:
    receiver = receive(answer(200))
    settings = settings_for(tmp_path, receiver.url)
    away(settings, "run")
    away(settings, "run", is_firing=False)
    assert [text.partition("\n")[0] for text in receiver.texts] == [
        "jobctl: PostgreSQL cannot be reached", "jobctl: resolved: PostgreSQL cannot be reached",
    ]  # fmt: skip


# Rules ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "value", "is_firing"),
    [
        ("SELECT 11", 11, True),
        ("SELECT 10;", 10, False),
        ("SELECT 11.5::numeric, 'more' -- said\n", 11.5, True),
        ("SELECT n FROM generate_series(11, 20000) AS n", 11, True),
        ("SELECT NULL::int", None, None),
        ("SELECT 1 WHERE false", None, None),
        ("WITH x AS (SELECT 12 AS n) SELECT n FROM x", 12, True),
    ],
)
def test_a_rule_compares_the_first_value(
    query: str, value: float | None, is_firing: bool | None, conn: psycopg.Connection
) -> None:
    judged = rules.judge(conn, "mine", RuleSettings(query=query, above=10))
    assert judged.error == "" and judged.value == value
    assert [each.is_firing for each in judged.verdicts] == ([] if is_firing is None else [is_firing])


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("INSERT INTO ops.outbox (channel, dedupe_key, payload) VALUES ('x', 'x', '{}') RETURNING 1", ""),
        ("WITH w AS (DELETE FROM ops.job_history RETURNING 1) SELECT count(*) FROM w", "data-modifying"),
        ("SELECT 1; COMMIT; DELETE FROM ops.job_history", "multiple commands"),
        ("SELECT nextval('ops.outbox_message_id_seq')", "read-only"),
        ("SELECT pg_sleep(60)", "statement timeout"),
        ("SELECT 'many'", "many"),
        ("SELECT 'NaN'::float8", "not a number"),
        ("SELECT FROM nowhere", "does not exist"),
    ],
)
def test_a_rule_writes_nothing_takes_no_time_and_says_what_is_wrong_with_it(
    query: str, said: str, conn: psycopg.Connection
) -> None:
    ran(conn, "sync")
    judged = rules.judge(conn, "mine", RuleSettings(query=query, above=10, timeout_s=0.3))
    assert judged.error and said in judged.error and judged.verdicts == []
    assert conn.execute("SELECT count(*) FROM ops.job_history").fetchone() == (1,)
    assert conn.execute("SELECT count(*) FROM ops.outbox").fetchone() == (0,)
    assert conn.execute("SHOW transaction_read_only").fetchone() == ("off",)


# Anomalies -----------------------------------------------------------------------------------------------------------

BEFORE = """
INSERT INTO ops.job_history (run_id, job, scope, correlation_id, status, exit_code, host, os_user, supervisor_pid,
    version, command, started_at, finished_at, duration_ms)
SELECT gen_random_uuid(), 'sync', '', 'c', 'completed', 0, 'vm1', 'u', 1, '0', 'x', at, at, %(took_ms)s
FROM generate_series(now() - interval '9 weeks', now() - interval '1 week', interval '1 week') AS at
"""


def test_a_run_is_held_against_its_weekday_and_hour_and_the_next_one_that_is_like_it_ends_it(
    conn: psycopg.Connection, database: Database, tmp_path: Path, receive: Callable[..., Receiver]
) -> None:
    receiver = receive(answer(200))
    settings = settings_for(tmp_path, receiver.url)

    def completed(took_ms: int) -> None:
        with conn.transaction():
            ran(conn, "sync", "completed")
            conn.execute("UPDATE ops.job_history SET duration_ms = %s WHERE duration_ms = 10", (took_ms,))
            judging.runs_ended(conn, settings, REDACTOR, [Ended("sync", "")])
        deliver(settings, database)

    completed(200_000)
    assert incidents(conn) == [], "nothing is known"
    conn.execute("DELETE FROM ops.job_history")
    conn.execute(BEFORE, {"took_ms": 100_000})
    completed(200_000)
    now = datetime.now(UTC)
    assert incidents(conn) == [("slow/sync/", "open", 1, 1)]
    (told,) = receiver.texts
    usual = f"{now:%A}s at {now:%H}:00 it takes 1m40s (median of 9 runs, spread 10s)"
    assert told.startswith(f"jobctl: sync took 3m20s; {usual}\n")
    assert "\nanomaly: 10.0 spreads more than usual\n" in told
    completed(155_000)
    assert [row[1] for row in incidents(conn)] == ["open"], "neither far off nor back"
    completed(110_000)
    assert [row[1] for row in incidents(conn)] == ["resolved"]
