"""What people are told of an incident: all they need, in words that no channel obeys."""

import json
import random
import re
import secrets
import unicodedata
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.policy import default
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from jobctl.alerts import lifecycle, mail, slack
from jobctl.alerts.conditions.run_fact import RunFact
from jobctl.alerts.conditions.runs import of_runs
from jobctl.alerts.judging import stored
from jobctl.alerts.ledger import work_through
from jobctl.alerts.lifecycle import Incident, Policy
from jobctl.alerts.words import MAX_TEXT, MAX_TITLE, Told, neutral, told
from jobctl.redact import Redactor
from jobctl.settings_alerts import AlertSettings

AT = datetime(2026, 11, 22, 6, 43, 29, tzinfo=UTC)
RUN = UUID("7c1e0f6a-0000-4000-8000-000000000001")
SETTINGS = AlertSettings()
POST = mail.Post("smtp://127.0.0.1:1", "jobctl <jobs@example.org>", ("ops@example.org", "ann@example.org"))


def unchanged(text: str) -> str:
    return text


def failure(**changes: object) -> RunFact:
    run = RunFact(RUN, "failed", False, 1, "vm1", AT - timedelta(seconds=1), AT, 1_000, {}, (), "SourceError",
                  "the branch is stale", "load it anew")  # fmt: skip
    return run._replace(**changes)


def incident_of(run: RunFact, job: str = "ingest-branch", scope: str = "airports", secret: str = "") -> Incident:
    redactor = Redactor([secret] if secret else [])
    verdicts = [stored(each, redactor) for each in of_runs([run], job, scope, SETTINGS.conditions)]
    changes = work_through([], verdicts, Policy(), AT)
    return changes[0].after


def message(incident: Incident, notice: lifecycle.Notice = "opened", **options: object) -> Told:
    made = told(notice, 12, incident, redact=unchanged, **options)  # pyright: ignore[reportArgumentType]
    assert Told.of(json.loads(json.dumps(made.as_payload()))) == made, "as it comes out of the outbox"
    return made


def test_an_alert_says_what_failed_where_why_and_how_to_look() -> None:
    made = message(incident_of(failure()))
    assert made.title == "jobctl: ingest-branch airports failed: SourceError"
    assert made.text.splitlines() == [
        "jobctl: ingest-branch airports failed: SourceError",
        "status: failed, exit code 1",
        "error: SourceError: the branch is stale",
        "hint: load it anew",
        "host: vm1",
        "run: 7c1e0f6a-0000-4000-8000-000000000001",
        "since: 2026-11-22 06:43:29 UTC",
        "incident: 12, warning",
        "look: jobctl alerts show 12; runbook ops/runbooks/run-failed.md",
    ]


def test_a_recovery_says_how_long_it_lasted_and_how_often_it_was_seen() -> None:
    over = incident_of(failure())._replace(resolved_at=AT + timedelta(hours=2, minutes=5), occurrences=7)
    assert message(over, "resolved").text.splitlines() == [
        "jobctl: resolved: ingest-branch airports failed: SourceError",
        "lasted: 2h5m, from 2026-11-22 06:43:29 UTC to 2026-11-22 08:48:29 UTC",
        "seen: 7 times, last 2026-11-22 06:43:29 UTC",
        "incident: 12, warning",
        "look: jobctl alerts show 12; runbook ops/runbooks/run-failed.md",
    ]


def test_a_shared_cause_is_told_by_its_name_with_what_it_took_along() -> None:
    away = failure(error_class="DatabaseUnavailable", exit_code=75)
    verdicts = [each for job in "abcdefgh" for each in of_runs([away], job, "", SETTINGS.conditions)]
    (change,) = work_through([], verdicts, Policy(), AT)
    made = message(change.after)
    assert made.title == "jobctl: PostgreSQL cannot be reached"
    assert "with: a failed: DatabaseUnavailable; b failed: DatabaseUnavailable; " in made.text
    assert made.text.count("failed: DatabaseUnavailable") == 5 and "; 3 more\n" in made.text


