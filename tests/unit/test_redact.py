"""Secrets and personal data leave neither whole, nor cut, nor encoded."""

import base64
import html
import json
import re
import string
import urllib.parse
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from jobctl.redact import MARK, Redactor, mask_url, secret_parts

SECRET = "c4n4ry/Pa%ss+w0rd'=\"ä"  # what needs escaping in URL, JSON, SQL and base64 alike
WORDS = st.text(st.characters(codec="utf-8", exclude_characters="*"), max_size=60)
SECRETS = st.text(string.ascii_letters + string.digits + "/+%'\"\\=&<>@: éß-_.", min_size=8, max_size=40).filter(
    lambda text: text == text.strip() and "://" not in text and "\n" not in text
)


def _base64_inside(secret: str) -> str:
    return base64.b64encode(f"user:{secret}".encode()).decode()


def _small_hex(secret: str) -> str:
    return re.sub("%..", lambda match: match[0].lower(), urllib.parse.quote(secret, safe=""))


ENCODINGS: dict[str, Callable[[str], str]] = {
    "as it is": lambda secret: secret,
    "in a URL": lambda secret: urllib.parse.quote(secret, safe=""),
    "in a URL, slashes kept": urllib.parse.quote,
    "in a form": urllib.parse.quote_plus,
    "in a URL, small hex": _small_hex,
    "in JSON": lambda secret: json.dumps(secret)[1:-1],
    "in JSON with umlauts": lambda secret: json.dumps(secret, ensure_ascii=False)[1:-1],
    "as Python shows it": lambda secret: repr(secret)[1:-1],
    "in SQL": lambda secret: secret.replace("'", "''"),
    "in HTML": html.escape,
    "in base64": lambda secret: base64.b64encode(secret.encode()).decode(),
    "in base64 for URLs": lambda secret: base64.urlsafe_b64encode(secret.encode()).decode(),
    "in base64 after a user": _base64_inside,
    "in hex": lambda secret: secret.encode().hex(),
}


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_configured_secret_is_found_in_every_form(encoding: str) -> None:
    encoded = ENCODINGS[encoding](SECRET)
    cleaned = Redactor([SECRET]).text(f"server said: {encoded}, good bye")
    assert encoded not in cleaned
    assert MARK in cleaned
    assert cleaned.startswith("server said: ")
    assert "good bye" in cleaned


@settings(max_examples=200, deadline=None)
@given(SECRETS, WORDS, WORDS, st.sampled_from(sorted(ENCODINGS)))
@example("_=000000", "", "", "as it is")
@example("_=00000<", "", "", "in HTML")
def test_a_planted_secret_never_survives(secret: str, before: str, after: str, encoding: str) -> None:
    encoded = ENCODINGS[encoding](secret)
    cleaned = Redactor([secret]).text(before + encoded + after)
    assert secret not in cleaned
    if "base64" not in encoding:  # there the last character may belong to what follows
        assert encoded not in cleaned


@settings(max_examples=200, deadline=None)
@given(st.lists(SECRETS, max_size=3), st.lists(WORDS | SECRETS, max_size=6))
@example(["aaaaaaaa***"], ["aaaaaaaaaaaaaaaaaaaaaa"])
@example(["password="], ["password=x y"])
def test_redacting_twice_is_redacting_once(secrets: list[str], pieces: list[str]) -> None:
    redactor = Redactor(secrets)
    once = redactor.text(" ".join(pieces + secrets))
    assert redactor.text(once) == once


