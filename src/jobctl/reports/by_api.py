"""The weekly mail by a mail service: one POST to Resend or SendGrid for each who gets it.

What is posted is read out of the stored mail, so its parts are those that SMTP would have sent. There is no dot: the
claim comes before the request, and one that got no answer is `unknown`. So is one that got an error of the service's
own (500, 502, 504): it may have been taken before that. Resend is given the Message-ID as its
Idempotency-Key, by which it does not send twice within a day, whoever asks again.
"""

from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from email import message_from_bytes
from email.message import EmailMessage, MIMEPart
from email.policy import default
from typing import Any, Final, Literal, cast

from jobctl.alerts import webhook
from jobctl.alerts.webhook import Deadline
from jobctl.reports.answer import Answer
from jobctl.reports.mail_store import Mail, Source
from jobctl.settings_mail import WayName

ApiName = Literal["resend", "sendgrid"]
ADDRESSES: Final[Mapping[ApiName, str]] = {
    "resend": "https://api.resend.com",
    "sendgrid": "https://api.sendgrid.com",
}
PATHS: Final[Mapping[ApiName, str]] = {"resend": "/emails", "sendgrid": "/v3/mail/send"}
# What is not said by fields of its own.
FURTHER: Final = (
    *("Message-ID", "List-Id", "List-Unsubscribe", "List-Unsubscribe-Post", "Auto-Submitted"),
    "X-Auto-Response-Suppress",
)
# Of the key, the account or the address, and not of one mail.
OF_WAY: Final = frozenset({401, 402, 403, 404, 405})
FOR_NOW: Final = frozenset({408, 429, 503})
NOT_OF_MAIL: Final = OF_WAY | FOR_NOW


class ByApi:
    def __init__(self, name: ApiName, key: str, base_url: str | None, timeout_s: float) -> None:
        self.name: WayName = name
        self._key = key
        self._url = (base_url or ADDRESSES[name]) + PATHS[name]
        self._timeout_s = timeout_s

    def send(self, mail: Mail, source: Source, claim: Callable[[], bool]) -> Answer:
        whole = message_from_bytes(mail.head + source.source, policy=default)
        body = resend_body(whole) if self.name == "resend" else sendgrid_body(whole)
        headers = {"Authorization": f"Bearer {self._key}"}
        if self.name == "resend":
            headers["Idempotency-Key"] = mail.message_id.strip("<>")
        if not claim():
            return Answer("not-ours", "another process has it")
        return judge(webhook.post(self._url, body, Deadline(self._timeout_s), headers=headers))

    def close(self) -> None:
        """Each request has its own connection."""


def judge(answer: webhook.Answer) -> Answer:
    status, reason = answer.status, answer.reason
    if not status:
        is_unknown = answer.end is webhook.End.UNKNOWN
        if is_unknown:
            return Answer("unknown", reason, is_cut=True)
        return Answer("later", reason, is_of_way=True)
    if 200 <= status < 300:
        return Answer("sent", reason)
    if status in NOT_OF_MAIL or 300 <= status < 400:
        return Answer("later", reason, is_of_way=True, helps_to_wait=status in FOR_NOW)
    if status >= 500 or status == 409:  # 409: Resend has this key in its hands, or had it with another text
        return Answer("unknown", reason)
    return Answer("failed", reason)


def resend_body(mail: EmailMessage) -> dict[str, Any]:
    parts = _Parts(mail)
    files = [
        {"filename": part.get_filename(), "content": _encoded(part), "content_type": part.get_content_type(), **named}
        for part, named in parts.files()
    ]
    body: dict[str, Any] = {
        "from": str(mail["From"].addresses[0]),
        "to": [str(mail["To"])],
        "subject": str(mail["Subject"]),
        "html": parts.html,
        "text": parts.text,
        "headers": parts.further,
    }
    if mail["Reply-To"] is not None:
        body["reply_to"] = str(mail["Reply-To"])
    return body | ({"attachments": files} if files else {})


def sendgrid_body(mail: EmailMessage) -> dict[str, Any]:
    parts = _Parts(mail)
    sender = mail["From"].addresses[0]
    files = [
        {
            "filename": part.get_filename(),
            "content": _encoded(part),
            "type": part.get_content_type(),
            "disposition": "inline" if named else "attachment",
            **named,
        }
        for part, named in parts.files()
    ]
    body: dict[str, Any] = {
        "personalizations": [{"to": [{"email": str(mail["To"])}]}],
        "from": {"email": sender.addr_spec, **({"name": sender.display_name} if sender.display_name else {})},
        "subject": str(mail["Subject"]),
        "content": [{"type": "text/plain", "value": parts.text}, {"type": "text/html", "value": parts.html}],
        "headers": parts.further,
        "tracking_settings": {"click_tracking": {"enable": False}, "open_tracking": {"enable": False}},
    }
    if mail["Reply-To"] is not None:
        body["reply_to"] = {"email": str(mail["Reply-To"])}
    return body | ({"attachments": files} if files else {})


class _Parts:
    """Both services call the name of a picture inside the page `content_id`."""

    def __init__(self, mail: EmailMessage) -> None:
        self._mail = mail
        self.text = self._of("text/plain")
        self.html = self._of("text/html")
        self.further = {name: str(mail[name]) for name in FURTHER if mail[name] is not None}

    def _of(self, kind: str) -> str:
        content = next(part.get_content() for part in self._leaves() if part.get_content_type() == kind)
        return content.replace("\r\n", "\n")

    def files(self) -> Iterator[tuple[MIMEPart, dict[str, str]]]:
        """Each with the field that names it, if the page does."""
        for part in self._leaves():
            if part.get_filename():
                content_id = part["Content-ID"]
                yield part, {"content_id": str(content_id).strip("<>")} if content_id else {}

    def _leaves(self) -> Iterator[MIMEPart]:
        return (cast("MIMEPart", part) for part in self._mail.walk() if not part.is_multipart())


def _encoded(part: MIMEPart) -> str:
    return b64encode(cast("bytes", part.get_payload(decode=True))).decode("ascii")
