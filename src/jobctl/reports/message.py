"""A letter as a mail's bytes. Pure.

    head     To, Message-ID, List-Unsubscribe     the recipient's own
    source   From, Subject, Date, ...             the same for all who get it
             multipart/mixed
               multipart/related
                 multipart/alternative            text, then html
                 image, image, ...                named by the page as cid:...
               text/csv, ...

A mail is head + source, so it is the same however often it is sent, and pictures are kept once. Headers are written
here, each a line of printable ASCII and nothing else, so nothing that somebody called an issue can become a header. The
library writes the parts; it would fold a long URL into encoded words, and read a text that looks like one as what it
encodes, line breaks included.
"""

import re
from collections.abc import Sequence
from datetime import datetime
from email.header import Header
from email.message import EmailMessage, MIMEPart
from email.policy import SMTP
from email.utils import format_datetime
from hashlib import blake2b
from typing import Final, NamedTuple
from urllib.parse import quote

from jobctl.reports.addresses import Address, parse
from jobctl.reports.letter import Image, Letter

LONGEST_SUBJECT: Final = 200
LONGEST_NAME: Final = 100
LONGEST_LINE: Final = 900  # SMTP allows 998
_PLAIN: Final = re.compile(r"[\x20-\x7e]*")
_FOLDED: Final = re.compile(r"[\x20-\x7e]*(?:\r\n [\x20-\x7e]+)*")
_CONTENT_ID: Final = re.compile(r"[A-Za-z0-9._@+-]{1,100}")
_SENDER: Final = re.compile(r"\s*([^<>]*?)\s*<([^<>]*)>\s*")


class Sender(NamedTuple):
    name: str
    address: Address


def sender_of(text: str) -> Sender:
    """Of `Reports <reports@example.org>`, or the address alone. Raises ValueError."""
    found = _SENDER.fullmatch(text)
    name = one_line(found[1]).strip('" ') if found else ""
    return Sender(name, parse(found[2] if found else text))


def one_line(text: str) -> str:
    """Without line breaks and whatever else is not to be seen: controls, marks of direction, halves of characters."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())


def source_of(letter: Letter, sender: Sender, sent_at: datetime, *, list_id: str | None, reply_to: str | None) -> bytes:
    """Raises ValueError for a picture whose name no page can refer to."""
    subject = one_line(letter.subject)[:LONGEST_SUBJECT].strip() or "jobctl report"
    lines = [
        _header("From", f"{_phrase(sender.name[:LONGEST_NAME])}<{sender.address.spelled}>"),
        _header("Subject", _encoded(subject, "Subject")),
        _header("Date", format_datetime(sent_at)),
        _header("List-Id", f"<{list_id or f'report.jobctl.{sender.address.domain}'}>"),
        _header("Auto-Submitted", "auto-generated"),
        _header("X-Auto-Response-Suppress", "All"),
    ]
    if reply_to is not None:
        lines.append(_header("Reply-To", reply_to))
    return b"".join(lines) + _body(letter).as_bytes()


def head_of(address: Address, message_id: str, unsubscribe: str) -> bytes:
    """`unsubscribe` is a URL with `{address}` in it or not."""
    url = unsubscribe.replace("{address}", quote(address.spelled, safe=""))
    lines = [
        _header("To", address.spelled),
        _header("Message-ID", message_id),
        _header("List-Unsubscribe", f"<{url}>"),
    ]
    if url.lower().startswith("https:"):
        lines.append(_header("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"))
    return b"".join(lines)


def message_id_of(address: Address, week: str, sender: Sender) -> str:
    """The same for this recipient and week, whoever makes it and when."""
    digest = blake2b(f"{week} {address.key}".encode(), digest_size=16).hexdigest()
    return f"<report.{week}.{digest}@{sender.address.domain}>"


def _header(name: str, value: str) -> bytes:
    if not _FOLDED.fullmatch(value) or max(map(len, value.split("\r\n"))) > LONGEST_LINE:
        raise ValueError(f"{name} would not be lines of printable ASCII")
    return f"{name}: {value}\r\n".encode("ascii")


def _encoded(text: str, name: str) -> str:
    if _PLAIN.fullmatch(text) and "=?" not in text:
        return text
    return Header(text, "utf-8", header_name=name, maxlinelen=76).encode(linesep="\r\n")


def _phrase(name: str) -> str:
    if not name:
        return ""
    if _PLAIN.fullmatch(name) and "=?" not in name:
        return '"' + re.sub(r'(["\\])', r"\\\1", name) + '" '
    return _encoded(name, "From") + " "


# The parts -----------------------------------------------------------------------------------------------------------


def _body(letter: Letter) -> MIMEPart:
    page: MIMEPart = MIMEPart(policy=SMTP)
    page.set_content(_text(letter.text), charset="utf-8", cte="quoted-printable")
    page.add_alternative(_text(letter.html), subtype="html", charset="utf-8", cte="quoted-printable")
    related = _fill(MIMEPart(policy=SMTP), "related", [page, *map(_image, letter.images)])
    related.set_param("type", "multipart/alternative")
    whole = EmailMessage(policy=SMTP)
    _fill(whole, "mixed", [related, *_tables(letter)])
    whole["MIME-Version"] = "1.0"
    # Fixed, so that the same letter is the same bytes; no encoded part has a line that begins with =_.
    digest = blake2b("\n".join((letter.subject, letter.text, letter.html)).encode("utf-8", "replace"), digest_size=12)
    for kind, part in (("mixed", whole), ("related", related), ("page", page)):
        part.set_boundary(f"=_{kind}_{digest.hexdigest()}")
    return whole


def _fill(whole: MIMEPart, kind: str, parts: Sequence[MIMEPart]) -> MIMEPart:
    whole["Content-Type"] = f"multipart/{kind}"
    for part in parts:
        whole.attach(part)
    return whole


def _image(image: Image) -> MIMEPart:
    if not _CONTENT_ID.fullmatch(image.content_id):
        raise ValueError(f"{image.content_id!r} is not the name of a picture inside a page")
    part = MIMEPart(policy=SMTP)
    name = f"{_filename(image.content_id)}.png"
    part.set_content(image.png, "image", "png", disposition="inline", filename=name, cid=f"<{image.content_id}>")
    return part


def _tables(letter: Letter) -> list[MIMEPart]:
    parts: list[MIMEPart] = []
    for table in letter.attachments:
        kind, _, parameters = table.media_type.partition(";")
        main, _, sub = kind.strip().partition("/")
        part = MIMEPart(policy=SMTP)
        part.set_content(table.content, main, sub, disposition="attachment", filename=_filename(table.filename))
        charset = re.search(r"charset=([A-Za-z0-9_-]+)", parameters)
        if charset is not None:
            part.set_param("charset", charset[1])
        parts.append(part)
    return parts


def _filename(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text)[:100].strip(".-") or "file"


def _text(text: str) -> str:
    """What UTF-8 has no bytes for, as a question mark."""
    return text.encode("utf-8", "replace").decode("utf-8")
