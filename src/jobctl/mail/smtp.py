"""What every sender of mail needs of SMTP: a session that is encrypted as it must be, and a mail as DATA wants it.

A certificate is judged by the system's authorities, or by those of the file that SSL_CERT_FILE names.
"""

import re
import smtplib
import ssl

from jobctl.mail.server import MailServer, StartTls

DOT = b".\r\n"  # on a line of its own: what ends a mail, and makes it the server's
_LINE_START_DOT = re.compile(rb"^\.", re.MULTILINE)


def connected(server: MailServer, limit_s: float, starttls: StartTls | None = None) -> smtplib.SMTP:
    """A greeted session, not logged in. `limit_s` is for each wait. Raises OSError, SMTPException or ValueError."""
    starttls = starttls or server.usual_starttls
    context = ssl.create_default_context()
    if server.is_tls_from_start:
        session: smtplib.SMTP = smtplib.SMTP_SSL(server.host, server.port, timeout=limit_s, context=context)
    else:
        session = smtplib.SMTP(server.host, server.port, timeout=limit_s)
    try:
        session.ehlo_or_helo_if_needed()
        is_offered = session.has_extn("starttls")
        if not server.is_tls_from_start and (starttls == "required" or (starttls == "if-offered" and is_offered)):
            session.starttls(context=context)
            session.ehlo_or_helo_if_needed()
    except BaseException:
        session.close()
        raise
    return session


def logged_in(server: MailServer, limit_s: float, starttls: StartTls | None = None) -> smtplib.SMTP:
    """The same, logged in where the address names a user."""
    session = connected(server, limit_s, starttls)
    try:
        if server.user is not None:
            session.login(server.user, server.password or "")
    except BaseException:
        session.close()
        raise
    return session


def undotted(data: bytes) -> bytes:
    """All that DATA wants before DOT. Its lines end with CR and LF; one that begins with a dot gets one more."""
    return _LINE_START_DOT.sub(b"..", data.rstrip(b"\r\n")) + b"\r\n"


def reason_of(error: Exception) -> str:
    """An SMTP answer as code and text; anything else by its name and text."""
    if isinstance(error, smtplib.SMTPResponseException):
        text = error.smtp_error
        return f"{error.smtp_code} {text.decode('utf-8', 'replace') if isinstance(text, bytes) else text}"
    return f"{type(error).__name__}: {error}"
