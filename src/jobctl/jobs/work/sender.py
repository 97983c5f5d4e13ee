"""The thread that writes down how tries ended, as many at a time as have come together meanwhile.

The worker's loop claims while it writes. What cannot be sent is sent again: an end is written once, since a completion
is refused unless the try still holds its task, and a try whose COMMIT was answered by silence is known by its own row.
"""

import threading
from collections.abc import Callable, Sequence

import psycopg

from jobctl import clock, log
from jobctl.db.sqlstate import is_conflict
from jobctl.errors import JobctlError
from jobctl.jobs.work.held import Held
from jobctl.jobs.work.line import Line, is_away
from jobctl.jobs.work.tally import Tally
from jobctl.queue import ended
from jobctl.queue.complete import complete
from jobctl.queue.task import Ending

LOG = log.get_logger()
MOST_AT_A_TIME = 1_000
PAUSE_S = 0.2  # while the database is away
TRIES_OF_A_CONFLICT = 5


class Sender:
    def __init__(self, line: Line, held: Held, tally: Tally, *, on_sent: Callable[[], None]) -> None:
        self._line = line
        self._held = held
        self._tally = tally
        self._on_sent = on_sent
        self._lock = threading.Lock()
        self._news = threading.Condition(self._lock)
        self._waiting: list[Ending] = []
        self._sending = 0
        self._is_closing = False
        self._gives_up_at = float("inf")
        self._thread = threading.Thread(target=self._serve, name="sender", daemon=True)
        self.written = 0  # so many endings, also refused ones: room that others may have now
        self.unsent = 0  # what could not be written when the run had to end

    def start(self) -> None:
        self._thread.start()

    @property
    def pending(self) -> int:
        with self._lock:
            return len(self._waiting) + self._sending

    def send(self, endings: Sequence[Ending]) -> None:
        if endings:
            with self._lock:
                self._waiting.extend(endings)
                self._news.notify()

    def close(self, within_s: float) -> None:
        """Everything is written, or the time is up: then the leases end, and a later worker does those tasks again."""
        until = clock.monotonic() + within_s
        with self._lock:
            self._is_closing = True
            self._gives_up_at = until
            self._news.notify()
        self._thread.join(timeout=within_s)
        if self._thread.is_alive():
            self._line.cut()
            self._thread.join(timeout=1)
        self.unsent = self.pending

    def _serve(self) -> None:
        while True:
            with self._lock:
                while not self._waiting and not self._is_closing:
                    self._news.wait()
                if not self._waiting:
                    break
                # In the order in which the keeper renews leases, so that the two never wait for each other in a circle.
                batch = sorted(self._waiting[:MOST_AT_A_TIME], key=lambda ending: ending.task.task_id)
                del self._waiting[:MOST_AT_A_TIME]
                self._sending = len(batch)
            try:
                if not self._send(batch):
                    return
            except Exception as error:  # noqa: BLE001 - the thread must not end before the work does
                LOG.error("endings_not_written", error=error, tasks=len(batch))  # noqa: TRY400 - one line, no stack
                self._written([], batch)
            with self._lock:
                self._sending = 0
            self._on_sent()
        self._line.drop()

    def _send(self, batch: Sequence[Ending], *, is_repeated: bool = False) -> bool:
        """False: the time is up."""
        conflicts = 0
        while True:
            try:
                conn = self._line.conn()
                refused = set(complete(conn, batch))
                if refused and is_repeated:
                    refused -= ended.written_before(conn, [each for each in batch if each.task.task_id in refused])
            except (psycopg.Error, JobctlError) as error:
                if is_away(error):
                    is_repeated = True
                    self._line.drop()
                    LOG.warning("endings_wait", error=error, tasks=len(batch))
                    pause_s = PAUSE_S
                elif is_conflict(error) and conflicts < TRIES_OF_A_CONFLICT:
                    conflicts += 1
                    pause_s = 0.02 * conflicts
                else:
                    return self._one_by_one(batch, error, is_repeated=is_repeated)
                if clock.monotonic() + pause_s > self._gives_up_at:
                    return False
                threading.Event().wait(pause_s)
            else:
                self._written(
                    [each for each in batch if each.task.task_id not in refused],
                    [each for each in batch if each.task.task_id in refused],
                )
                return True

    def _one_by_one(self, batch: Sequence[Ending], error: Exception, *, is_repeated: bool) -> bool:
        """What one of them has that the database will not take must not keep the others."""
        if len(batch) > 1:
            middle = len(batch) // 2
            return self._send(batch[:middle], is_repeated=is_repeated) and self._send(
                batch[middle:], is_repeated=is_repeated
            )
        (ending,) = batch
        LOG.error("ending_refused", task_id=ending.task.task_id, outcome=ending.outcome, error=error)
        if ending.result is None:
            self._written([], batch)  # its lease ends, and it is rescued
            return True
        plain = ending._replace(
            outcome="failed",
            state="failed",
            result=None,
            error_class="UnfitResult",
            error_message="the database cannot keep the handler's result",
            is_recoverable=False,
        )
        return self._send([plain], is_repeated=is_repeated)

    def _written(self, done: Sequence[Ending], refused: Sequence[Ending]) -> None:
        self._tally.ended(done)
        if refused:
            self._tally.lost(len(refused))
            LOG.warning(
                "endings_not_taken",
                task_ids=[each.task.task_id for each in refused][:100],
                tasks=len(refused),
            )
        self._held.remove(each.task for each in (*done, *refused))
        self.written += len(done) + len(refused)
