"""One HTTP request to the outside: to vetted addresses only, bounded in time and size, and known how it ended.

    parse -> rules -> look up once -> vet every address -> connect to one of them -> TLS -> send -> read
                 ^------------- a redirect begins here again, with what is left of the time -------------'

The connection is made to an address that was vetted, and never by name; TLS and the header Host speak of the host that
the URL names. `timeout_s` bounds the whole with all its redirects: each wait gets what is left of it, so an answer
that comes a byte at a time ends as one that does not come. `check` is called some times a second meanwhile, except
within connecting and TLS (CONNECT_S each at most) and sending; what it raises ends the request. A name lookup obeys no
timeout, so it is made by a thread of its own, which is left behind when the time is up.

Redirects: GET and HEAD follow every kind; another method only 307 and 308, which ask for the same request again, and
else gets the redirect as its answer, for what turns a POST into a GET would report a delivery that was none. What goes
to another origin has lost every header but a few harmless ones, and https never leads to http. Proxies of the
environment are not used: what a proxy connects to nobody here has vetted.

The standard library's http.client shows each of these steps (its import takes 80 ms, most of them for TLS, with a start
that makes no request spared them); httpx2 would resolve by itself and hide the socket behind a transport and a pool.
"""

import io
import re
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from jobctl.outbound.addresses import Address
from jobctl.outbound.failures import NoAnswer, NotReached, OutboundError, Refused, TooLarge
from jobctl.outbound.vetting import PUBLIC, Resolve, Rules, look_up, require_allowed, vet
from jobctl.version import __version__
from jobctl.web_url import WebUrl, join_url, parse_url

if TYPE_CHECKING:
    from http.client import HTTPConnection, HTTPResponse
    from ssl import SSLContext

CONNECT_S: Final = 10.0
TICK_S: Final = 0.2
CHUNK: Final = 1 << 16
REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
SAME_REQUEST: Final = frozenset({307, 308})
# What another origin may see of the caller's headers.
HARMLESS: Final = frozenset({"accept", "accept-language", "content-type", "idempotency-key", "user-agent"})
OURS: Final = frozenset(
    {"host", "content-length", "transfer-encoding", "connection", "te", "trailer", "upgrade", "expect", "keep-alive"}
)
_TOKEN: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_FIELD: Final = re.compile(r"[\t\x20-\x7e\x80-\xff]*")


class Response(NamedTuple):
    """`headers` by their names in small letters; several of one name are joined by commas. `url` is who answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    url: WebUrl


def request(
    method: str,
    url: str | WebUrl,
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
    *,
    rules: Rules = PUBLIC,
    timeout_s: float = 30.0,
    max_body_bytes: int = 1 << 20,
    check: Callable[[], None] | None = None,
    resolve: Resolve = look_up,
    tls: "SSLContext | None" = None,
) -> Response:
    """Whatever the status, the answer. Raises OutboundError, and what `check` raises."""
    try:
        return _request(method, url, headers, body, rules, max_body_bytes, resolve, tls, _Clock(timeout_s, check))
    except _Stopped as stopped:
        raise stopped.reason from None


def _request(
    method: str,
    url: str | WebUrl,
    headers: Mapping[str, str] | None,
    body: bytes | None,
    rules: Rules,
    max_body_bytes: int,
    resolve: Resolve,
    tls: "SSLContext | None",
    clock: "_Clock",
) -> Response:
    here = url if isinstance(url, WebUrl) else _parsed(url)
    sent = _headers(method, headers or {})
    redirects = 0
    while True:
        step = _Step(method, here, sent, body, rules, resolve, tls, clock)
        try:
            answer = _exchange(step, max_body_bytes)
        except OutboundError as error:
            if redirects:
                raise error.after(redirects) from None
            raise
        follows = answer.status in SAME_REQUEST or (answer.status in REDIRECTS and method in ("GET", "HEAD"))
        if not follows or "location" not in answer.headers or rules.max_redirects == 0:
            return answer
        redirects += 1
        if redirects > rules.max_redirects:
            raise Refused(f"{here.origin}: more than {rules.max_redirects} redirects")
        there = _redirected(here, answer.headers["location"])
        if there.origin != here.origin:
            sent = {name: value for name, value in sent.items() if name.lower() in HARMLESS}
        here = there


class _Stopped(BaseException):
    """On its way out past everything here that knows faults of the network."""

    def __init__(self, reason: BaseException) -> None:
        super().__init__()
        self.reason = reason


class _Clock:
    """What is left of the time, and the caller's question whether to go on."""

    def __init__(self, timeout_s: float, check: Callable[[], None] | None) -> None:
        self._until = time.monotonic() + timeout_s
        self._check = check

    def left_s(self) -> float:
        return self._until - time.monotonic()

    def tick_s(self) -> float:
        """How long to wait now; asks first. Raises TimeoutError when nothing is left, and _Stopped."""
        if self._check is not None:
            try:
                self._check()
            except BaseException as reason:  # noqa: BLE001 - it is raised again, by request
                raise _Stopped(reason) from None
        left = self.left_s()
        if left <= 0:
            raise TimeoutError("the time is up")
        return min(TICK_S, left)


