"""The thread that keeps the leases of what is in hand, on a connection of its own, so that no long task, claim or
completion delays a beat.

A task whose lease is lost (given to another worker, cancelled, or past because this process was frozen) is told to its
context; what its handler still does counts for nothing.
"""

import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress

import psycopg

from jobctl import clock, log
from jobctl.jobs.work.held import Held
from jobctl.jobs.work.line import Line
from jobctl.queue import lease
from jobctl.queue.task import Task

LOG = log.get_logger()
AFTER_A_FAILURE_S = 1.0


class Keeper:
    def __init__(
        self, line: Line, held: Held, *, lease_s: float, beat_s: float, on_lost: Callable[[Sequence[Task]], None]
    ) -> None:
        self._line = line
        self._held = held
        self._lease_s = lease_s
        self._beat_s = beat_s
        self._on_lost = on_lost
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="keeper", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._ended.set()
        self._thread.join(timeout=1)
        if self._thread.is_alive():
            self._line.cut()
            self._thread.join(timeout=1)

    def _keep(self) -> None:
        pause_s = self._beat_s
        while not self._ended.wait(pause_s):
            try:
                self._beat()
            except Exception as error:  # noqa: BLE001 - whatever it is, the next beat tries again
                self._line.drop()
                LOG.warning("leases_not_renewed", error=error)
                self._lose_what_is_past()
                pause_s = min(AFTER_A_FAILURE_S, self._beat_s)
            else:
                pause_s = self._beat_s
        with suppress(psycopg.Error):
            self._line.drop()

    def _beat(self) -> None:
        tasks = self._held.older_than(self._beat_s / 2)
        if not tasks:
            return
        asked_at = clock.monotonic()
        conn = self._line.conn()
        timer = threading.Timer(self._lease_s / 3, self._line.cut)  # a peer that is frozen ends no wait by itself
        timer.daemon = True
        timer.start()
        try:
            lost = set(lease.extend(conn, tasks, lease_s=self._lease_s))
        finally:
            timer.cancel()
        self._held.renewed((task for task in tasks if task.task_id not in lost), asked_at)
        if lost:
            self._tell(task for task in tasks if task.task_id in lost)

    def _lose_what_is_past(self) -> None:
        self._tell(self._held.older_than(self._lease_s))

    def _tell(self, tasks: Iterable[Task]) -> None:
        lost = list(tasks)
        if lost:
            self._held.lose(lost)
            LOG.warning("tasks_lost", task_ids=[task.task_id for task in lost][:100], tasks=len(lost))
            self._on_lost(lost)
