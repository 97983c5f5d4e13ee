"""An http or https URL, taken apart once, strictly, and used only by its parts from then on.

Two readers of one URL are a hole: what one takes for a user name is the other's host. So there is one reader, it
refuses what others read in several ways (a backslash, a space, a control character, a user name, an empty port), and
host, port and target of a request come from its answer. Pure; nothing is looked up. `0x7f.1` is a host by its letters,
and what it is the address of is the resolver's answer, which is vetted like every other.
"""

import re
from typing import Final, NamedTuple
from urllib.parse import quote, urljoin

DEFAULT_PORT: Final = {"http": 80, "https": 443}
LONGEST: Final = 8_192
_URL: Final = re.compile(r"(https?)://([^/?#]*)([^?#]*)(\?[^#]*)?(?:#.*)?", re.IGNORECASE)
_HOST: Final = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?)*")
_SAFE: Final = "/%:@!$&'()*+,;=~?[]"  # what a target may hold as it is, beside letters, digits and -._


class WebUrl(NamedTuple):
    """`host` is in small ASCII letters, without brackets; `target` is path and query as a request line has them."""

    scheme: str
    host: str
    port: int
    target: str

    @property
    def origin(self) -> str:
        """Scheme, host and port: who is asked, and what may be told of a URL, whose target may be a secret."""
        return f"{self.scheme}://{self.authority}"

    @property
    def authority(self) -> str:
        """Host, and port where it is not the scheme's own, as the header Host has them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORT[self.scheme] else f"{host}:{self.port}"

    def __str__(self) -> str:
        return self.origin + self.target


def parse_url(text: str) -> WebUrl:
    """Raises ValueError, in words that do not repeat the URL."""
    if len(text) > LONGEST:
        raise ValueError(f"is longer than {LONGEST} characters")
    if "\\" in text or not text.isprintable() or any(character.isspace() for character in text):
        raise ValueError("has a space, a backslash or a control character in it")
    match = _URL.fullmatch(text)
    if match is None:
        raise ValueError("must start with http:// or https://")
    scheme, authority, path, query = (part or "" for part in match.groups())
    if "@" in authority:
        raise ValueError("has a user name or password in it")
    scheme = scheme.lower()
    host, port = _host_and_port(authority, DEFAULT_PORT[scheme])
    return WebUrl(scheme, host, port, quote(path or "/", safe=_SAFE) + quote(query, safe=_SAFE))


def join_url(base: WebUrl, location: str) -> WebUrl:
    """Where a redirect leads. Raises ValueError."""
    if "\\" in location or not location.isprintable() or " " in location:
        raise ValueError("has a space, a backslash or a control character in it")
    return parse_url(urljoin(str(base), location))


def _host_and_port(authority: str, default: int) -> tuple[str, int]:
    match = re.fullmatch(r"(\[[^\[\]]*\]|[^\[\]:]*)(?::([0-9]{1,5}))?", authority)
    if match is None:
        raise ValueError("has a host and port that cannot be told apart")
    port = int(match[2]) if match[2] else default
    if not 1 <= port <= 65_535:
        raise ValueError(f"has the port {port}, which there is not")
    return (_literal(match[1][1:-1]) if match[1].startswith("[") else _name(match[1])), port


def _literal(text: str) -> str:
    from ipaddress import IPv6Address

    try:
        address = IPv6Address(text)
    except ValueError:
        raise ValueError("has something in brackets that is no IPv6 address") from None
    if address.scope_id is not None:
        raise ValueError("has an address of one network interface")
    return str(address)


def _name(text: str) -> str:
    host = text
    if not host.isascii():
        try:
            host = host.encode("idna").decode("ascii")
        except UnicodeError:
            raise ValueError("has a host that is no name") from None
    host = host.lower().removesuffix(".")
    if len(host) > 253 or not _HOST.fullmatch(host):
        raise ValueError("names no host" if not host else "has a host that is no name")
    return host
