"""What tasks may start and whom they may ask, in the table `queue` of `jobctl.toml`.

    [queue.commands.rebuild-index]
    argv = ["/usr/local/bin/rebuild-index", "--quiet"]
    timeout_s = "10m"
    environment = ["GITHUB_TOKEN"]       # secrets among the settings that it is given; the others it is not

    [queue.endpoints.crm]
    url = "https://crm.example.org/hooks/jobctl"
    headers = { X-Team = "data" }
    timeout_s = 20

A payload names a command or an endpoint by its NAME and says nothing of how it is started or reached. An endpoint's
token is no part of the file: JOBCTL_ENDPOINT_TOKENS has it. Headers and the telling parts of a URL may be secrets, too,
and are treated as such: a file that has them is its owner's alone, they are not shown, and the redactor knows them.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Final, cast

from pydantic import BeforeValidator, Field, SecretStr

from jobctl.settings_table import Table
from jobctl.settings_values import Seconds, pairs
from jobctl.web_url import DEFAULT_PORT, WebUrl, parse_url

MARK: Final = "***"
SHORTEST_TOKEN: Final = 8  # a shorter one cannot be told from a word in a log
NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_HEADER: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_PLAIN_HEADERS: Final = frozenset(
    {"accept", "accept-language", "cache-control", "content-type", "from", "prefer", "user-agent"}
)
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_HOST: Final = re.compile(r"\.?[a-z0-9_-]+(?:\.[a-z0-9_-]+)*")
_LONG_SEGMENT: Final = 12  # of a path, from which on it may be a secret, as in a webhook's address


def _name(value: object) -> object:
    if isinstance(value, str) and not NAME.fullmatch(value):
        raise ValueError("is no name: letters, digits, dots, hyphens and underscores, 63 at most")
    return value


def _words(value: object) -> object:
    words = cast(list[object], value) if isinstance(value, list | tuple) else []
    if not words or not all(isinstance(word, str) and "\0" not in word for word in words):
        raise ValueError('is no list of words such as ["/usr/local/bin/rebuild", "--all"]')
    if not str(words[0]).startswith("/"):
        raise ValueError("begins with no absolute path: cron's PATH is short, and a directory of work is anybody's")
    return tuple(words)


def _variables(value: object) -> object:
    names = cast(list[object], value) if isinstance(value, list | tuple) else [None]
    if not all(isinstance(name, str) and _VARIABLE.fullmatch(name) for name in names):
        raise ValueError('is no list of variables such as ["GITHUB_TOKEN"]')
    return tuple(names)


def _url(value: object) -> object:
    if not isinstance(value, str):
        raise ValueError("is no URL")  # noqa: TRY004 - pydantic collects only ValueError
    parse_url(value)
    return value


def _headers(value: object) -> object:
    if not isinstance(value, Mapping):
        raise ValueError('is no table of headers such as { X-Team = "data" }')  # noqa: TRY004
    for name, text in cast(Mapping[object, object], value).items():
        if not isinstance(name, str) or not _HEADER.fullmatch(name):
            raise ValueError(f"has {name!r}, which is no name of a header")
        if not isinstance(text, str) or not text.isprintable() or any(ord(character) > 255 for character in text):
            raise ValueError(f"has a value for {name} that no header may have (its value is not shown)")
    return cast(object, value)


def _allowed(value: object) -> object:
    """Networks, addresses and host names, all as text."""
    from ipaddress import ip_network

    for each in cast(list[object], value) if isinstance(value, list | tuple) else [None]:
        if not isinstance(each, str):
            raise ValueError('is no list such as ["10.1.0.0/16", "hooks.internal"]')  # noqa: TRY004
        if re.fullmatch(r"[0-9.]+(?:/[0-9]+)?", each) or ":" in each:
            try:
                ip_network(each)
            except ValueError as error:
                raise ValueError(f"has {each!r}, which is no network: {error}") from None
        elif each.startswith(".") or not _HOST.fullmatch(each):
            raise ValueError(f"has {each!r}, which is neither a network nor a host's name in small letters")
    return tuple(cast(list[str], value))


def _hosts(value: object) -> object:
    for each in cast(list[object], value) if isinstance(value, list | tuple) else [None]:
        if not isinstance(each, str) or not _HOST.fullmatch(each):
            raise ValueError('is no list of hosts such as ["hooks.example.org", ".example.net"]')
    return tuple(cast(list[str], value))


Name = Annotated[str, BeforeValidator(_name)]
Port = Annotated[int, Field(ge=1, le=65_535)]


class CommandSettings(Table):
    """A program that tasks may start. `timeout_s` ends it sooner than the type's."""

    argv: Annotated[tuple[str, ...], BeforeValidator(_words)]
    timeout_s: Seconds | None = None
    environment: Annotated[tuple[str, ...], BeforeValidator(_variables)] = ()


