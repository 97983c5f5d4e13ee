"""What a handler is given beside its task (`queue.handler.Context`): its time, its transactions, its checkpoint."""

import json
import threading
from collections import deque
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, Final

import psycopg

from jobctl import clock, log
from jobctl.db.connection import Database
from jobctl.queue import lease, storable
from jobctl.queue.task import Task
from jobctl.runtime.stop import shut
from jobctl.settings import Settings

LOG = log.get_logger()
MOST_CONNECTIONS: Final = 8  # of all handlers together: their transactions are short, and a server has few sessions
FRESH_S: Final = 1.0
LARGEST_CHECKPOINT_BYTES: Final = 1_000_000


class GivenBack(BaseException):
    """The try ends here and costs its task nothing. Not an Exception, so that a handler's own care for errors does not
    take it for one."""


class Connections:
    """Connections for the transactions of handlers: made when needed, used again, few."""

    def __init__(self, database: Database, most: int = MOST_CONNECTIONS) -> None:
        self._database = database
        self._free = threading.Semaphore(most)
        self._idle: deque[tuple[psycopg.Connection, float]] = deque()

    @property
    def database(self) -> Database:
        return self._database

    @contextmanager
    def lend(self, check: Callable[[], None]) -> Generator[psycopg.Connection, None, None]:
        """`check` may raise while all are in use."""
        while not self._free.acquire(timeout=0.2):
            check()
        conn: psycopg.Connection | None = None
        try:
            conn = self._take()
            yield conn
        finally:
            if conn is not None:
                if conn.closed or conn.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
                    conn.close()
                else:
                    self._idle.append((conn, clock.monotonic()))
            self._free.release()

    def _take(self) -> psycopg.Connection:
        while self._idle:
            conn, since = self._idle.pop()
            # One that lay idle while the server restarted is found out here, and not by the handler.
            if not conn.closed and (clock.monotonic() - since < FRESH_S or _answers(conn)):
                return conn
            conn.close()
        return self._database.connect(purpose="effect")

    def close(self) -> None:
        while self._idle:
            self._idle.pop()[0].close()


def _answers(conn: psycopg.Connection) -> bool:
    try:
        conn.execute("SELECT 1")
    except psycopg.Error:
        return False
    return True


class TryContext:
    """The context of one call: of a task, or of a batch."""

    __slots__ = (
        *("_conn", "_connections", "_ends_at", "_settings", "_stop_reason", "_tasks", "_thread", "_void_reason"),
    )

    def __init__(
        self, tasks: Sequence[Task], timeout_s: float, settings: Settings, connections: Connections, begun: float
    ) -> None:
        self._tasks = tasks
        self._settings = settings
        self._connections = connections
        self._ends_at = begun + timeout_s
        self._stop_reason: str | None = None
        self._void_reason: str | None = None
        self._conn: psycopg.Connection | None = None
        self._thread: int | None = None

    @property
    def settings(self) -> Settings:
        return self._settings

    @property
    def deadline(self) -> datetime:
        return clock.utc_now() + timedelta(seconds=self.seconds_left())

    def seconds_left(self) -> float:
        return max(0.0, self._ends_at - clock.monotonic())

    @property
    def is_overdue(self) -> bool:
        return clock.monotonic() >= self._ends_at

    def should_stop(self) -> bool:
        return self._stop_reason is not None

    def check(self) -> None:
        if self._stop_reason is not None:
            raise GivenBack(self._stop_reason)

    @contextmanager
    def effect(self) -> Generator[psycopg.Connection, None, None]:
        if self._conn is not None:
            if self._thread != threading.get_ident():
                raise RuntimeError("a try has one transaction at a time; another thread of it has one open")
            with self._conn.transaction():
                yield self._conn
            return
        with self._connections.lend(self._check_valid) as conn:
            self._conn, self._thread = conn, threading.get_ident()
            try:
                with self._connections.database.transaction(conn):
                    self._check_valid()
                    lease.check_held(conn, self._tasks)
                    yield conn
                    self._check_valid()
            finally:
                self._conn = None

    @contextmanager
    def reading(self) -> Generator[psycopg.Connection, None, None]:
        with self._connections.lend(self._check_valid) as conn, self._connections.database.transaction(conn):
            conn.execute("SET TRANSACTION READ ONLY")
            yield conn

    def save_checkpoint(self, value: Any) -> None:
        if len(self._tasks) != 1:
            raise TypeError("a batch has no checkpoint of its own; keep one with each of its subjects")
        try:
            written = json.dumps(value, allow_nan=False)
        except (TypeError, ValueError, RecursionError) as error:
            raise TypeError(f"the checkpoint is not JSON: {storable.message_of(error)}") from error
        if len(written) > LARGEST_CHECKPOINT_BYTES:
            raise ValueError(f"the checkpoint has {len(written):,} bytes, more than {LARGEST_CHECKPOINT_BYTES:,}")
        with self.effect() as conn:
            lease.save_checkpoint(conn, self._tasks[0], value)

    def event(self, event: str, /, **fields: object) -> None:
        LOG.info(event, **fields)  # task, type and try are bound around the call

    def ask_to_stop(self, reason: str) -> None:
        """The run is ending. What the handler still brings to its end counts."""
        if self._stop_reason is None:
            self._stop_reason = reason

    def make_void(self, reason: str) -> None:
        """Whatever the handler still does counts for nothing, and what it has open in the database ends now, so that
        it holds up nothing that comes after it."""
        self._void_reason = reason
        self.ask_to_stop(reason)
        conn = self._conn
        if conn is not None:
            shut(conn)

    def _check_valid(self) -> None:
        if self._void_reason is not None:
            raise GivenBack(self._void_reason)