def test_a_degraded_run_is_told_with_its_notes() -> None:
    run = failure(status="completed", degraded=True, exit_code=3, notes=("12 % rejected", "more than 5 %"),
                  error_class=None, error_message=None, error_hint=None)  # fmt: skip
    text = message(incident_of(run)).text
    assert text.startswith("jobctl: ingest-branch airports degraded: Degraded\nstatus: completed, exit code 3\n")
    assert "\nnotes: 12 % rejected; more than 5 %\n" in text


def test_the_time_is_that_of_the_configured_zone() -> None:
    made = message(incident_of(failure()), zone=ZoneInfo("Asia/Tokyo"))
    assert "since: 2026-11-22 15:43:29 JST" in made.text


def test_the_runbook_is_the_one_link_and_no_data_is_in_it() -> None:
    made = message(incident_of(failure()), runbook_url="https://wiki.example.org/books/")
    assert made.runbook_url == "https://wiki.example.org/books/run-failed.md" and "://" not in made.text
    body = slack.body(made)
    links = [block for block in json.loads(json.dumps(body["blocks"])) if "mrkdwn" in json.dumps(block)]
    assert [block["type"] for block in links] == ["context"]
    assert f"<{made.runbook_url}|Runbook>" in json.dumps(links)
    assert f"runbook: {made.runbook_url}" in mail.message(made, POST, "k").get_content()


def test_a_mail_keeps_its_message_id_and_says_that_nobody_need_answer() -> None:
    made = message(incident_of(failure()))
    first, second, other = (mail.message(made, POST, key) for key in ("email/1", "email/1", "email/2"))
    assert first["Message-ID"] == second["Message-ID"] != other["Message-ID"]
    assert first["Auto-Submitted"] == "auto-generated" and first["To"] == "ops@example.org, ann@example.org"


HOSTILE = [
    "<!channel>",
    "<!here>",
    "<!everyone|hi>",
    "<!subteam^S012AB3CD|@ops>",
    "<@U012AB3CD>",
    "<@W012AB3CD|ann>",
    "<#C012AB3CD|general>",
    "<!date^1392734382^{date}^https://evil.example/|x>",
    "@here",
    "@channel everybody",
    "@everyone",
    "@ann",
    "<@!80351110224678912>",
    "<@&165511591545143296>",
    "<https://evil.example|your bank>",
    "[your bank](https://evil.example)",
    "![](https://evil.example/pixel.png)",
    "[x]: https://evil.example",
    "<a href='https://evil.example'>x</a>",
    "https://evil.example/a?b=c",
    "HTTP://EVIL.EXAMPLE",
    "slack://channel?id=1",
    "mailto:ann@example.org",
    "tel:0900123456",
    "javascript:alert(1)",
    "```\nstatus: completed, exit code 0\n```",
    "ok\nstatus: completed, exit code 0\nhint: nothing to do",
    "ok\r\nstatus: completed",
    "ok\x85status: completed\u2028hint: none\u2029",
    "\x1b[31mred\x1b[0m\x07\x00\x08",
    "\u202eevil\u202c \u200b@\u200bhere <\u200b!here>",
    "@\u2060here \ufeff@channel",
    "&lt;!channel&gt; &amp;lt;!here&amp;gt;",
    "\ud800 lone \udfff",
    "\ue000\ufffe\U000e0041",
    ":rotating_light: *bold* _it_ ~no~",
    "＠here ‹!here›",
    "x" * 100_000,
    "<" * 50_000,
    "@\u0000" * 50_000,
    "<!subteam^S012AB3CD>",
    "<@U012AB3CD> <#C1|x> <!here> in one line",
    "*@channel* _<!here>_ ~<@U1>~",
    "@\u00a0channel",
    "\uff20everyone\u3000<!channel>",
    "data:text/html;base64,PHNjcmlwdD4=",
    "\t\v\f\x1c\x1d\x1e",
    "Subject: another\r\nBcc: ann@example.org",
    "\r\n.\r\nQUIT\r\n",
    "=?utf-8?q?=40here?=",
    "</text><script>alert(1)</script>",
    "{{ title }} ${HOME} %(run_id)s {0}",
]

ACTIVE = re.compile(r"[<>@`]|\]\(|://|\b(?:mailto|tel|javascript|data):", re.IGNORECASE)
UNSEEN = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")