class EndpointSettings(Table):
    """Whom tasks may POST to. `allow_private` lets its host have a private address; `allow` are networks and hosts that
    are allowed besides. With `url_from_payload` a task may name the URL, of `hosts` and `ports` if those are given; its
    own headers and its token go to the origin of `url` alone."""

    url: Annotated[SecretStr | None, BeforeValidator(_url)] = None
    headers: Annotated[Mapping[str, SecretStr], BeforeValidator(_headers)] = {}
    token_header: Annotated[str, Field(pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$")] = "Authorization"  # noqa: S105 - a name
    timeout_s: Seconds = 30.0
    max_answer_bytes: Annotated[int, Field(ge=0, le=1 << 26)] = 1 << 20
    allow_private: bool = False
    allow: Annotated[tuple[str, ...], BeforeValidator(_allowed)] = ()
    url_from_payload: bool = False
    hosts: Annotated[tuple[str, ...], BeforeValidator(_hosts)] = ()
    ports: Annotated[tuple[Port, ...], Field(min_length=1)] = tuple(sorted(DEFAULT_PORT.values()))

    @property
    def web_url(self) -> WebUrl | None:
        return parse_url(self.url.get_secret_value()) if self.url is not None else None

    def faults(self) -> Iterator[str]:
        """What is wrong only beside another value."""
        url = self.web_url
        if url is None and not self.url_from_payload:
            yield 'has no url: write url = "https://..."'
        if url is not None and url.scheme == "http" and not self.allow_private and not self.allow:
            yield "has a url of http:// (its value is not shown): outside of one's own network it must be https://"
        if url is None and self.headers:
            yield "has headers, but no url to whose host they could go"
        if (self.hosts or "ports" in self.model_fields_set) and not self.url_from_payload:
            yield "has hosts or ports, which are for url_from_payload = true"

    def secrets(self) -> Iterator[str]:
        """What the redactor must know."""
        for name, text in self.headers.items():
            if name.lower() not in _PLAIN_HEADERS:
                value = text.get_secret_value()
                yield value
                yield from (word for word in value.split() if len(word) >= SHORTEST_TOKEN and word != value)
        if self.url is not None:
            yield from telling_parts(self.url.get_secret_value())

    def shown(self) -> dict[str, object]:
        """For people: no header's value, and of the URL no telling part."""
        given = {name: getattr(self, name) for name in type(self).model_fields if name in self.model_fields_set}
        if self.url is not None:
            given["url"] = masked(self.url.get_secret_value())
        if self.headers:
            given["headers"] = {
                name: text.get_secret_value() if name.lower() in _PLAIN_HEADERS else MARK
                for name, text in self.headers.items()
            }
        return given


def telling_parts(url: str) -> list[str]:
    """The parts of a URL that may be secrets: what its query says, and long segments of its path."""
    path, _, query = url.partition("://")[2].partition("#")[0].partition("?")
    segments = path.split("/")[1:]
    values = [pair.partition("=")[2] or pair for pair in query.split("&")]
    long = [segment for segment in segments if len(segment) >= _LONG_SEGMENT]
    return [*long, *(value for value in values if len(value) >= SHORTEST_TOKEN)]


def masked(url: str) -> str:
    start, _, query = url.partition("?")
    scheme, _, rest = start.partition("://")
    host, *segments = rest.split("/")
    shown = [MARK if len(segment) >= _LONG_SEGMENT else segment for segment in segments]
    return f"{scheme}://{'/'.join([host, *shown])}" + (f"?{MARK}" if query else "")


def holds_secrets(queue: object) -> bool:
    """Whether a table `queue`, as it was found, has what only its file's owner may read. Knows nothing to be right."""
    for endpoint in _table(_table(queue).get("endpoints")).values():
        url = _table(endpoint).get("url")
        if any(name.lower() not in _PLAIN_HEADERS for name in _table(_table(endpoint).get("headers"))):
            return True
        if isinstance(url, str) and telling_parts(url):
            return True
    return False


def _table(value: object) -> Mapping[str, object]:
    return cast(Mapping[str, object], value) if isinstance(value, Mapping) else {}


def checked_tokens(value: object) -> object:
    """`crm=TOKEN, search=TOKEN`, as it was, if it is right. Raises ValueError without any of it."""
    if isinstance(value, str):
        for name, token in pairs(value).items():
            if not NAME.fullmatch(name) or not token:
                raise ValueError("is not of the form NAME=TOKEN,NAME=TOKEN (its value is not shown)")
            if len(token) < SHORTEST_TOKEN or not token.isascii():
                raise ValueError(
                    f"has a token for {name} that is shorter than {SHORTEST_TOKEN} characters or not ASCII"
                )
    return value
