"""One POST to a webhook, of which is known whether it arrived, did not arrive, or may have.

What decides is how far the request had come when it ended: before the first byte was sent nothing can have arrived,
and after it only an answer tells. Name lookup, connection and TLS belong to the time before. The whole takes no longer
than the caller's deadline: socket timeouts bound each read and not their sum, and a name lookup obeys none, so the
request is made by a thread of its own, which is left behind when the time is up and cannot begin to send from then on.

slack-sdk (looked at: 3.47.0) is not used. Its WebhookClient sends a second time by itself after a connection that was
cut without an answer, which is how alerts come twice; to its caller, an error of connecting and one of sending are the
same; redirects are followed; its timeout is that of each read; and at level DEBUG it logs the address, which is the
secret. What is needed is one POST of a JSON object, and the standard library's http.client shows each step of that.
Proxies named in the environment are not used: settings are read in one place.
"""

import json
import socket
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

if TYPE_CHECKING:
    from http.client import HTTPConnection

_READ_OF_ANSWER = 200
_TICK_S = 0.05
# 504 is a gateway's word for: passed on, and no answer. It counts as none.
_NO_ANSWER = 504
_TRY_LATER = frozenset({408, 429})


class End(Enum):
    ARRIVED = "arrived"
    TRY_LATER = "refused for now"
    REFUSED = "refused"
    UNKNOWN = "may have arrived"


@dataclass(frozen=True, slots=True)
class Answer:
    """`status` is that of HTTP, where an answer came."""

    end: End
    reason: str
    status: int = 0


class Deadline:
    """When to give up, from now; `hurry` brings it forward and may be called from a signal handler. A part of a longer
    one ends with it."""

    def __init__(self, within_s: float, *, whole: "Deadline | None" = None) -> None:
        self._until = time.monotonic() + within_s
        self._whole = whole

    def left_s(self) -> float:
        left = max(0.0, self._until - time.monotonic())
        return left if self._whole is None else min(left, self._whole.left_s())

    def hurry(self) -> None:
        self._until = 0.0


def post(
    url: str, body: Mapping[str, object], deadline: Deadline, *, headers: Mapping[str, str] | None = None
) -> Answer:
    """Send `body` as JSON, once. Raises nothing that a network can do."""
    data = json.dumps(body).encode("ascii")
    return _made(_Request(url, data, max(deadline.left_s(), _TICK_S), headers or {}), deadline)


def get(url: str, deadline: Deadline) -> Answer:
    """Ask for `url`, once, as a ping does. Raises nothing that a network can do."""
    return _made(_Request(url, None, max(deadline.left_s(), _TICK_S)), deadline)


def _made(request: "_Request", deadline: Deadline) -> Answer:
    request.start()
    while not request.ended.wait(min(_TICK_S, deadline.left_s())) and deadline.left_s() > 0:
        pass
    return request.abandon()


def judge(status: int, text: str) -> Answer:
    """What an HTTP status says of the message. A redirect is a refusal: what is sent goes to the named host alone."""
    reason = f"HTTP {status}" + (f": {text}" if text else "")
    if 200 <= status < 300:
        return Answer(End.ARRIVED, reason, status)
    if status == _NO_ANSWER:
        return Answer(End.UNKNOWN, reason, status)
    return Answer(End.TRY_LATER if status >= 500 or status in _TRY_LATER else End.REFUSED, reason, status)


class _Request(threading.Thread):
    def __init__(
        self, url: str, body: bytes | None, timeout_s: float, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(name="webhook", daemon=True)
        self.ended = threading.Event()
        self._url = url
        self._body = body
        self._timeout_s = timeout_s
        self._headers = headers or {}
        self._lock = threading.Lock()
        self._abandoned = False
        self._began_to_send = False
        self._status: int | None = None
        self._text = ""
        self._error = ""
        self._conn: HTTPConnection | None = None

    def run(self) -> None:
        from http.client import HTTPException  # only who sends needs HTTP and TLS

        try:
            self._exchange()
        except (OSError, HTTPException, ValueError) as error:
            self._error = f"{type(error).__name__}: {error}"
        finally:
            if self._conn is not None:
                self._conn.close()
            self.ended.set()

    def abandon(self) -> Answer:
        """What is known by now. Unless it has begun to send, it will not."""
        with self._lock:
            self._abandoned = True
            began = self._began_to_send
        if not self.ended.is_set() and self._conn is not None and self._conn.sock is not None:
            with suppress(OSError):
                self._conn.sock.shutdown(socket.SHUT_RDWR)  # wakes the thread out of its read
        if self._status is not None:
            return judge(self._status, self._text)
        if began:
            return Answer(End.UNKNOWN, self._error or "no answer in time")
        return Answer(End.TRY_LATER, self._error or "no connection in time")

    def _exchange(self) -> None:
        import ssl
        from http.client import HTTPConnection, HTTPSConnection

        address = urlsplit(self._url)
        host, port = address.hostname or "", address.port
        target = quote(address.path or "/", safe="/%:@!$&'()*+,;=~")
        if address.query:
            target += "?" + quote(address.query, safe="/%:@!$&'()*+,;=~?")
        if address.scheme.lower() == "https":
            secure = ssl.create_default_context()
            self._conn = HTTPSConnection(host, port, timeout=self._timeout_s, context=secure)
        else:
            self._conn = HTTPConnection(host, port, timeout=self._timeout_s)
        self._conn.connect()
        with self._lock:
            if self._abandoned:
                return
            self._began_to_send = True
        headers = {"User-Agent": "jobctl", "Connection": "close", **self._headers}
        if self._body is None:
            self._conn.request("GET", target, headers=headers)
        else:
            headers["Content-Type"] = "application/json; charset=utf-8"
            self._conn.request("POST", target, self._body, headers)
        response = self._conn.getresponse()
        self._status = response.status
        if not 200 <= response.status < 300:
            self._text = " ".join(response.read(_READ_OF_ANSWER).decode("utf-8", "replace").split())
