"""A letter as a mail's bytes: whatever stands in it, the headers are those that were meant, and the parts are whole."""

from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default

import pytest

from bench_report_mail import AT, LETTER, SHORT, WEEK
from jobctl.mail import smtp
from jobctl.reports import addresses, message
from jobctl.reports.letter import Attachment, Image, Letter

SENDER = message.sender_of("Reports <reports@example.org>")
ANN = addresses.parse("ann@example.org")
HEADERS = {
    *("To", "Message-ID", "List-Unsubscribe", "From", "Subject", "Date", "List-Id", "Auto-Submitted"),
    *("X-Auto-Response-Suppress", "Content-Type", "MIME-Version"),
}
_BREAKS = (
    "\r\n",
    "\n",
    "\r",
    "\r\n\r\n",
    "\n\n",
    "\x0b",
    "\x0c",
    "\x1c",
    "\x1d",
    "\x1e",
    "\x85",
    "\u2028",
    "\u2029",
    "\0",
)
HOSTILE = [
    *(f"x{end}Bcc: evil@example.net" for end in _BREAKS),
    *(f"x{end} Bcc: evil@example.net" for end in _BREAKS),
    *(f"{end}Content-Type: text/html{end}{end}<script>alert(1)</script>" for end in _BREAKS[:5]),
    "=?utf-8?q?x=0D=0ABcc:_evil@example.net?=",
    "=?utf-8?b?eA0KQmNjOiBldmlsQGV4YW1wbGUubmV0?=",
    "=?utf-8?q?x?=\r\n =?utf-8?q?=0ABcc:_y?=",
    "x%0d%0aBcc: evil@example.net",
    "x\\r\\nBcc: evil@example.net",
    "\u202ereversed\u2066",
    "half \ud800 a character",
    '"><img src=x onerror=alert(1)>',
    "a" * 5_000,
    "ä" * 2_000,
    "a" * 70 + "\r\nBcc: x",
    "€" * 40 + "\r\n\tBcc: x",
    "x\r\n.\r\nMAIL FROM:<evil@example.net>",
    "\r\n.\r\n",
    "x, evil@example.net",
    "ann@example.org\r\nBcc",
    "<evil@example.net>",
    '"; x="',
]


def parsed(letter: Letter, sender: message.Sender = SENDER, **about: str | None) -> EmailMessage:
    more = {"list_id": None, "reply_to": None} | about
    data = message.head_of(ANN, message.message_id_of(ANN, WEEK, sender), "mailto:reports@example.org")
    data += message.source_of(letter, sender, AT, **more)
    assert data.isascii() and max(map(len, data.split(b"\r\n"))) < 998
    assert b"\n" not in data.replace(b"\r\n", b"") and b"\r" not in data.replace(b"\r\n", b"")
    return message_from_bytes(data, policy=default)


def test_there_are_fifty_hostile_texts() -> None:
    assert len(set(HOSTILE)) >= 50


@pytest.mark.parametrize("text", HOSTILE)
def test_no_text_becomes_a_header_or_a_part(text: str) -> None:
    hostile = Letter(
        subject=text,
        html=f"<p>{text}</p>",
        text=text,
        images=(Image("trend", b"png", text),),
        attachments=(Attachment(text, text.encode("utf-8", "replace")),),
    )
    sender = message.Sender(message.one_line(text), SENDER.address)
    mail = parsed(hostile, sender)
    assert set(mail.keys()) == HEADERS and len(mail.keys()) == len(HEADERS)
    assert mail.defects == []
    assert [part.get_content_type() for part in mail.walk()] == [
        *("multipart/mixed", "multipart/related", "multipart/alternative", "text/plain", "text/html"),
        *("image/png", "text/csv"),
    ]
    assert [str(each) for each in mail["To"].addresses] == ["ann@example.org"]
    assert [each.addr_spec for each in mail["From"].addresses] == ["reports@example.org"]
    assert mail["Subject"] == message.one_line(text)[:200].strip() or not message.one_line(text)
    assert smtp.undotted(mail.as_bytes()).count(b"\r\n.\r\n") == 0


@pytest.mark.parametrize("text", HOSTILE)
def test_no_text_becomes_an_address(text: str) -> None:
    for given in (text, f"{text}@example.org", f"ann@{text}", f"{text} <ann@example.org>", f"ann@example.org{text}"):
        try:
            address = addresses.parse(given)
        except ValueError:
            continue
        head = message.head_of(address, message.message_id_of(address, WEEK, SENDER), "https://example.org/{address}")
        mail = message_from_bytes(head + b"\r\n", policy=default)
        assert set(mail.keys()) == {"To", "Message-ID", "List-Unsubscribe", "List-Unsubscribe-Post"}
        assert head.count(b"\r\n") == 4 and head.isascii()


