"""What every sender of mail needs of SMTP: a session that is encrypted as it must be, and a mail as DATA wants it.

A certificate is judged by the system's authorities, or by those of the file that SSL_CERT_FILE names.
"""

import re
import smtplib
import socket
import ssl
from typing import Any

from jobctl import clock
from jobctl.mail.server import MailServer, StartTls

DOT = b".\r\n"  # on a line of its own: what ends a mail, and makes it the server's
LONGEST_REPLY = 64 * 1024
_LINE_START_DOT = re.compile(rb"^\.", re.MULTILINE)


def connected(server: MailServer, limit_s: float, starttls: StartTls | None = None) -> smtplib.SMTP:
    """A greeted session, not logged in. `limit_s` is for each answer as a whole. Raises OSError, SMTPException or
    ValueError."""
    starttls = starttls or server.usual_starttls
    context = ssl.create_default_context()
    if server.is_tls_from_start:
        session: smtplib.SMTP = _TlsSession(server.host, server.port, timeout=limit_s, context=context)
    else:
        session = _Session(server.host, server.port, timeout=limit_s)
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


class _Replies:
    """Whole lines from a socket. An answer that comes drop by drop, or line by line without end, ends at its limits:
    the timeout of a socket alone begins anew with each byte."""

    def __init__(self, sock: socket.socket, limit_s: float) -> None:
        self._sock = sock
        self._limit_s = limit_s
        self._rest = b""
        self.begin()

    def begin(self) -> None:
        """The next answer."""
        self._until = clock.monotonic() + self._limit_s
        self._left = LONGEST_REPLY

    def readline(self, most: int) -> bytes:
        """As a file has it: what there was is given where the other side closes."""
        while (end := self._rest.find(b"\n") + 1) == 0 and len(self._rest) < most:
            chunk = self._receive()
            if not chunk:
                end = len(self._rest)
                break
            self._rest += chunk
        cut = min(end or most, most)
        line, self._rest = self._rest[:cut], self._rest[cut:]
        self._left -= len(line)
        if self._left < 0:
            raise OSError(f"an answer of more than {LONGEST_REPLY:,} bytes")
        return line

    def close(self) -> None:
        """The socket is the session's."""

    def _receive(self) -> bytes:
        left_s = self._until - clock.monotonic()
        if left_s <= 0:
            raise TimeoutError("timed out")
        self._sock.settimeout(left_s)
        try:
            return self._sock.recv(8_192)
        finally:
            self._sock.settimeout(self._limit_s)


class _Session(smtplib.SMTP):
    file: Any  # where the answers come from; None until something is connected, and again behind STARTTLS

    def getreply(self) -> tuple[int, bytes]:
        if self.file is None and self.sock is not None:
            self.file = _Replies(self.sock, self.timeout)
        if self.file is not None:
            self.file.begin()
        return super().getreply()


class _TlsSession(_Session, smtplib.SMTP_SSL):
    pass


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