@settings(max_examples=200, deadline=None)
@given(st.text(string.ascii_letters + string.digits + " .,;()!?\n\täöü€", max_size=200))
def test_plain_text_is_left_alone(text: str) -> None:
    assume("canarycanary" not in text)
    assert Redactor(["canarycanary"]).text(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "read 5,000 records of branch north in 1.2s",
        "https://example.org:8443/a/b?page=2#c",
        "connecting to postgresql://app@db.example.org:5432/jobs",
        "retry after 5 s: connection to server at 10.0.0.1, port 5432 failed",
        "the token was refused and the password has expired",
        "a basic problem of bearer instruments",
        "re_establish the connection; skip-line; high_water; ghost_town",
        "dedupe_key=17 monkey=3 tokens: 12 token_count=5",
        'duplicate key value violates unique constraint "items_pkey"',
        "2026-11-22T06:00:00.000Z 0a1b2c3d-0000-4000-8000-000000000000",
    ],
)
def test_ordinary_lines_are_left_alone(text: str) -> None:
    assert Redactor(["canarycanary"]).text(text) == text


CANARY = "C4n4ryC4n4ryC4n4ry99"
SHAPES = [
    f"postgresql://app:{CANARY}@db/jobs",
    f"postgresql://app:{CANARY}@x@db/jobs",
    f"postgresql://app:p/{CANARY}@db/jobs",
    f"amqp://:{CANARY}@queue",
    f"https://{CANARY}@api.example.org/x",
    f"https://api.example.org/x?access_token={CANARY}&page=2",
    f"https://hooks.slack.com/services/T000/B000/{CANARY}",
    f"Authorization: Bearer {CANARY}",
    f"authorization=Basic {base64.b64encode(b'me:' + CANARY.encode()).decode()}",
    f"{{'Authorization': 'token {CANARY}'}}",
    f"got Bearer {CANARY} from client",
    f"Cookie: session={CANARY}; other={CANARY}",
    f"ghp_{CANARY}",
    f"github_pat_11AAAAAAA_{CANARY}",
    f"gho_{CANARY} ghs_{CANARY}",
    f"xoxb-12345-{CANARY}",
    f"SG.{CANARY}.{CANARY}",
    f"re_{CANARY}",
    "AKIAC4N4RYC4N4RYC4N4",
    f"aws_secret_access_key = {CANARY}",
    f"eyJhbGciOiJIUzI1NiJ9.{CANARY}.{CANARY}",
    f"sk-proj-{CANARY}",
    f"-----BEGIN RSA PRIVATE KEY-----\nMIIB\n{CANARY}\n-----END RSA PRIVATE KEY-----",
    f"-----BEGIN PRIVATE KEY-----\nMIIB\n{CANARY}",
    f"host=db user=app password={CANARY} dbname=jobs",
    f"host=db password='with space {CANARY}' dbname=jobs",
    f"host=db password='cut off {CANARY}",
    f"PGPASSWORD={CANARY} psql",
    f'{{"password": "{CANARY}", "user": "me"}}',
    f'{{"api_key":"a\\"{CANARY}"}}',
    f"sslpassword={CANARY}",
    f"ALTER ROLE app PASSWORD '{CANARY}'",
    f"CREATE ROLE app LOGIN PASSWORD 'it''s {CANARY}'",
    f"tool --password {CANARY} --verbose",
    f"tool --slack-token={CANARY}",
    f"X-Api-Key: {CANARY}",
]


@pytest.mark.parametrize("text", SHAPES)
def test_what_looks_like_a_secret_is_taken_out_unconfigured(text: str) -> None:
    cleaned = Redactor().text(f"failed: {text}")
    assert "C4N4RY" not in cleaned.upper()
    assert base64.b64encode(b"me:" + CANARY.encode()).decode() not in cleaned
    assert cleaned.startswith("failed: ")
    assert Redactor().text(cleaned) == cleaned


def test_what_stands_around_a_secret_can_still_be_read() -> None:
    cleaned = Redactor().text("postgresql://app:hunter22@db:5432/jobs refused; user=app password=hunter22 dbname=jobs")
    assert cleaned == "postgresql://app:***@db:5432/jobs refused; user=app password=*** dbname=jobs"


@pytest.mark.parametrize(
    "text", ["ann.o'x+1@mail.example.org", "mailto:ann@example.org", "to:ann@example.org", "ann%40example.org"]
)
def test_addresses_are_personal_data(text: str) -> None:
    assert "example" not in Redactor().text(f"sent to {text}.")
    assert "example" in Redactor(personal=False).text(f"sent to {text}.")


