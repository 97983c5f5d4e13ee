"""Which ends of a run are told to people, once in a window, and in words that no channel obeys."""

import json
import random
import re
import secrets
import unicodedata
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from jobctl.redact import Redactor
from jobctl.runtime.alerting import MAX_TEXT, MAX_TITLE, Alert, Who, alert_of, neutral
from jobctl.runtime.delivery import slack_body
from jobctl.runtime.outbox import Message
from jobctl.runtime.outcome import (
    ABANDONED,
    COMPLETED,
    FAILED,
    INTERRUPTED,
    SKIPPED,
    TIMEOUT,
    ErrorReport,
    ScopeReport,
)

AT = datetime(2026, 11, 22, 6, 43, 29, tzinfo=UTC)
WHO = Who("ingest-branch", UUID("7c1e0f6a-0000-4000-8000-000000000001"), "vm1")


def ended(status: str = FAILED, *, at: datetime = AT, scope: str = "airports", **changes: object) -> ScopeReport:
    error = ErrorReport("SourceError", "the branch is stale", "load it anew", 1)
    return ScopeReport(scope, status, at, at, 10, error=error)._replace(**changes)


def unchanged(text: str) -> str:
    return text


def alert(report: ScopeReport, who: Who = WHO, redact: Callable[[str], str] = unchanged) -> Alert:
    made = alert_of(report, who, redact=redact)
    assert made is not None
    return made


def slack(made: Alert) -> dict[str, object]:
    return dict(slack_body(Message(1, "slack", {"title": made.title, "text": made.text}, 1)))


def test_an_alert_says_what_failed_where_why_and_how_to_look() -> None:
    made = alert(ended())
    assert made.title == "jobctl: ingest-branch airports failed: SourceError"
    assert made.text.splitlines() == [
        "jobctl: ingest-branch airports failed",
        "status: failed, exit code 1",
        "error: SourceError: the branch is stale",
        "hint: load it anew",
        "host: vm1, ended 2026-11-22 06:43:29 UTC",
        "run: 7c1e0f6a-0000-4000-8000-000000000001",
        "look: jobctl db psql, table ops.job_history, and the log lines with this run id",
    ]


def test_a_degraded_run_is_told_with_its_notes() -> None:
    made = alert(ended(COMPLETED, error=None, degraded=True, notes=("12 % rejected", "more than 5 %")))
    assert "jobctl: ingest-branch airports degraded\nstatus: completed, exit code 3" in made.text
    assert "notes: 12 % rejected; more than 5 %" in made.text


def test_the_time_is_that_of_the_configured_zone() -> None:
    made = alert_of(ended(), WHO, redact=unchanged, zone=ZoneInfo("Asia/Tokyo"))
    assert made is not None and "ended 2026-11-22 15:43:29 JST" in made.text


@pytest.mark.parametrize("status", [FAILED, TIMEOUT, ABANDONED])
def test_runs_that_went_wrong_are_told(status: str) -> None:
    assert alert_of(ended(status), WHO, redact=unchanged) is not None


@pytest.mark.parametrize("status", [COMPLETED, SKIPPED])
def test_runs_that_went_well_or_stepped_aside_are_not_told(status: str) -> None:
    assert alert_of(ended(status, error=None), WHO, redact=unchanged) is None


@pytest.mark.parametrize(("exit_code", "told"), [(130, False), (143, False), (129, False), (137, True), (139, True)])
def test_an_interruption_is_told_unless_somebody_asked_for_it(exit_code: int, told: bool) -> None:
    report = ended(INTERRUPTED, error=ErrorReport("Interrupted", "a signal ended the run", "", exit_code))
    assert (alert_of(report, WHO, redact=unchanged) is not None) is told


def test_failures_of_one_cause_share_a_key_within_six_hours_and_not_beyond() -> None:
    first = datetime(2026, 11, 22, 6, 0, tzinfo=UTC)
    keys = [alert(ended(at=first + timedelta(minutes=minute))).key for minute in range(12 * 60)]
    assert len(set(keys[:360])) == 1 and len(set(keys[360:])) == 1 and len(set(keys)) == 2
    assert keys[0] == "alert/ingest-branch/airports/SourceError/2026-11-22T06:00:00Z"


def test_a_window_is_the_same_in_every_zone() -> None:
    assert alert(ended(at=AT.astimezone(ZoneInfo("Asia/Kathmandu")))).key == alert(ended()).key


def test_other_jobs_scopes_and_causes_have_keys_of_their_own() -> None:
    reports = [
        (WHO, ended()),
        (WHO, ended(scope="ports")),
        (WHO._replace(job="sync"), ended()),
        (WHO, ended(error=ErrorReport("DataError", "x", "", 1))),
        (WHO, ended(COMPLETED, error=None, degraded=True)),
        (WHO, ended(scope="airports/SourceError")),
    ]
    assert len({alert(report, who).key for who, report in reports}) == len(reports)


def test_another_host_that_meets_the_same_cause_adds_no_alert() -> None:
    assert alert(ended(), WHO._replace(host="vm2", run_id=UUID(int=2))).key == alert(ended()).key


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
]

ACTIVE = re.compile(r"[<>@`]|\]\(|://|\b(?:mailto|tel|javascript|data):", re.IGNORECASE)


def assert_inert(made: Alert) -> None:
    plain = alert(ended())
    assert not ACTIVE.search(made.text) and not ACTIVE.search(made.title)
    assert len(made.text) <= MAX_TEXT and len(made.title) <= MAX_TITLE
    # No line is of the data's making: each begins with the word that an ordinary alert's line begins with.
    firsts = [line.partition(":")[0] for line in made.text.splitlines()]
    assert firsts == [line.partition(":")[0] for line in plain.text.splitlines()]
    seen = made.title + made.text.replace("\n", "")
    assert not [c for c in seen if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")]
    body = json.loads(json.dumps(slack(made), allow_nan=False))
    assert body["blocks"][0]["text"]["type"] == "plain_text"
    assert not re.search("[<>]", body["text"]) and "&lt;!" not in body["text"]
    json.dumps(slack(made), ensure_ascii=False).encode("utf-8")


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: ascii(text)[:30])
def test_hostile_text_is_inert_in_every_field(text: str) -> None:
    error = ErrorReport(text, text, text, 1)
    assert_inert(alert(ended(scope=text, error=error), Who(text, WHO.run_id, text)))
    assert "notes: " in alert(ended(COMPLETED, error=None, degraded=True, notes=(text, text))).text


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
    for _ in range(300):
        text = "".join(rng.choices(parts, k=30)) + chr(rng.randrange(0x110000))
        assert_inert(alert(ended(error=ErrorReport("SourceError", text, text + "x", 1))))


def test_ordinary_words_are_left_as_they_are() -> None:
    text = 'PostgreSQL refused (42P01): relation "core.items" does not exist; 12 % of a*b, Zürich 東京 [email]'
    assert neutral(text, 500) == text


def test_secrets_are_taken_out_before_the_text_is_made_neutral_or_cut() -> None:
    secret = "s3cr3t@hunter<2>" * 4
    redactor = Redactor([secret])
    message = "x" * 980 + f" password {secret} and postgresql://ann:{secret}@db/jobs"
    made = alert(ended(error=ErrorReport("SourceError", message, secret, 1)), redact=redactor.text)
    assert "s3cr3t" not in made.text + made.title
    assert "hunter" not in made.text + made.title
