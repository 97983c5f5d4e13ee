"""The weekly mail as it is rendered, before it has a recipient: what is shown, and what is sent, are made of it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Image:
    """A picture inside the page, which names it as `cid:<content_id>`."""

    content_id: str
    png: bytes
    alt: str


@dataclass(frozen=True, slots=True)
class Attachment:
    filename: str
    content: bytes
    media_type: str = "text/csv; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Letter:
    """`html` and `text` say the same; whoever sees no page reads well with the text alone. `subject` is one line."""

    subject: str
    html: str
    text: str
    images: tuple[Image, ...] = ()
    attachments: tuple[Attachment, ...] = ()