def test_a_secret_at_the_cut_is_not_left_in_half() -> None:
    secret = "C4n4ryC4n4ryC4n4ryC4n4ry"
    for redactor in (Redactor([secret]), Redactor()):
        for offset in range(60, 110):
            text = "x " * (offset // 2) + f"password={secret}" + " y" * 20_000
            cleaned = redactor.text(text, limit=100)
            assert len(cleaned) <= 100
            assert "C4n4" not in cleaned


def test_a_secret_at_the_end_of_what_is_read_of_a_long_text_is_not_left_in_half() -> None:
    """Redaction shortens the text, so that the end of what was read moves into what is shown."""
    secret = "C4n4ry C4n4ry" * 4
    shapes = [secret, "postgresql://app:C4n4ryC4n4ry@db/jobs", "ghp_C4n4ryC4n4ryC4n4ry"]
    redactor = Redactor([secret])
    for shift in range(120):
        cleaned = redactor.text("x" * shift + " " + " ".join(shapes * 200), limit=2_000)
        assert "C4n" not in cleaned
        assert len(cleaned) > 300


def test_a_long_text_is_not_read_whole() -> None:
    cleaned = Redactor(["C4n4ryC4n4ry"]).text("a" * 50_000_000, limit=1_000)
    assert cleaned == "a" * 999 + "…"


def test_short_secrets_are_taken_out_as_words_only() -> None:
    redactor = Redactor(["test12"])
    assert redactor.text("login test12 failed, latest123") == "login *** failed, latest123"


def test_a_password_that_is_the_user_or_the_database_does_not_make_logs_unreadable() -> None:
    redactor = Redactor(["postgresql://postgres:postgres@db/jobs", "postgresql://app:jobs@db/jobs"])
    assert redactor.text("postgres has 3 jobs") == "postgres has 3 jobs"
    assert "postgres:postgres" not in redactor.text("postgresql://postgres:postgres@db/jobs")


def test_overlapping_secrets_leave_nothing_of_either() -> None:
    assert Redactor(["abcdefgh1234", "1234ijklmnop"]).text("<abcdefgh1234ijklmnop>") == "<***>"


def test_the_lines_of_a_long_secret_are_secret_too() -> None:
    key = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQ\nC4n4ryC4n4ryC4n4ry99==\n-----END PRIVATE KEY-----"
    assert "C4n4ry" not in Redactor([key]).text("bad key near C4n4ryC4n4ryC4n4ry99==")


@pytest.mark.parametrize(
    ("configured", "parts"),
    [
        ("postgresql://app:p%40ss@db/jobs", ["p%40ss"]),
        ("postgresql://app@db/jobs", []),
        ("postgresql://db/jobs?password=inquery&sslmode=require", ["inquery"]),
        ("host=db password='it''s' user=app", ["it"]),
        (r"host=db password='it\'s here' user=app", ["it's here"]),
        ("https://hooks.slack.com/services/T0/B0/abcdefghijkl", ["services/T0/B0/abcdefghijkl", "abcdefghijkl"]),
        ("plain-token", ["plain-token"]),
        ("qwertzuiopasdf==", ["qwertzuiopasdf=="]),
        ("hots=db db_password=c4n4ry", ["hots=db db_password=c4n4ry", "c4n4ry"]),
    ],
)
def test_only_the_secret_part_of_an_address_is_secret(configured: str, parts: list[str]) -> None:
    assert secret_parts(configured) == parts


class Unshowable:
    def __str__(self) -> str:
        raise RuntimeError("no")


def test_structures_are_cleaned_to_the_bottom_and_become_plain_json() -> None:
    redactor = Redactor(["C4n4ryC4n4ry", "12345678"])
    cleaned = redactor.deep(
        {
            "text": "has C4n4ryC4n4ry in it",
            "C4n4ryC4n4ry": "as a key",
            "list": ["C4n4ryC4n4ry", ("C4n4ryC4n4ry",), {"C4n4ryC4n4ry"}],
            "number": 12345678,
            "count": 1234,
            "password": "anything",
            "slack_token": 5,
            "apiKey": None,
            "bytes": b"C4n4ryC4n4ry\xff",
            "error": ValueError("C4n4ryC4n4ry"),
            "path": Path("/C4n4ryC4n4ry/x"),
            "at": datetime(2026, 1, 2, tzinfo=UTC),
            "nan": float("nan"),
            "huge": 10**5000,
            "odd": Unshowable(),
            3: True,
        }
    )
    text = json.dumps(cleaned, allow_nan=False)
    assert "C4n4ry" not in text
    assert "12345678" not in text
    assert cleaned == {
        "text": "has *** in it",
        "***": "as a key",
        "list": ["***", ["***"], ["***"]],
        "number": "***",
        "count": 1234,
        "password": "***",
        "slack_token": "***",
        "apiKey": None,
        "bytes": "***\\xff",
        "error": "ValueError: ***",
        "path": "/***/x",
        "at": "2026-01-02T00:00:00+00:00",
        "nan": "nan",
        "huge": "[integer of 16610 bits]",
        "odd": "[Unshowable that cannot be shown]",
        "3": True,
    }


def test_ten_thousand_levels_are_cut_and_do_not_end_the_process() -> None:
    nested: object = "C4n4ryC4n4ry"
    for _ in range(10_000):
        nested = [nested]
    assert "nested too deep" in json.dumps(Redactor(["C4n4ryC4n4ry"]).deep(nested))


@pytest.mark.parametrize(
    "text",
    [
        "a" * 200_000,
        "a@" * 100_000,
        "a." * 100_000 + "@",
        "://" * 70_000,
        "://a:" * 40_000,
        "password" * 25_000,
        "password=" * 20_000,
        "token " * 30_000,
        "re_" * 60_000,
        "--a" * 60_000,
        "bearer " * 30_000,
        "-----BEGIN A PRIVATE KEY-----" * 5_000,
        "eyJ" * 60_000,
        "cookie:" * 30_000,
        "%40" * 60_000,
    ],
    ids=lambda text: text[:12],
)
def test_no_text_takes_quadratic_time(text: str) -> None:
    """Nothing is asserted on time: with a quadratic pattern this test takes minutes and is noticed."""
    redactor = Redactor(["C4n4ryC4n4ry"])
    cleaned = redactor.text(text)
    assert redactor.text(cleaned) == cleaned


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://app:hunter2@db:5432/jobs?sslmode=require", "postgresql://app:***@db:5432/jobs"),
        ("postgresql://app@db/jobs", "postgresql://app@db/jobs"),
        ("postgresql:///jobs?host=/run/postgresql", "postgresql:///jobs?host=/run/postgresql"),
        ("postgresql://me@/jobs?host=%2Frun%2Fx&port=5433", "postgresql://me@/jobs?host=/run/x"),
        ("postgresql://a:b@h1:1,h2:2/jobs", "postgresql://a:***@h1:1,h2:2/jobs"),
        ("postgresql://db/jobs?password=hunter2", "postgresql://db/jobs"),
        ("postgresql://app:hun@ter2@db/jobs", MARK),
        ("postgresql://app:hun/ter2@db/jobs", MARK),
        ("host=db user=app password='hunter2 x' dbname=jobs", "host=db user=app dbname=jobs password=***"),
        ("smtp://me:hunter2@mail:587", "smtp://me:***@mail:587"),
        ("https://hooks.slack.com/services/T/B/hunter2", "https://hooks.slack.com/***"),
        ("hunter2", MARK),
    ],
)
def test_an_address_is_shown_without_its_password(url: str, shown: str) -> None:
    assert mask_url(url) == shown
    assert "hunter2" not in mask_url(url)
