"""A mail server on the loopback that offers what a test wants and keeps what it was given."""

import socket

from bench_listener import Listener

TAKEN = "250 taken"


class MailBox(Listener):
    """`offers` are the lines of its answer to EHLO; `answers` replace the one to a command."""

    def __init__(self, *offers: str, answers: dict[str, str] | None = None, greets: bool = True) -> None:
        super().__init__()
        self.offers = offers
        self.answers = answers or {}
        self.greets = greets
        self.commands: list[str] = []
        self.mails: list[str] = []

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self.port}"

    def serve(self, peer: socket.socket) -> None:
        if not self.greets:
            self.closing.wait(30)
            return
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
