"""How a run is asked to stop: one value that a signal, a limit or a lost lock sets and the job looks at.

A first request lets the job finish its batch. `now` also cancels the statements that are running, so that a batch that
hangs in the database ends too. A run has one Stop, each of its scopes a part of it: what ends the run ends every part,
what ends one scope (its lock was lost) leaves the others alone.
"""

import math
import os
import socket
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress

import psycopg

from jobctl.errors import JobctlError


class Stop:
    def __init__(self, ends_at: float = math.inf) -> None:
        """`ends_at` is the monotonic moment at which the run will be ended."""
        self.ends_at = ends_at
        self._reason: JobctlError | None = None
        self._hurried = False
        # Reentrant: a signal handler may interrupt the very thread that holds it.
        self._lock = threading.RLock()
        self._connections: list[psycopg.Connection] = []
        self._parts: list[Stop] = []
        self._whole: Stop | None = None
        self._calls: list[Callable[[], None]] = []
        self.event = threading.Event()

    @property
    def reason(self) -> JobctlError | None:
        return self._reason

    @property
    def whole(self) -> "Stop":
        """The Stop of the run that this is a part of; itself, if it is the run's."""
        return self._whole or self

    @property
    def is_hurried(self) -> bool:
        """Asked to stop now, and not only soon."""
        return self._hurried

    def request(self, reason: JobctlError, *, now: bool = False) -> None:
        """Ask the job to stop. The first reason stands."""
        with self._lock:
            if self._reason is None:
                self._reason = reason
            self._hurried = self._hurried or now
            connections = list(self._connections) if self._hurried else []
            parts = list(self._parts)
            calls = list(self._calls)
        self.event.set()
        for call in calls:
            call()
        for part in parts:
            part.request(reason, now=now)
        for conn in connections:
            with suppress(psycopg.Error):
                conn.cancel_safe(timeout=2)

    @contextmanager
    def telling(self, call: Callable[[], None]) -> Generator[None, None, None]:
        """Meanwhile call this at each request, in the thread that makes it; at once, if one was made already."""
        with self._lock:
            self._calls.append(call)
            is_late = self._reason is not None
        if is_late:
            call()
        try:
            yield
        finally:
            with self._lock:
                self._calls.remove(call)

    def part(self) -> "Stop":
        """The Stop of one scope."""
        part = Stop(self.ends_at)
        part._whole = self.whole
        with self._lock:
            self._parts.append(part)
            reason, hurried = self._reason, self._hurried
        if reason is not None:
            part.request(reason, now=hurried)
        return part

    def sever(self) -> None:
        """Shut the connections down from this side: a peer that is frozen answers no cancel, and is waited for."""
        with self._lock:
            connections = list(self._connections)
        for conn in connections:
            shut(conn)

    def check(self) -> None:
        """Raise the reason if the run was asked to stop. Jobs call this between batches."""
        if self._reason is not None:
            raise self._reason

    def watch(self, conn: psycopg.Connection) -> psycopg.Connection:
        """Cancel this connection's statement when the run must stop at once."""
        with self._lock:
            self._connections = [known for known in self._connections if not known.closed]
            self._connections.append(conn)
        return conn


def shut(conn: psycopg.Connection) -> None:
    """End whatever waits on this connection, from any thread: its socket reads as closed."""
    with suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(conn.fileno())) as ours:
        ours.shutdown(socket.SHUT_RDWR)