def test_the_parts_stand_as_they_should_and_hold_what_was_given() -> None:
    mail = parsed(LETTER, list_id="report.example.org", reply_to="team@example.org")
    related, table = mail.iter_parts()
    page, *images = related.iter_parts()
    text, html = page.iter_parts()
    kinds = [part.get_content_type() for part in (mail, related, page, text, html, *images, table)]
    assert kinds == [
        *("multipart/mixed", "multipart/related", "multipart/alternative", "text/plain", "text/html"),
        *("image/png", "image/png", "text/csv"),
    ]
    assert related["Content-Type"].params["type"] == "multipart/alternative"
    assert text.get_content().split() == LETTER.text.split()
    assert html.get_content().split() == LETTER.html.split()
    assert [image["Content-ID"] for image in images] == ["<trend@jobctl>", "<heat>"]
    assert [image.get_content() for image in images] == [image.png for image in LETTER.images]
    assert {image.get_content_disposition() for image in images} == {"inline"}
    assert (table.get_filename(), table.get_content_disposition()) == ("projects.csv", "attachment")
    assert table.get_payload(decode=True) == LETTER.attachments[0].content
    assert table["Content-Type"].params["charset"] == "utf-8"
    assert mail["Subject"] == LETTER.subject
    assert mail["From"] == "Reports <reports@example.org>" and mail["Reply-To"] == "team@example.org"
    assert mail["Date"] == "Mon, 23 Nov 2026 09:00:00 +0000" and mail["List-Id"] == "<report.example.org>"
    assert mail["Auto-Submitted"] == "auto-generated" and mail["X-Auto-Response-Suppress"] == "All"


def test_the_same_letter_is_the_same_bytes() -> None:
    made = {message.source_of(LETTER, SENDER, AT, list_id=None, reply_to=None) for _ in range(3)}
    assert len(made) == 1


@pytest.mark.parametrize(
    ("sender", "name"),
    [
        ("reports@example.org", ""),
        ('"Reports, daily" <reports@example.org>', "Reports, daily"),
        ("Büro (Nord) <reports@example.org>", "Büro (Nord)"),
        (r"a\b <reports@example.org>", r"a\b"),
    ],
)
def test_a_senders_name_is_what_it_is(sender: str, name: str) -> None:
    found = parsed(SHORT, message.sender_of(sender))["From"].addresses[0]
    assert (found.display_name, found.addr_spec) == (name, "reports@example.org")


@pytest.mark.parametrize(
    ("unsubscribe", "expected"),
    [
        ("mailto:x@example.org?subject=no", ("<mailto:x@example.org?subject=no>", None)),
        (
            "https://example.org/u?who={address}" + "&a=b" * 40,
            (f"<https://example.org/u?who=ann%40example.org{'&a=b' * 40}>", "List-Unsubscribe=One-Click"),
        ),
    ],
)
def test_a_way_to_unsubscribe_is_named(unsubscribe: str, expected: tuple[str, str | None]) -> None:
    head = message_from_bytes(message.head_of(ANN, "<a@b.c>", unsubscribe) + b"\r\n")
    assert (head["List-Unsubscribe"], head["List-Unsubscribe-Post"]) == expected


@pytest.mark.parametrize(
    ("text", "spelled", "key"),
    [
        ("Ann@Example.ORG", "Ann@example.org", "ann@example.org"),
        ("Ann Lee <ann@example.org>", "ann@example.org", "ann@example.org"),
        ("ann@bücher.example", "ann@xn--bcher-kva.example", "ann@xn--bcher-kva.example"),
        ("ann@BÜCHER.example", "ann@xn--bcher-kva.example", "ann@xn--bcher-kva.example"),
        ("root@localhost", "root@localhost", "root@localhost"),
    ],
)
def test_an_address_is_read(text: str, spelled: str, key: str) -> None:
    found = addresses.parse(text)
    assert (found.spelled, found.key) == (spelled, key)


@pytest.mark.parametrize(
    "text",
    [
        *("", "ann", "@example.org", "ann@", "ann@host", "ann@@example.org", "ann lee@example.org", "ann@exa mple.org"),
        *("ännchen@example.org", "ann@straße.example", "ann@-x.org", "ann@x..org", '"a b"@example.org', "a@[1.2.3.4]"),
        *("ann@example.org>", "<ann@example.org", f"{'a' * 65}@example.org", f"a@{'a' * 64}.org", "a..b@example.org"),
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        addresses.parse(text)


def test_message_ids_differ_by_week_and_recipient_only() -> None:
    other = addresses.parse("bob@example.org")
    made = [message.message_id_of(who, week, SENDER) for who in (ANN, other) for week in (WEEK, "2026-W48")]
    assert len(set(made)) == 4
    assert message.message_id_of(addresses.parse("ANN@Example.org"), WEEK, SENDER) == made[0]


def test_an_address_that_is_written_twice_is_one_recipient() -> None:
    given = ("Ann@Example.org", "ann@example.org", "ann@ex\u00e4mple.org", "ann@xn--exmple-cua.org", "no address")
    assert addresses.distinct(given) == ("Ann@Example.org", "ann@ex\u00e4mple.org", "no address")
