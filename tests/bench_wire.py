"""A proxy that speaks PostgreSQL's wire protocol, between a run and its server.

It knows where one message ends and the next begins, so a test can act at an exact point of a conversation: after the
k-th statement, before the n-th BEGIN, between a COMMIT and its answer. A test gives two functions, one for the messages
of clients and one for those of the server; each is called in the thread of its connection, may wait (that holds the
message back) and says whether to pass the message on. A link can be cut at any time.
"""

import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from psycopg.conninfo import conninfo_to_dict

SSL_REQUEST, GSS_REQUEST, CANCEL_REQUEST = 80877103, 80877104, 80877102
READY = b"Z"
QUERY = b"Q"
PARSE = b"P"

LONGEST_HOLD_S = 60.0

Look = Callable[["Link", bytes, bytes], bool]


def pass_on(link: "Link", kind: bytes, body: bytes) -> bool:
    return True


def statement(kind: bytes, body: bytes) -> str:
    """The SQL of a client's message, if it has some."""
    if kind == QUERY:
        return body.rstrip(b"\0").decode(errors="replace")
    if kind == PARSE:
        return body.split(b"\0", 2)[1].decode(errors="replace")
    return ""


class Gate:
    """A place where messages wait until the test, or the end of the proxy, opens it (`Proxy.gate` makes one).
    `reached` tells the test that one is waiting."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self._opened = threading.Event()

    def wait(self) -> None:
        self.reached.set()
        self._opened.wait(LONGEST_HOLD_S)

    def open(self) -> None:
        self._opened.set()

    def arrive(self, limit_s: float = 30) -> None:
        assert self.reached.wait(limit_s), "no message came to the gate"


class Link:
    """One client's connection and the session it has at the server."""

    def __init__(self, proxy: "Proxy", client: socket.socket) -> None:
        self._proxy = proxy
        self.client = client
        self.server: socket.socket | None = None
        self.name = ""
        self.begins = 0
        self.commits = 0

    @property
    def purpose(self) -> str:
        """What the run wants this session for: control, guard, beat, read, write, close."""
        return self.name.rpartition("/")[2]

    def cut(self) -> None:
        """End both sides at once."""
        self.cut_client()
        self.cut_server()

    def cut_client(self) -> None:
        with suppress(OSError):
            self.client.shutdown(socket.SHUT_RDWR)

    def cut_server(self) -> None:
        if self.server is not None:
            with suppress(OSError):
                self.server.shutdown(socket.SHUT_RDWR)

    def serve(self) -> None:
        try:
            if self._introduce():
                back = threading.Thread(target=self._pump_back, name="proxy-back", daemon=True)
                back.start()
                self._pump_there()
                back.join(LONGEST_HOLD_S)
        except OSError:
            pass
        finally:
            self.cut()
            self.client.close()
            if self.server is not None:
                self.server.close()

    def _introduce(self) -> bool:
        """The untyped messages that a connection begins with. False: it was a cancel request, and is done."""
        while True:
            head = _exactly(self.client, 8)
            if head is None:
                return False
            length, code = struct.unpack("!ii", head)
            body = _exactly(self.client, length - 8) if length > 8 else b""
            if body is None:
                return False
            if code in (SSL_REQUEST, GSS_REQUEST):
                self.client.sendall(b"N")
                continue
            self.server = self._proxy.connect_to_server()
            self.server.sendall(head + body)
            if code == CANCEL_REQUEST:
                _exactly(self.server, 1)
                return False
            words = body.rstrip(b"\0").split(b"\0")
            self.name = dict(zip(words[::2], words[1::2], strict=False)).get(b"application_name", b"").decode()
            return True

    def _pump_there(self) -> None:
        assert self.server is not None
        while (message := _message(self.client)) is not None:
            kind, body = message
            text = statement(kind, body)
            self.begins += text.startswith("BEGIN")
            self.commits += text.startswith("COMMIT")
            if self._proxy.from_client(self, kind, body):
                self.server.sendall(kind + struct.pack("!i", len(body) + 4) + body)
        self.cut_server()

    def _pump_back(self) -> None:
        assert self.server is not None
        with suppress(OSError):
            while (message := _message(self.server)) is not None:
                kind, body = message
                if self._proxy.from_server(self, kind, body):
                    self.client.sendall(kind + struct.pack("!i", len(body) + 4) + body)
        self.cut_client()


class Proxy:
    """Listens on the loopback; `url` is the address to give to a run."""

    def __init__(self, dsn: str) -> None:
        self._target = {key: str(value) for key, value in conninfo_to_dict(dsn).items()}
        self.from_client: Look = pass_on
        self.from_server: Look = pass_on
        self.links: list[Link] = []
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=100)
        self._gates: list[Gate] = []
        self._closing = False

    def gate(self) -> Gate:
        self._gates.append(Gate())
        return self._gates[-1]

    @property
    def url(self) -> str:
        port = self._listener.getsockname()[1]
        return f"postgresql://{self._target['user']}@127.0.0.1:{port}/{self._target['dbname']}"

    def links_of(self, purpose: str) -> list[Link]:
        return [link for link in self.links if link.purpose == purpose]

    def connect_to_server(self) -> socket.socket:
        path = Path(self._target["host"]) / f".s.PGSQL.{self._target['port']}"
        server = socket.socket(socket.AF_UNIX)
        try:
            server.connect(str(path))
        except OSError:
            server.close()
            raise
        return server

    def __enter__(self) -> Self:
        accepting = threading.Thread(target=self._accept, name="proxy-accept", daemon=True)
        accepting.start()
        self._threads.append(accepting)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing = True
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.from_client = self.from_server = pass_on
        for gate in self._gates:
            gate.open()
        for link in self.links:
            link.cut()
        for thread in self._threads:
            thread.join(5)

    def _accept(self) -> None:
        while not self._closing:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            link = Link(self, client)
            self.links.append(link)
            thread = threading.Thread(target=link.serve, name="proxy-link", daemon=True)
            self._threads.append(thread)
            thread.start()


def hold_at_begin(proxy: Proxy, nth: int) -> Gate:
    """The writer stops before its n-th transaction."""
    gate = proxy.gate()

    def hold(link: Link, kind: bytes, body: bytes) -> bool:
        if link.purpose == "write" and statement(kind, body).startswith("BEGIN") and link.begins == nth:
            gate.wait()
        return True

    proxy.from_client = hold
    return gate


def _exactly(sock: socket.socket, count: int) -> bytes | None:
    """That many bytes, or None at the end of the stream."""
    parts: list[bytes] = []
    while count:
        try:
            part = sock.recv(min(count, 1 << 20))
        except OSError:
            return None
        if not part:
            return None
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def _message(sock: socket.socket) -> tuple[bytes, bytes] | None:
    head = _exactly(sock, 5)
    if head is None:
        return None
    body = _exactly(sock, struct.unpack("!i", head[1:])[0] - 4)
    return None if body is None else (head[:1], body)