def test_there_are_fifty_of_them() -> None:
    assert len(set(HOSTILE)) >= 50


def assert_inert(made: Told) -> None:
    plain = message(incident_of(failure()))
    assert not ACTIVE.search(made.text) and not ACTIVE.search(made.title)
    assert len(made.text) <= MAX_TEXT and len(made.title) <= MAX_TITLE
    # No line is of the data's making: each begins with the word that an ordinary alert's line begins with.
    words = [word for word, _ in made.lines]
    assert words == [word for word, _ in plain.lines]
    assert "\n" not in made.title and not any("\n" in said for _, said in made.lines)
    assert not [c for c in made.title + made.text.replace("\n", "") if unicodedata.category(c) in UNSEEN]
    body = json.loads(json.dumps(slack.body(made), allow_nan=False))
    for block in body["blocks"]:
        texts = [block["text"]] if "text" in block else block["fields"]
        assert all(text["type"] == "plain_text" and 0 < len(text["text"]) <= 3_000 for text in texts)
        assert len(block.get("fields", [])) <= 10 and all(
            len(text["text"]) <= 2_000 for text in block.get("fields", [])
        )
    assert len(body["blocks"][0]["text"]["text"]) <= 150
    assert not re.search("[<>]", body["text"]) and "&lt;!" not in body["text"]
    json.dumps(body, ensure_ascii=False).encode("utf-8")
    assert_mail_is_inert(made)


def assert_mail_is_inert(made: Told) -> None:
    sent = message_from_bytes(mail.message(made, POST, "k").as_bytes(), policy=default)
    expected = {"From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "X-Auto-Response-Suppress",
                "References", "Content-Type", "Content-Transfer-Encoding", "MIME-Version"}  # fmt: skip
    assert {name for name, _ in sent.items()} == expected and len(sent.items()) == len(expected)
    # The library loses a space where two encoded words meet.
    assert (
        str(sent["Subject"]).replace(" ", "") == made.title.replace(" ", "")
        and sent["To"] == "ops@example.org, ann@example.org"
    )
    assert (
        sent.get_content_type() == "text/plain" and sent.get_content().replace("\r\n", "\n").rstrip("\n") == made.text
    )


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: ascii(text)[:30])
def test_hostile_text_is_inert_in_every_field(text: str) -> None:
    run = failure(error_class=text, error_message=text, error_hint=text, host=text)
    assert_inert(message(incident_of(run, text, text)))


def test_random_text_is_inert() -> None:
    seed = secrets.randbelow(1 << 32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    parts = [
        "<",
        "!",
        "@",
        "here",
        ">",
        "|",
        "[",
        "](",
        ")",
        "http",
        ":",
        "//",
        "\n",
        "\u200d",
        "&lt;",
        "`",
        "mailto",
        " ",
    ]
    for _ in range(200):
        text = "".join(rng.choices(parts, k=30)) + chr(rng.randrange(0x110000))
        assert_inert(message(incident_of(failure(error_message=text, error_hint=text + "x"))))


def test_ordinary_words_are_left_as_they_are() -> None:
    text = 'PostgreSQL refused (42P01): relation "core.items" does not exist; 12 % of a*b, Zürich 東京 [email]'
    assert neutral(text, 500) == text


def test_secrets_are_taken_out_before_the_text_is_made_neutral_or_cut() -> None:
    secret = "s3cr3t@hunter<2>" * 4
    said = "x" * 980 + f" password {secret} and postgresql://ann:{secret}@db/jobs"
    made = message(incident_of(failure(error_message=said, error_hint=secret), secret=secret))
    assert "s3cr3t" not in made.text + made.title and "hunter" not in made.text + made.title


@pytest.mark.parametrize("redact", [unchanged, str.upper])
def test_what_an_earlier_release_left_in_the_outbox_can_still_be_sent(redact: Callable[[str], str]) -> None:
    old = {"title": "jobctl: sync failed: X", "text": "jobctl: sync failed\nstatus: failed, exit code 1\nrun: 1"}
    made = Told.of(old)
    assert made.text == old["text"] and slack.body(made)["text"] == old["text"]
