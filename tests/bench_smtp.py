"""An SMTP server on the loopback that fails where a test wants it to, and keeps its own ledger of what it took.

It speaks STARTTLS and AUTH, and takes a mail when the line with the single dot has come, as RFC 5321 has it. What it
took is counted by itself, so that a test never has to believe the sender's tables about it.
"""

import base64
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.message import Message
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple

from bench_listener import Listener

USER, PASSWORD = "jobctl", "c4n4ry-p4ss"

# In the order of a session. Up to `auth` they are of a session, then of each mail.
POINTS = (
    *("connect", "banner", "ehlo", "starttls", "handshake", "auth", "mail", "rcpt", "data", "body", "before-dot"),
    *("after-dot", "after-dot-lost", "after-answer", "quit"),
)
# Where an answer says no instead.
ANSWERED = ("banner", "ehlo", "starttls", "auth", "mail", "rcpt", "data", "after-dot", "quit")


class Fault(NamedTuple):
    """`kind` is cut, 4xx or 5xx; it comes `times` times, after `skip` times that went well."""

    point: str
    kind: str
    skip: int = 0
    times: int = 1


class Taken(NamedTuple):
    recipient: str
    message_id: str
    data: bytes


class Cut(Exception):
    """The connection is closed now."""


class SmtpServer(Listener):
    def __init__(self, tls: ssl.SSLContext | None = None, *, with_auth: bool = False) -> None:
        super().__init__()
        self.taken: list[Taken] = []
        self.fault: Fault | None = None
        self.hook: Callable[[str], None] = lambda point: None
        self.commands: list[str] = []
        self._met = 0
        self._tls = tls
        self._with_auth = with_auth

    @property
    def url(self) -> str:
        who = f"{USER}:{PASSWORD}@" if self._with_auth else ""
        return f"smtp://{who}localhost:{self.port}"

    def expect(self, fault: Fault | None) -> None:
        with self.lock:
            self.fault, self._met = fault, 0

    @property
    def was_met(self) -> bool:
        """Whether the fault that is expected has come."""
        with self.lock:
            return self.fault is not None and self._met > self.fault.skip

    def serve(self, peer: socket.socket) -> None:
        session = _Session(self, peer)
        with suppress(OSError, Cut, ValueError):
            session.run()
        session.close()

    def at(self, point: str) -> str | None:
        """What happens at this point now: None goes well, else 4xx or 5xx. Raises Cut."""
        self.hook(point)
        with self.lock:
            fault = self.fault
            if fault is None or fault.point != point:
                return None
            self._met += 1
            if not fault.skip < self._met <= fault.skip + fault.times:
                return None
        if fault.kind == "cut":
            raise Cut
        return {"4xx": "451 not now", "5xx": "550 never"}[fault.kind]

    def take(self, recipient: str, data: bytes) -> None:
        whole: Message = message_from_bytes(data)
        with self.lock:
            self.taken.append(Taken(recipient, str(whole["Message-ID"]), data))

    @property
    def tls(self) -> ssl.SSLContext | None:
        return self._tls

    @property
    def with_auth(self) -> bool:
        return self._with_auth


class _Session:
    def __init__(self, server: SmtpServer, peer: socket.socket) -> None:
        self._server = server
        self._peer = peer
        self._left = b""
        self._is_encrypted = False

    def close(self) -> None:
        with suppress(OSError):
            self._peer.close()

    def run(self) -> None:
        at = self._server.at
        at("connect")
        self._say(at("banner") or "220 bench ready")
        recipient = ""
        while True:
            line = self._line()
            word = line.partition(" ")[0].upper()
            self._server.commands.append(word)
            if word == "EHLO":
                self._say(at("ehlo") or self._offers())
            elif word == "STARTTLS" and self._server.tls is not None:
                self._encrypt(at("starttls"))
            elif word == "AUTH":
                self._say(at("auth") or self._judge(line))
            elif word == "MAIL":
                self._say(at("mail") or "250 ok")
            elif word == "RCPT":
                recipient = line[line.index("<") + 1 : line.index(">")]
                self._say(at("rcpt") or "250 ok")
            elif word == "DATA":
                no = at("data")
                self._say(no or "354 go on")
                if no is None:
                    self._say(self._mail(recipient))
                    at("after-answer")
            elif word == "QUIT":
                self._say(at("quit") or "221 bye")
                return
            else:
                self._say("250 ok" if word == "RSET" else "502 what?")

    def _offers(self) -> str:
        offers = ["bench", "SIZE 50000000"]
        if self._server.tls is not None and not self._is_encrypted:
            offers.append("STARTTLS")
        elif self._server.with_auth:
            offers.append("AUTH PLAIN")
        return "\r\n".join([*(f"250-{each}" for each in offers), "250 HELP"])

    def _encrypt(self, no: str | None) -> None:
        self._say(no or "220 go on")
        if no is None:
            self._server.at("handshake")
            assert self._server.tls is not None
            self._peer = self._server.tls.wrap_socket(self._peer, server_side=True)
            self._is_encrypted = True

    def _judge(self, line: str) -> str:
        given = base64.b64decode(line.split(" ")[2])
        return "235 welcome" if given == f"\0{USER}\0{PASSWORD}".encode() else "535 who?"

    def _mail(self, recipient: str) -> str:
        """The answer to the dot."""
        at = self._server.at
        text = self._more()
        at("body")
        while not text.endswith(b"\r\n.\r\n"):
            if text.endswith(b"--\r\n"):  # the last boundary: what is missing is the dot
                at("before-dot")
            text += self._more()
        at("after-dot-lost")
        data = text[:-3].replace(b"\r\n..", b"\r\n.")
        try:
            no = at("after-dot")
        except Cut:
            self._server.take(recipient, data)
            raise
        if no is None:
            self._server.take(recipient, data)
        return no or "250 taken"

    def _more(self) -> bytes:
        if self._left:
            left, self._left = self._left, b""
            return left
        chunk = self._peer.recv(65_536)
        if not chunk:
            raise Cut
        return chunk

    def _line(self) -> str:
        while b"\r\n" not in self._left:
            chunk = self._peer.recv(65_536)
            if not chunk:
                raise Cut
            self._left += chunk
        line, _, self._left = self._left.partition(b"\r\n")
        return line.decode("utf-8", "replace")

    def _say(self, text: str) -> None:
        self._peer.sendall(f"{text}\r\n".encode())


def make_certificate(directory: Path) -> Path:
    """Of `localhost`, signed by itself; key and certificate in one file, which is also the one to trust."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    names = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=2))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = directory / "localhost.pem"
    path.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) + certificate.public_bytes(Encoding.PEM)
    )
    return path


def server_side(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context
