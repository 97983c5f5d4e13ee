"""A mail server that never comes to the end of an answer is one that did not answer."""

import smtplib
import socket
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from time import sleep

import pytest

from jobctl.mail import smtp
from jobctl.mail.server import MailServer

GREETING = b"220 ready\r\n"


def drop_by_drop(peer: socket.socket) -> None:
    """A whole answer, of which each byte comes well within the limit."""
    for byte in GREETING:
        peer.sendall(bytes([byte]))
        sleep(0.1)
    well(peer, greeted=True)


def line_by_line(peer: socket.socket) -> None:
    peer.sendall(GREETING)
    peer.recv(1_000)
    for _ in range(10):
        peer.sendall(b"250-more\r\n")
        sleep(0.1)
    peer.sendall(b"250 done\r\n")


def without_end(peer: socket.socket) -> None:
    peer.sendall(GREETING)
    peer.recv(1_000)
    peer.sendall(b"250-more\r\n" * (smtp.LONGEST_REPLY // 10 + 1) + b"250 done\r\n")


def well(peer: socket.socket, *, greeted: bool = False) -> None:
    peer.sendall(b"" if greeted else GREETING)
    peer.recv(1_000)
    peer.sendall(b"250-bench\r\n250")  # cut where it pleases
    sleep(0.05)
    peer.sendall(b"-SIZE 100\r\n250 HELP\r\n")
    peer.recv(1_000)
    peer.sendall(b"221 bye\r\n")


@contextmanager
def serving(behave: Callable[[socket.socket], None]) -> Generator[MailServer, None, None]:
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        peer, _ = listener.accept()
        with peer, suppress(OSError):
            behave(peer)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield MailServer("127.0.0.1", listener.getsockname()[1], is_tls_from_start=False, user=None, password=None)
    finally:
        listener.close()
        thread.join(10)


@pytest.mark.parametrize("behave", [drop_by_drop, line_by_line, without_end])
def test_an_answer_has_a_limit_as_a_whole(behave: Callable[[socket.socket], None]) -> None:
    with serving(behave) as server, pytest.raises((smtplib.SMTPServerDisconnected, OSError)):
        smtp.connected(server, 0.5)


def test_an_answer_in_pieces_is_read_whole() -> None:
    with serving(well) as server:
        session = smtp.connected(server, 5)
        assert session.esmtp_features["size"] == "100" and session.has_extn("help")
        assert session.quit()[0] == 221
