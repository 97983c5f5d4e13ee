"""A server on the loopback with a thread for each connection; what it says is for its kind to decide."""

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self


class Listener:
    """Listens from `with` on, and has ended all its threads when that is left."""

    def __init__(self) -> None:
        self.connections = 0
        self.closing = threading.Event()
        self.lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=100)
        self._threads: list[threading.Thread] = []

    @property
    def port(self) -> int:
        return self._listener.getsockname()[1]

    def serve(self, peer: socket.socket) -> None:
        """One connection, in a thread of its own. It may break: OSError is nobody's fault here."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.closing.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(10)

    def _start(self, work: Callable[[], None]) -> None:
        thread = threading.Thread(target=work, name=type(self).__name__, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self.closing.is_set():
            try:
                peer, _ = self._listener.accept()
            except OSError:
                return
            self._start(lambda peer=peer: self._served(peer))

    def _served(self, peer: socket.socket) -> None:
        with suppress(OSError), peer:
            peer.settimeout(20)
            with self.lock:
                self.connections += 1
            self.serve(peer)
