"""The weekly mail by SMTP: one session for all who get it, a transaction of its own for each.

A recipient who is refused keeps nobody else from getting theirs. What is refused before there is a recipient (the
connection, its encryption, the log-in, the sender) is nothing of one mail's: nobody's would get through. A server that
closes between two mails, as many do after so many, is connected to once more. The dot that ends a mail is sent after
the claim and alone (mailing.py); a session in which anything was cut is dropped without a word, since a QUIT there
would be one more line of the mail.
"""

import select
import smtplib
import ssl
from collections.abc import Callable
from contextlib import suppress

from jobctl.mail import smtp
from jobctl.mail.server import MailServer, StartTls
from jobctl.reports.answer import Answer, End
from jobctl.reports.mail_store import Mail, Source
from jobctl.settings_mail import WayName

GO_ON = 354
CLOSING = 421


class BySmtp:
    name: WayName = "smtp"

    def __init__(self, server: MailServer, starttls: StartTls | None, timeout_s: float) -> None:
        self._server = server
        self._starttls: StartTls | None = starttls
        self._timeout_s = timeout_s
        self._session: smtplib.SMTP | None = None

    def send(self, mail: Mail, source: Source, claim: Callable[[], bool]) -> Answer:
        data = smtp.undotted(mail.head + source.source)
        answer = self._begun(source.sender, len(data))
        if answer is not None:
            return answer
        try:
            return self._carried_on(mail, data, claim)
        except BaseException:
            self._drop()
            raise

    def close(self) -> None:
        if self._session is not None:
            with suppress(OSError, smtplib.SMTPException, ValueError):
                self._session.quit()
        self._drop()

    def _begun(self, sender: str, size: int) -> Answer | None:
        """A session that has taken MAIL; else why there is none."""
        answer: Answer | None = None
        while True:
            is_fresh = self._session is None
            try:
                session = self._session = self._session or smtp.logged_in(self._server, self._timeout_s, self._starttls)
                code, text = session.mail(sender, (f"size={size}",) if session.has_extn("size") else ())
                if _is_yes(code):
                    return None
                answer = Answer("later", _said(code, text), is_of_way=True, helps_to_wait=not 500 <= code < 600)
                is_over = is_fresh or code != CLOSING
            except smtplib.SMTPResponseException as error:
                may_help = not 500 <= error.smtp_code < 600
                answer = Answer("later", smtp.reason_of(error), is_of_way=True, helps_to_wait=may_help)
                is_over = True
            except (OSError, smtplib.SMTPException, ValueError) as error:
                is_for_good = isinstance(error, smtplib.SMTPNotSupportedError | ssl.SSLCertVerificationError)
                answer = Answer("later", smtp.reason_of(error), is_of_way=True, helps_to_wait=not is_for_good)
                is_over = is_fresh
            self._drop()
            if is_over:
                return answer

    def _carried_on(self, mail: Mail, data: bytes, claim: Callable[[], bool]) -> Answer:
        session = self._session
        assert session is not None
        may_have_arrived = False
        try:
            code, text = session.rcpt(mail.address)
            if not _is_yes(code):
                return self._refused(code, text)
            code, text = session.docmd("DATA")
            if code != GO_ON:
                return self._refused(code, text)
            session.send(data)
            if not claim():
                self._drop()
                return Answer("not-ours", "another process has it")
            if _has_ended(session):
                self._drop()
                return Answer("later", "it ended the session before the end of the mail", is_cut=True)
            may_have_arrived = True
            session.send(smtp.DOT)
            code, text = session.getreply()
        except (OSError, smtplib.SMTPException, ValueError) as error:
            self._drop()
            return Answer("unknown" if may_have_arrived else "later", smtp.reason_of(error), is_cut=True)
        if _is_yes(code):
            return Answer("sent", _said(code, text))
        if 400 <= code < 600:
            return self._refused(code, text)
        self._drop()  # an answer that is none: nobody knows what it is about
        return Answer("unknown", _said(code, text))

    def _refused(self, code: int, text: bytes) -> Answer:
        """A code of 4xx is for now, and one of 5xx for good. The session goes on where it can."""
        try:
            if code == CLOSING or not 400 <= code < 600 or not self._session or not _is_yes(self._session.rset()[0]):
                self._drop()
        except (OSError, smtplib.SMTPException, ValueError):
            self._drop()
        end: End = "failed" if 500 <= code < 600 else "later"
        return Answer(end, _said(code, text))

    def _drop(self) -> None:
        if self._session is not None:
            self._session.close()
            self._session = None


def _has_ended(session: smtplib.SMTP) -> bool:
    """Whether the server has closed, or said something that nobody asked it. What was cut inside the text is seen here
    as a rule, and is no mail; without this look it would be one of which nobody knows."""
    sock = session.sock
    if sock is None:
        return True
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    if not poll.poll(0):
        return False
    sock.settimeout(0)
    try:
        sock.recv(1)
    except (BlockingIOError, ssl.SSLWantReadError):
        return False  # a record of TLS itself
    finally:
        sock.settimeout(session.timeout)
    return True


def _is_yes(code: int) -> bool:
    return 200 <= code < 300


def _said(code: int, text: bytes) -> str:
    return f"{code} {text.decode('utf-8', 'replace')}"
