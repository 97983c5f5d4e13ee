"""Work that obeys no timeout of its own, ended at a deadline, of which is known how far it had come.

It runs in a thread, which is left behind when the time is up and cannot begin to send from then on."""

import threading
from collections.abc import Callable

from jobctl.alerts.webhook import Answer, Deadline, End

_TICK_S = 0.05


class Attempt:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._abandoned = False
        self._began = False

    def begin(self) -> bool:
        """Before the first byte that may count as sent. False: it comes too late, send nothing."""
        with self._lock:
            self._began = not self._abandoned
            return self._began

    def abandon(self) -> bool:
        """Whether it had begun."""
        with self._lock:
            self._abandoned = True
            return self._began


def bounded(work: Callable[[Attempt], Answer], deadline: Deadline, name: str) -> Answer:
    """What `work` says, or at the deadline what is known of it. `work` raises nothing."""
    attempt, found = Attempt(), list[Answer]()
    ended = threading.Event()

    def run() -> None:
        try:
            found.append(work(attempt))
        finally:
            ended.set()

    threading.Thread(target=run, name=name, daemon=True).start()
    while not ended.wait(min(_TICK_S, max(deadline.left_s(), 0.001))) and deadline.left_s() > 0:
        pass
    has_begun = attempt.abandon()
    if found:
        return found[0]
    return Answer(End.UNKNOWN, "no answer in time") if has_begun else Answer(End.TRY_LATER, "no connection in time")
