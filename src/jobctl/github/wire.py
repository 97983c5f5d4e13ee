"""HTTP to the one origin of the API: kept-alive connections, bounded in size and in time, and stoppable.

httpcore2 does the HTTP: it is the lower half of httpx2, a pool that threads share, and knows no redirects, cookies,
proxies of the environment or .netrc, none of which may happen to a request with a token in it. Its socket layer is ours
to give, so every wait of a request ends at one deadline (a header that comes a byte at a time, too) and asks `check`
five times a second meanwhile. Measured beside psycopg: httpcore2 adds 40 ms to a start, httpx2 90.

gidgethub (looked at: 6.0.0, its `sansio` layer) is not used: it wants cryptography (17 MB) always, raises ValueError or
RecursionError for odd headers, unknown statuses, numbers of 5,000 digits and deep nesting, tells neither a 429 nor a
secondary 403 from other refusals, and finds no `next` in a Link whose parameters stand in another order.

A packed answer is unpacked here, so that a small one cannot become a large one. The standard library's trust store is
used; SSL_CERT_FILE names another file of authorities.
"""

import threading
import time
import zlib
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import httpcore2

from jobctl.github.failures import BadAnswer, NoAnswer
from jobctl.version import __version__

if TYPE_CHECKING:
    from ssl import SSLContext

TIMEOUT_S: Final = 60.0
CONNECT_S: Final = 10.0
TICK_S: Final = 0.2
CONNECTIONS: Final = 20
USER_AGENT: Final = f"jobctl/{__version__}"
LARGEST_BODY: Final = 32 << 20  # a hundred issues of 65,536 characters each, in four bytes


class Raw(NamedTuple):
    """An answer as it came. `headers` by their names in small letters, the last of one name."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Wire:
    def __init__(
        self,
        origin: str,
        *,
        check: Callable[[], object] | None = None,
        timeout_s: float = TIMEOUT_S,
        largest_body: int = LARGEST_BODY,
    ) -> None:
        """`check` may raise: that ends the request and is raised."""
        self._origin = origin
        self._timeout_s = timeout_s
        self._largest_body = largest_body
        self._waits = _Waits(check)
        self._pool = httpcore2.ConnectionPool(
            ssl_context=_trust() if origin.startswith("https://") else None,
            max_connections=CONNECTIONS,
            keepalive_expiry=20.0,
            network_backend=_Backend(self._waits),
        )

    def close(self) -> None:
        self._pool.close()

    def send(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None = None) -> Raw:
        """Raises NoAnswer, BadAnswer, and what `check` raises. `url` is of the origin: the caller has seen to that."""
        if not url.startswith(f"{self._origin}/"):
            raise ValueError(f"{url} is not of {self._origin}")
        sent: list[tuple[bytes | str, bytes | str]] = [("Accept-Encoding", "gzip"), ("User-Agent", USER_AGENT)]
        sent.extend(headers.items())
        self._waits.begin(self._timeout_s)
        try:
            with self._pool.stream(method, url, headers=sent, content=body) as response:
                received = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers}
                return Raw(response.status, received, self._read(response.iter_stream(), received))
        except (httpcore2.TimeoutException, httpcore2.NetworkError, httpcore2.ProtocolError) as error:
            raise NoAnswer(f"{self._origin} gave no whole answer: {_said(error)}") from None

    def _read(self, chunks: Iterable[bytes], headers: Mapping[str, str]) -> bytes:
        packing = headers.get("content-encoding", "identity").strip().lower()
        if packing not in ("identity", "", "gzip"):
            raise BadAnswer(f"{self._origin} packs its answer in a way that was not asked for")
        unpack = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16) if packing == "gzip" else None
        body = bytearray()
        for chunk in chunks:
            try:
                room = self._largest_body + 1 - len(body)
                body += unpack.decompress(chunk, room) if unpack else chunk
            except zlib.error:
                raise BadAnswer(f"{self._origin}: the answer cannot be unpacked") from None
            if len(body) > self._largest_body:
                raise BadAnswer(f"{self._origin}: the answer is larger than {self._largest_body >> 20} MiB")
        if unpack is not None and body and not unpack.eof:
            raise NoAnswer(f"{self._origin}: the answer was cut off")
        return bytes(body)


def _said(error: Exception) -> str:
    if isinstance(error, httpcore2.ConnectTimeout):
        return "no connection in time"
    if isinstance(error, httpcore2.ReadTimeout):
        return "the time is up"
    return type(error).__name__


def _trust() -> "SSLContext":
    import ssl

    return ssl.create_default_context()


# Sockets -------------------------------------------------------------------------------------------------------------


class _Waits:
    """The deadline of the request that this thread makes, and the question whether to go on."""

    def __init__(self, check: Callable[[], object] | None) -> None:
        self._check = check
        self._of = threading.local()

    def begin(self, timeout_s: float) -> None:
        self._of.until = time.monotonic() + timeout_s

    def left_s(self) -> float:
        """Asks `check` first. 0: the time is up."""
        if self._check is not None:
            self._check()
        return max(0.0, float(self._of.until) - time.monotonic())


class _Backend(httpcore2.NetworkBackend):
    def __init__(self, waits: _Waits) -> None:
        self._waits = waits
        self._sockets = httpcore2.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ARG002 - ours instead of theirs, here and below
        local_address: str | None = None,
        socket_options: Any = None,
    ) -> httpcore2.NetworkStream:
        wait_s = max(0.001, min(CONNECT_S, self._waits.left_s()))
        return _Stream(self._sockets.connect_tcp(host, port, wait_s, local_address, socket_options), self._waits)


class _Stream(httpcore2.NetworkStream):
    def __init__(self, stream: httpcore2.NetworkStream, waits: _Waits) -> None:
        self._stream = stream
        self._waits = waits

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002
        while left_s := self._waits.left_s():
            try:
                return self._stream.read(max_bytes, min(TICK_S, left_s))
            except httpcore2.ReadTimeout:
                continue  # of this tick, not of the whole
        raise httpcore2.ReadTimeout

    def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002
        self._stream.write(buffer, max(0.001, self._waits.left_s()))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: "SSLContext",
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ARG002
    ) -> httpcore2.NetworkStream:
        wait_s = max(0.001, min(CONNECT_S, self._waits.left_s()))
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, wait_s), self._waits)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
