"""The mail server of SMTP_URL: asked for its greeting, or given one small mail. Encrypted, unless it is this host's."""

import ipaddress
import smtplib
import ssl
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from urllib.parse import unquote, urlsplit

PORTS = {"smtp": 587, "smtps": 465}


@dataclass(frozen=True, slots=True)
class MailServer:
    host: str
    port: int
    is_tls_from_start: bool
    user: str | None
    password: str | None

    @property
    def is_loopback(self) -> bool:
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


def server_of(url: str) -> MailServer:
    """`smtp://user:password@host:587` (STARTTLS) or `smtps://host` (TLS from the start)."""
    address = urlsplit(url)
    scheme = address.scheme.lower()
    return MailServer(
        host=address.hostname or "",
        port=address.port or PORTS[scheme],
        is_tls_from_start=scheme == "smtps",
        user=unquote(address.username) if address.username else None,
        password=unquote(address.password) if address.password else None,
    )


def greet(server: MailServer, limit_s: float) -> str | None:
    """Connect, greet, encrypt; why that failed, None when it went well. No log-in."""
    try:
        with _connected(server, limit_s) as session:
            if server.user is not None and not session.has_extn("auth"):
                return "it offers no log-in, and SMTP_URL names a user"
    except (OSError, smtplib.SMTPException, ValueError) as error:
        return reason_of(error)
    return None


def send(server: MailServer, *, sender: str, recipients: tuple[str, ...], subject: str, limit_s: float) -> str | None:
    """Send one mail of one line; why that failed, None when every address was taken."""
    message = EmailMessage()
    message["From"] = sender
    message["To"] = ", ".join(recipients)
    message["Subject"] = subject
    message["Date"] = formatdate(localtime=False)
    message["Message-ID"] = make_msgid(domain="jobctl.invalid")
    message.set_content("This mail was sent by: jobctl doctor --send-test\n")
    try:
        with _connected(server, limit_s) as session:
            if server.user is not None:
                session.login(server.user, server.password or "")
            refused = session.send_message(message)
    except (OSError, smtplib.SMTPException, ValueError) as error:
        return reason_of(error)
    if refused:
        return f"{len(refused)} of {len(recipients)} addresses were refused"
    return None


def reason_of(error: Exception) -> str:
    """An SMTP answer as code and text; anything else by its name and text."""
    if isinstance(error, smtplib.SMTPResponseException):
        text = error.smtp_error
        return f"{error.smtp_code} {text.decode('utf-8', 'replace') if isinstance(text, bytes) else text}"
    return f"{type(error).__name__}: {error}"


def _connected(server: MailServer, limit_s: float) -> smtplib.SMTP:
    """A greeted session, encrypted unless the server is on this host. Raises OSError or SMTPException."""
    context = ssl.create_default_context()
    if server.is_tls_from_start:
        session: smtplib.SMTP = smtplib.SMTP_SSL(server.host, server.port, timeout=limit_s, context=context)
    else:
        session = smtplib.SMTP(server.host, server.port, timeout=limit_s)
    try:
        session.ehlo_or_helo_if_needed()
        if not server.is_tls_from_start and not server.is_loopback:
            session.starttls(context=context)
            session.ehlo()
    except BaseException:
        session.close()
        raise
    return session
