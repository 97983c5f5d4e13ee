"""The mail server of SMTP_URL: asked for its greeting, or given one small mail, both as `starttls` of [mail] says."""

import smtplib
from email.message import EmailMessage
from email.utils import formatdate, make_msgid

from jobctl.mail.server import MailServer, StartTls
from jobctl.mail.smtp import connected, logged_in, reason_of


def greet(server: MailServer, limit_s: float, starttls: StartTls | None = None) -> str | None:
    """Connect, greet, encrypt; why that failed, None when it went well. No log-in."""
    try:
        with connected(server, limit_s, starttls) as session:
            if server.user is not None and not session.has_extn("auth"):
                return "it offers no log-in, and SMTP_URL names a user"
    except (OSError, smtplib.SMTPException, ValueError) as error:
        return reason_of(error)
    return None


def send(
    server: MailServer,
    *,
    sender: str,
    recipients: tuple[str, ...],
    subject: str,
    limit_s: float,
    starttls: StartTls | None = None,
) -> str | None:
    """Send one mail of one line; why that failed, None when every address was taken."""
    message = EmailMessage()
    message["From"] = sender
    message["To"] = ", ".join(recipients)
    message["Subject"] = subject
    message["Date"] = formatdate(localtime=False)
    message["Message-ID"] = make_msgid(domain="jobctl.invalid")
    message.set_content("This mail was sent by: jobctl doctor --send-test\n")
    try:
        with logged_in(server, limit_s, starttls) as session:
            refused = session.send_message(message)
    except (OSError, smtplib.SMTPException, ValueError) as error:
        return reason_of(error)
    if refused:
        return f"{len(refused)} of {len(recipients)} addresses were refused"
    return None