class _Step(NamedTuple):
    method: str
    url: WebUrl
    headers: Mapping[str, str]
    body: bytes | None
    rules: Rules
    resolve: Resolve
    tls: "SSLContext | None"
    clock: _Clock


def _exchange(step: _Step, max_body_bytes: int) -> Response:
    from http.client import HTTPConnection, HTTPException

    origin = step.url.origin
    require_allowed(step.url, step.rules)
    sock = _secured(step, _connected(step, _vetted(step)))
    conn = HTTPConnection(step.url.host, step.url.port)
    conn.auto_open = 0  # never a second connection, which would look the name up
    conn.sock = timed = _Timed(sock, step.clock)
    try:
        _send(conn, step)
        with conn.getresponse() as answer:
            if timed.incoming.has_ended:  # http.client takes the end of the stream for the end of the headers
                raise NoAnswer(f"{origin}: the answer was cut off")
            return _read(answer, step, max_body_bytes)
    except TimeoutError:
        raise NoAnswer(f"{origin}: no whole answer in time") from None
    except (OSError, HTTPException, ValueError) as error:
        raise NoAnswer(f"{origin}: {_said(error)}") from None
    finally:
        sock.close()


def _send(conn: "HTTPConnection", step: _Step) -> None:
    conn.putrequest(step.method, step.url.target, skip_host=True, skip_accept_encoding=True)
    conn.putheader("Host", step.url.authority)
    conn.putheader("Connection", "close")
    conn.putheader("Accept-Encoding", "identity")  # nothing to unpack: a small answer cannot become a large one
    for name, value in step.headers.items():
        conn.putheader(name, value.encode("latin-1"))
    if step.body is not None or step.method not in ("GET", "HEAD"):
        conn.putheader("Content-Length", str(len(step.body or b"")))
    conn.endheaders(step.body)


def _read(answer: "HTTPResponse", step: _Step, max_body_bytes: int) -> Response:
    headers: dict[str, str] = {}
    for name, value in answer.getheaders():
        known = headers.get(name.lower())
        headers[name.lower()] = value if known is None else f"{known}, {value}"
    if step.method == "HEAD":
        return Response(answer.status, headers, b"", step.url)
    message = f"{step.url.origin}: the answer is larger than {max_body_bytes} bytes"
    too_large = TooLarge(message, status=answer.status, headers=headers)
    if answer.length is not None and answer.length > max_body_bytes:
        raise too_large
    body = bytearray()
    while chunk := answer.read(min(CHUNK, max_body_bytes + 1 - len(body))):
        body += chunk
        if len(body) > max_body_bytes:
            raise too_large
    if answer.length:  # what was announced and did not come
        raise NoAnswer(f"{step.url.origin}: the answer was cut off")
    return Response(answer.status, headers, bytes(body), step.url)


# Address, connection, TLS --------------------------------------------------------------------------------------------


def _vetted(step: _Step) -> Sequence[Address]:
    """In a thread of its own, since a lookup may take any time and cannot be ended."""
    found: list[Sequence[Address]] = []
    failed: list[OutboundError] = []
    done = threading.Event()

    def work() -> None:
        try:
            found.append(vet(step.url, step.rules, step.resolve))
        except OutboundError as error:
            failed.append(error)
        finally:
            done.set()

    threading.Thread(target=work, name="lookup", daemon=True).start()
    try:
        while not done.wait(step.clock.tick_s()):
            pass
    except TimeoutError:
        raise NotReached(f"{step.url.origin}: the name was not looked up in time") from None
    if failed:
        raise failed[0]
    return found[0]


