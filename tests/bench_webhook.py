"""A webhook's receiver on the loopback that answers as a test wants, or does not, and keeps every request it got.

It counts by itself what arrived, so that a test never has to believe the outbox about it.
"""

import json
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from bench_listener import Listener
from jobctl.settings import Settings

TOKEN = "x9Qk3vTz7LmNp2Rw5Yb8"  # what is secret in the address of a webhook, and in its whole path
SECRET = f"T0CANARY/B0CANARY/{TOKEN}"

Behaviour = Callable[["Receiver", socket.socket], None]


def answer(status: int, text: str = "ok", headers: str = "") -> Behaviour:
    """An HTTP answer, after the whole request."""
    body = text.encode()
    head = f"HTTP/1.1 {status} Said\r\nContent-Length: {len(body)}\r\n{headers}Connection: close\r\n\r\n"
    return lambda receiver, peer: peer.sendall(head.encode() + body)


def hang(receiver: "Receiver", peer: socket.socket) -> None:
    """The request is read, and nothing more comes until the test ends or the sender hangs up."""
    peer.settimeout(0.05)
    while not receiver.closing.is_set():
        with suppress(TimeoutError):
            if not peer.recv(100):
                return


def trickle(receiver: "Receiver", peer: socket.socket) -> None:
    """An answer that comes a byte at a time, each sooner than any timeout of a single read, and never ends."""
    while not receiver.closing.wait(0.1):
        peer.sendall(b"H")


def cut(receiver: "Receiver", peer: socket.socket) -> None:
    """The connection is closed after the whole request, without a word."""


def garbage(receiver: "Receiver", peer: socket.socket) -> None:
    peer.sendall(b"\x16\x03\x01 this is not HTTP\r\n\r\n")


class Receiver(Listener):
    """`bodies` are the JSON objects and forms that arrived whole, whatever was answered."""

    def __init__(self, *behaviours: Behaviour) -> None:
        super().__init__()
        self.behaviours = list(behaviours)  # one a request, the last one for all that follow
        self.bodies: list[dict[str, Any]] = []
        self.paths: list[str] = []
        self.headers: list[dict[str, str]] = []  # of the requests, by names in small letters
        self.got_one = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/services/{SECRET}"

    @property
    def texts(self) -> list[str]:
        return [body["text"] for body in self.bodies]

    def then(self, *behaviours: Behaviour) -> None:
        self.behaviours = list(behaviours)

    def serve(self, peer: socket.socket) -> None:
        head, _, body = self._read_until(peer, b"\r\n\r\n").partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        while len(body) < int(headers.get("content-length", "0")):
            body += peer.recv(65_536)
        with self.lock:
            self.paths.append(lines[0].split(" ")[1])
            self.headers.append(headers)
            if body:
                is_form = headers.get("content-type", "").startswith("application/x-www-form-urlencoded")
                self.bodies.append(dict(parse_qsl(body.decode())) if is_form else json.loads(body))
            behave = self.behaviours.pop(0) if len(self.behaviours) > 1 else self.behaviours[0]
        self.got_one.set()
        behave(self, peer)

    @staticmethod
    def _read_until(peer: socket.socket, end: bytes) -> bytes:
        data = b""
        while end not in data:
            chunk = peer.recv(65_536)
            if not chunk:
                raise ConnectionResetError
            data += chunk
        return data


def refusing_url() -> str:
    """An address of this machine on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"http://127.0.0.1:{server.getsockname()[1]}/services/{SECRET}"


def settings_for(directory: Path, url: str | None = None, **changes: object) -> Settings:
    """Those of a team that is told by Slack, if `url` is its webhook."""
    slack: dict[str, object] = {"enable_slack_alerts": True, "slack_webhook_url": url} if url else {}
    return Settings.model_validate({"data_dir": directory, "log_file": directory / "jobctl.log"} | slack | changes)
