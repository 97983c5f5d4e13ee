"""The tasks that this worker has claimed and whose end is not yet written: what a beat keeps alive."""

import threading
from collections.abc import Iterable
from datetime import datetime

from jobctl import clock
from jobctl.queue.task import Task

Try = tuple[int, int, datetime]


class Held:
    """Shared by the loop that claims, the thread that completes and the one that beats."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._since: dict[int, tuple[Task, float]] = {}  # by task: when its lease was last known to be whole
        self._lost: set[Try] = set()

    def add(self, tasks: Iterable[Task]) -> None:
        now = clock.monotonic()
        with self._lock:
            self._since.update((task.task_id, (task, now)) for task in tasks)

    def remove(self, tasks: Iterable[Task]) -> None:
        with self._lock:
            for task in tasks:
                known = self._since.get(task.task_id)
                if known is not None and _try_of(known[0]) == _try_of(task):  # else it was claimed anew by us
                    del self._since[task.task_id]
                self._lost.discard(_try_of(task))

    def older_than(self, seconds: float) -> list[Task]:
        """Those whose lease was not renewed for so long, in order; quick ones end before they ever are."""
        until = clock.monotonic() - seconds
        with self._lock:
            old = [task for task, since in self._since.values() if since <= until]
            return sorted((task for task in old if _try_of(task) not in self._lost), key=lambda task: task.task_id)

    def is_whole(self, task: Task, lease_s: float) -> bool:
        """Whether its lease cannot have ended, as far as is known here."""
        known = self._since.get(task.task_id)
        return known is not None and clock.monotonic() - known[1] < lease_s and not self.is_lost(task)

    def renewed(self, tasks: Iterable[Task], at: float) -> None:
        with self._lock:
            for task in tasks:
                known = self._since.get(task.task_id)
                if known is not None and _try_of(known[0]) == _try_of(task):
                    self._since[task.task_id] = (task, at)

    def lose(self, tasks: Iterable[Task]) -> None:
        """They were taken from us; whoever runs them is told."""
        with self._lock:
            self._lost.update(map(_try_of, tasks))

    def is_lost(self, task: Task) -> bool:
        return _try_of(task) in self._lost

    def __len__(self) -> int:
        return len(self._since)


def _try_of(task: Task) -> Try:
    """A server that crashed may give a fence a second time, so the moment of the claim belongs to it."""
    return (task.task_id, task.fence, task.claimed_at)