def _connected(step: _Step, addresses: Sequence[Address]) -> socket.socket:
    """To the first address that answers. The last one's failure is told."""
    failure = ""
    for tried, address in enumerate(addresses):
        try:
            step.clock.tick_s()
            share = step.clock.left_s() / (len(addresses) - tried)
            return socket.create_connection((str(address), step.url.port), min(CONNECT_S, max(share, 0.001)))
        except TimeoutError:
            failure = f"no connection to {address} in time"
        except OSError as error:
            failure = f"no connection to {address}: {error.strerror or error}"
    raise NotReached(f"{step.url.origin}: {failure}")


def _secured(step: _Step, sock: socket.socket) -> socket.socket:
    if step.url.scheme == "http":
        return sock
    import ssl

    try:
        step.clock.tick_s()
        sock.settimeout(min(CONNECT_S, max(step.clock.left_s(), 0.001)))
        return (step.tls or _trust()).wrap_socket(sock, server_hostname=step.url.host)
    except BaseException as error:
        sock.close()
        if isinstance(error, ssl.SSLCertVerificationError):
            message = f"{step.url.origin}: its certificate is not accepted: {error.verify_message}"
            raise NotReached(message, hint="SSL_CERT_FILE names another file of trusted authorities") from None
        if isinstance(error, TimeoutError):
            raise NotReached(f"{step.url.origin}: no TLS in time") from None
        if isinstance(error, OSError | ValueError):
            raise NotReached(f"{step.url.origin}: no TLS: {_said(error)}") from None
        raise


_trusted: "list[SSLContext]" = []


def _trust() -> "SSLContext":
    """Read once: the authorities are some hundred files or a large one. Two threads may both read them."""
    if not _trusted:
        import ssl

        _trusted.append(ssl.create_default_context())
    return _trusted[0]


class _Timed:
    """A connected socket as http.client uses one, whose every wait is bounded by the same deadline."""

    def __init__(self, sock: socket.socket, clock: _Clock) -> None:
        self._sock = sock
        self._clock = clock
        self.incoming = _Incoming(sock, clock)

    def sendall(self, data: bytes) -> None:
        self._clock.tick_s()
        self._sock.settimeout(max(self._clock.left_s(), 0.001))  # of the whole, as sendall counts it
        self._sock.sendall(data)

    def makefile(self, *_: Any, **__: Any) -> io.BufferedReader:
        return io.BufferedReader(self.incoming, CHUNK)

    def close(self) -> None:
        """http.client is done with it when the headers are read; the body is not."""


class _Incoming(io.RawIOBase):
    def __init__(self, sock: socket.socket, clock: _Clock) -> None:
        self._sock = sock
        self._clock = clock
        self.has_ended = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        while True:
            self._sock.settimeout(self._clock.tick_s())
            with suppress(TimeoutError):  # of this tick, not of the whole
                read = self._sock.recv_into(buffer)
                self.has_ended = read == 0
                return read


# What the caller gives -----------------------------------------------------------------------------------------------


def _parsed(url: str) -> WebUrl:
    try:
        return parse_url(url)
    except ValueError as error:
        raise Refused(f"the URL {error}") from None


def _redirected(here: WebUrl, location: str) -> WebUrl:
    from urllib.parse import quote

    try:  # http.client reads headers as Latin-1; what is not ASCII in it goes on as the bytes that came
        there = join_url(here, quote(location.encode("latin-1"), safe="".join(map(chr, range(0x20, 0x7F)))))
    except ValueError as error:
        raise Refused(f"{here.origin}: it redirects to a URL that {error}") from None
    if here.scheme == "https" and there.scheme == "http":
        raise Refused(f"{here.origin}: it redirects from https to {there.origin}")
    return there


def _headers(method: str, headers: Mapping[str, str]) -> dict[str, str]:
    """What no header can be smuggled through: one line each, and none of those that frame the message."""
    if not re.fullmatch(r"[A-Z]{1,20}", method) or method == "CONNECT":
        raise Refused("the method is not one of HTTP")
    for name, value in headers.items():
        if not _TOKEN.fullmatch(name):
            raise Refused(f"{name!r} is not the name of a header")
        if name.lower() in OURS or name.lower().startswith("proxy-"):
            raise Refused(f"the header {name} is not the caller's to set")
        if not _FIELD.fullmatch(value):
            raise Refused(f"the header {name} has a line break or another character that no header may have")
    return {"User-Agent": f"jobctl/{__version__}", **headers}


def _said(error: Exception) -> str:
    """The kind of fault: an HTTP library's texts repeat what came, which may be anything."""
    return (error.strerror if isinstance(error, OSError) else None) or type(error).__name__
