"""An incident as a mail of plain text, by SMTP, of which is known whether the server took it.

What decides is how far the session had come: before the dot that ends the mail nothing was taken, and after it only the
server's answer tells. A mail has the same Message-ID however often it is tried. All addresses get one mail; one that is
refused keeps it from nobody else.
"""

import smtplib
from collections.abc import Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr
from hashlib import blake2b

from jobctl import clock
from jobctl.alerts.bounded import Attempt, bounded
from jobctl.alerts.webhook import Answer, Deadline, End
from jobctl.alerts.words import Told
from jobctl.mail import smtp
from jobctl.mail.server import StartTls, server_of


@dataclass(frozen=True, slots=True)
class Post:
    """Where mails go: the server's address with its secrets, who sends, who gets them."""

    url: str
    sender: str
    recipients: Sequence[str]
    starttls: StartTls | None = None


def message(told: Told, post: Post, key: str) -> EmailMessage:
    """`key` is the message's own, the same at each try."""
    mail = EmailMessage(policy=SMTP)
    mail["From"] = post.sender
    mail["To"] = ", ".join(post.recipients)
    mail["Subject"] = told.title
    mail["Date"] = format_datetime(clock.utc_now())
    mail["Message-ID"] = f"<{blake2b(key.encode(), digest_size=16).hexdigest()}@jobctl.invalid>"
    mail["Auto-Submitted"] = "auto-generated"
    mail["X-Auto-Response-Suppress"] = "All"
    if told.incident_id:
        thread = f"<incident-{told.incident_id}@jobctl.invalid>"  # mails of one incident stand together
        mail["References"] = thread
    link = f"\n\nrunbook: {told.runbook_url}" if told.runbook_url else ""
    mail.set_content(told.text + link + "\n", charset="utf-8", cte="quoted-printable")
    return mail


def send(post: Post, told: Told, key: str, deadline: Deadline) -> Answer:
    """Raises nothing that a network can do."""
    data = message(told, post, key).as_bytes()
    return bounded(lambda attempt: _sent(post, data, deadline, attempt), deadline, "mail")


def _sent(post: Post, data: bytes, deadline: Deadline, attempt: Attempt) -> Answer:
    began = False
    try:
        with smtp.logged_in(server_of(post.url), max(deadline.left_s(), 0.1), post.starttls) as session:
            _require(session.mail(parseaddr(post.sender)[1]))
            refused = [answer for answer in map(session.rcpt, post.recipients) if answer[0] not in (250, 251)]
            if len(refused) == len(post.recipients):
                _require(refused[0])
            code, text = session.docmd("DATA")
            if code != 354:
                _require((code, text))
            if not attempt.begin():
                return Answer(End.TRY_LATER, "no connection in time")
            began = True
            session.send(smtp.undotted(data) + smtp.DOT)
            answer = session.getreply()
            said = f"{answer[0]} {answer[1].decode('utf-8', 'replace')}"
            if refused:
                said += f"; {len(refused)} of {len(post.recipients)} addresses were refused"
            return Answer(_end(answer[0]), said)
    except smtplib.SMTPResponseException as error:
        return Answer(_end(error.smtp_code), smtp.reason_of(error))
    except (OSError, smtplib.SMTPException, ValueError) as error:
        end = End.UNKNOWN if began else End.TRY_LATER
        return Answer(end, f"{type(error).__name__}: {error}")


def _require(answer: tuple[int, bytes]) -> None:
    if not 200 <= answer[0] < 300:
        raise smtplib.SMTPResponseException(*answer)


def _end(code: int) -> End:
    """By SMTP's own rule: 4xx is for now. A log-in that is refused may be mended in the settings, and waits."""
    if 200 <= code < 300:
        return End.ARRIVED
    return End.REFUSED if code >= 550 else End.TRY_LATER
