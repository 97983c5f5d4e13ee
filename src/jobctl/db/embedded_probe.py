"""Ask a socket whether PostgreSQL answers there, without a client library and within a few milliseconds.

The probe logs in as a client would (a real start packet, read up to "ready for query"), because less proves less: a
listening socket may belong to a server that is still recovering, or to one that is stopped and answers nobody. The
kernel names the process behind the socket, which is the only pid that cannot be stale.
"""

import socket
import struct
import time
from typing import Literal, NamedTuple

from jobctl.db.embedded_layout import DATABASE, USER

State = Literal["ready", "absent", "busy", "refused"]

PROTOCOL_3 = 196608
START_PACKET = f"user\0{USER}\0database\0{DATABASE}\0application_name\0jobctl/probe\0\0".encode()
CANNOT_CONNECT_NOW = "57P03"  # starting up, shutting down, recovering
TOO_MANY_CONNECTIONS = "53300"


class Answer(NamedTuple):
    """What came back. `absent`: nobody listens. `busy`: somebody does, and will answer later."""

    state: State
    text: str = ""
    pid: int | None = None
    version: str | None = None


def probe(path: str, timeout_s: float) -> Answer:
    """One attempt, at most `timeout_s` long."""
    deadline = time.monotonic() + timeout_s
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as channel:
        channel.settimeout(timeout_s)
        try:
            channel.connect(path)
        except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError) as error:
            return Answer("absent", error.strerror or "")
        except (BlockingIOError, TimeoutError):
            return Answer("busy", "its queue of connections is full")
        pid = _peer_pid(channel)
        try:
            channel.sendall(struct.pack("!II", len(START_PACKET) + 8, PROTOCOL_3) + START_PACKET)
            return _read_answer(channel, pid, deadline)
        except TimeoutError:
            return Answer("busy", "it accepts connections and does not answer", pid)
        except (ConnectionError, EOFError):
            return Answer("busy", "it closed the connection without an answer", pid)


def _peer_pid(channel: socket.socket) -> int | None:
    if not hasattr(socket, "SO_PEERCRED"):
        return None
    pid, _, _ = struct.unpack("iII", channel.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("iII")))
    return pid or None  # 0 is a process outside our pid namespace


def _read_answer(channel: socket.socket, pid: int | None, deadline: float) -> Answer:
    version = None
    while True:
        kind, body = _read_message(channel, deadline)
        if kind == b"R" and struct.unpack("!I", body[:4])[0] != 0:
            return Answer("refused", "it asks for a password, which the embedded server never does", pid)
        if kind == b"S":
            name, value, _ = body.split(b"\0", 2)
            version = value.decode() if name == b"server_version" else version
        if kind == b"Z":
            channel.sendall(b"X\0\0\0\4")
            return Answer("ready", "", pid, version)
        if kind == b"E":
            return _read_error(body, pid)


def _read_error(body: bytes, pid: int | None) -> Answer:
    fields = {part[:1]: part[1:].decode(errors="replace") for part in body.split(b"\0") if part}
    sqlstate, text = fields.get(b"C", ""), fields.get(b"M", "")
    if sqlstate == CANNOT_CONNECT_NOW:
        return Answer("busy", text, pid)
    if sqlstate == TOO_MANY_CONNECTIONS:
        return Answer("ready", text, pid)
    return Answer("refused", f"{text} ({sqlstate})", pid)


def _read_message(channel: socket.socket, deadline: float) -> tuple[bytes, bytes]:
    kind = _read_exactly(channel, 1, deadline)
    (length,) = struct.unpack("!I", _read_exactly(channel, 4, deadline))
    return kind, _read_exactly(channel, length - 4, deadline)


def _read_exactly(channel: socket.socket, size: int, deadline: float) -> bytes:
    data = b""
    while len(data) < size:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        channel.settimeout(left)
        chunk = channel.recv(size - len(data))
        if not chunk:
            raise EOFError
        data += chunk
    return data
