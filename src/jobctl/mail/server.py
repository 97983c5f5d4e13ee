"""A mail server as SMTP_URL names it. Pure."""

import ipaddress
from dataclasses import dataclass
from typing import Literal
from urllib.parse import unquote, urlsplit

PORTS = {"smtp": 587, "smtps": 465}

# Whether a session that begins in the clear must be encrypted before anything is told.
StartTls = Literal["required", "if-offered", "off"]


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

    @property
    def usual_starttls(self) -> StartTls:
        """What goes where no setting says otherwise: nothing leaves this host in the clear."""
        return "off" if self.is_loopback else "required"


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
