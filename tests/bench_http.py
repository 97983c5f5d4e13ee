"""An HTTP server on the loopback that answers as a test wants and keeps every request it got, over TLS if asked.

`bench_webhook` receives what alerts send; this one has paths, redirects, headers and a certificate of the test's own.
"""

import re
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench_listener import Listener

Behaviour = Callable[["Server", socket.socket], None]


@dataclass(frozen=True, slots=True)
class Request:
    """As it came. `raw_head` is what stood before the empty line, byte for byte."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes
    raw_head: bytes


def says(status: int, body: bytes = b"{}", **headers: str) -> Behaviour:
    """A whole answer. Header names have underscores for hyphens."""
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    head = f"HTTP/1.1 {status} Said\r\nContent-Length: {len(body)}\r\n{lines}Connection: close\r\n\r\n"
    return lambda server, peer: peer.sendall(head.encode("latin-1") + body)


def sends(*pieces: bytes, every_s: float = 0.0) -> Behaviour:
    """These bytes, and the end of the connection."""

    def send(server: "Server", peer: socket.socket) -> None:
        for piece in pieces:
            peer.sendall(piece)
            if every_s and server.closing.wait(every_s):
                return

    return send


def drips(first: bytes, again: bytes, every_s: float = 0.05) -> Behaviour:
    """`first`, and `again` for ever, each sooner than any timeout of a single read."""

    def drip(server: "Server", peer: socket.socket) -> None:
        peer.sendall(first)
        while not server.closing.wait(every_s):
            peer.sendall(again)

    return drip


def floods(first: bytes, again: bytes) -> Behaviour:
    def flood(server: "Server", peer: socket.socket) -> None:
        peer.sendall(first)
        while not server.closing.is_set():
            peer.sendall(again)
            server.flooded += len(again)

    return flood


def says_nothing(server: "Server", peer: socket.socket) -> None:
    server.closing.wait(60)


class Server(Listener):
    """`answers` come one a request, the last one for all that follow."""

    def __init__(self, answers: Sequence[Behaviour] = (says(200),), tls: ssl.SSLContext | None = None) -> None:
        super().__init__()
        self.answers = list(answers)
        self.tls = tls
        self.requests: list[Request] = []
        self.flooded = 0
        self.got_one = threading.Event()

    def url(self, path: str = "/", host: str = "127.0.0.1") -> str:
        return f"{'https' if self.tls else 'http'}://{host}:{self.port}{path}"

    def then(self, *answers: Behaviour) -> None:
        with self.lock:
            self.answers = list(answers)

    def serve(self, peer: socket.socket) -> None:
        with self.tls.wrap_socket(peer, server_side=True) if self.tls else peer as stream:
            request = _request(stream)
            with self.lock:
                self.requests.append(request)
                behave = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
            self.got_one.set()
            behave(self, stream)


def _request(stream: socket.socket) -> Request:
    data = b""
    while b"\r\n\r\n" not in data:
        chunk = stream.recv(65_536)
        if not chunk:
            raise ConnectionResetError
        data += chunk
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    while len(body) < int(headers.get("content-length", "0")):
        body += stream.recv(65_536)
    method, target, _ = first.split(" ")
    return Request(method, target, headers, body, head)


@dataclass(frozen=True)
class Authority:
    """A certificate authority of the test's own, which nobody else trusts."""

    directory: Path

    @property
    def file(self) -> Path:
        return self.directory / "ca.pem"

    def trusted(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.file))

    def server_for(self, *names: str, days: int = 1) -> ssl.SSLContext:
        """What a server with a certificate for these names needs; with negative days it has run out."""
        stem = self.directory / re.sub(r"\W", "_", names[0])
        key, request, certificate = (str(stem.with_suffix(suffix)) for suffix in (".key", ".csr", ".pem"))
        extension = stem.with_suffix(".ext")
        kinds = ("IP" if re.fullmatch(r"[0-9.]+", name) else "DNS" for name in names)
        extension.write_text(
            "subjectAltName=" + ",".join(f"{kind}:{name}" for kind, name in zip(kinds, names, strict=True))
        )
        _openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")(
            "-keyout", key, "-out", request, "-subj", "/CN=x"
        )
        _openssl("x509", "-req", "-in", request, "-CA", str(self.file), "-CAkey", str(self.directory / "ca.key"))(
            "-CAcreateserial", "-out", certificate, "-days", str(days), "-extfile", str(extension)
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        return context


def new_authority(directory: Path) -> Authority:
    _openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1")(
        "-keyout",
        str(directory / "ca.key"),
        "-out",
        str(directory / "ca.pem"),
        "-subj",
        "/CN=test authority",
        "-addext",
        "keyUsage=critical,keyCertSign,cRLSign",
    )
    return Authority(directory)


def _openssl(*words: str) -> Callable[..., None]:
    def run(*more: str) -> None:
        subprocess.run(["openssl", *words, *more], check=True, capture_output=True, timeout=60)

    return run
