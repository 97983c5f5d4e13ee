"""A mail server on the loopback that offers what a test wants and keeps what it was given."""

import socket
import threading
from contextlib import suppress
from types import TracebackType
from typing import Self

TAKEN = "250 taken"


class MailBox:
    """Listens from `with` on. `offers` are the lines of its answer to EHLO; `answers` replace the one to a command."""

    def __init__(self, *offers: str, answers: dict[str, str] | None = None, greets: bool = True) -> None:
        self.offers = offers
        self.answers = answers or {}
        self.greets = greets
        self.commands: list[str] = []
        self.mails: list[str] = []
        self.closing = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._accept, name="mailbox", daemon=True)

    @property
    def port(self) -> int:
        return self._listener.getsockname()[1]

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.closing.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(10)

    def _accept(self) -> None:
        while not self.closing.is_set():
            try:
                peer, _ = self._listener.accept()
            except OSError:
                return
            with peer, suppress(OSError):
                self._serve(peer)

    def _serve(self, peer: socket.socket) -> None:
        if not self.greets:
            self.closing.wait(30)
            return
        peer.settimeout(20)
        peer.sendall(b"220 mailbox ready\r\n")
        for raw in peer.makefile("rb"):
            line = raw.decode("utf-8", "replace").rstrip()
            word = line.partition(" ")[0].upper()
            self.commands.append(word)
            if word in self.answers:
                answer = self.answers[word]
            elif word == "EHLO":
                answer = "\r\n".join(["250-mailbox", *(f"250-{offer}" for offer in self.offers), "250 SIZE 1000000"])
            else:
                answer = {"DATA": "354 go on", "QUIT": "221 bye"}.get(word, TAKEN)
            peer.sendall(f"{answer}\r\n".encode())
            if answer.startswith("354"):
                self.mails.append(self._mail(peer))
                peer.sendall(f"{TAKEN}\r\n".encode())
            if word == "QUIT":
                return

    @staticmethod
    def _mail(peer: socket.socket) -> str:
        text = b""
        while not text.endswith(b"\r\n.\r\n"):
            chunk = peer.recv(65_536)
            if not chunk:
                raise ConnectionResetError
            text += chunk
        return text.decode()
