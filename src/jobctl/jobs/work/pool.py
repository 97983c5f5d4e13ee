"""Threads that carry out calls, as many as are needed and never more than allowed.

Quick work must not pay for a thread's awakening with each call: whoever is awake takes the next call that waits, and
wakes one more only if none is on its way already. Work that blocks has all threads busy all the same, each woken by the
one before it. Nor is the loop that feeds the pool woken for each: it says how many results are worth its while.

A call that was given up (`abandon`) keeps its thread until it returns, and that thread is not replaced.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from queue import SimpleQueue
from typing import Generic, TypeVar

C = TypeVar("C")
R = TypeVar("R")


class Pool(Generic[C, R]):
    """`carry_out` runs in a thread, gives what came of the call, and raises nothing."""

    def __init__(self, size: int, carry_out: Callable[[C], Sequence[R]], *, name: str = "try") -> None:
        self._size = size
        self._carry_out = carry_out
        self._name = name
        self._lock = threading.Lock()
        self._news = threading.Condition(self._lock)
        self._tokens: SimpleQueue[bool] = SimpleQueue()
        self._waiting: deque[C] = deque()
        self._running: dict[int, C] = {}
        self._ended: list[R] = []
        self._awaited: int | None = None  # so many results are worth waking whoever waits
        self._threads = 0
        self._idle = 0
        self._is_waking = False
        self._stuck = 0

    @property
    def stuck(self) -> int:
        """Threads whose call was given up and which have not come back."""
        return self._stuck

    def in_hand(self) -> int:
        """Calls that wait or run."""
        with self._lock:
            return len(self._waiting) + len(self._running)

    def running(self) -> list[C]:
        with self._lock:
            return list(self._running.values())

    def offer(self, calls: Iterable[C]) -> None:
        with self._lock:
            self._waiting.extend(calls)
            self._wake()

    def take_back(self) -> list[C]:
        """Everything that has not begun. It will not."""
        with self._lock:
            taken = list(self._waiting)
            self._waiting.clear()
        return taken

    def abandon(self, call: C) -> bool:
        """Give up a call that runs: what comes of it is void. False: it has just ended by itself."""
        with self._lock:
            if self._running.pop(id(call), None) is None:
                return False
            self._stuck += 1
        return True

    def collect(self) -> list[R]:
        """The results since the last time."""
        with self._lock:
            ended, self._ended = self._ended, []
        return ended

    def wait(self, results: int, timeout_s: float) -> None:
        """Until so many results are there, nothing is in hand any more, somebody nudges, or the time is up."""
        with self._lock:
            if len(self._ended) >= results or not (self._waiting or self._running):
                return
            self._awaited = results
            self._news.wait(timeout_s)
            self._awaited = None

    def pause(self, timeout_s: float) -> None:
        """As `wait`, with nothing in hand: until somebody nudges or the time is up."""
        with self._lock:
            self._news.wait(timeout_s)

    def nudge(self) -> None:
        with self._lock:
            self._news.notify_all()

    def close(self) -> None:
        """Idle threads end. Those that run something are left alone: they are daemons."""
        with self._lock:
            for _ in range(self._threads):
                self._tokens.put(False)

    def _wake(self) -> None:
        """With the lock held: see to it that somebody takes the next call that waits."""
        if self._is_waking or not self._waiting:
            return
        if self._idle:
            self._idle -= 1
            self._is_waking = True
            self._tokens.put(True)
        elif self._threads < self._size:
            name = f"{self._name}-{self._threads + 1}"
            try:
                threading.Thread(target=self._serve, name=name, daemon=True).start()
            except RuntimeError:  # the system gives no more of them
                if not self._threads:
                    raise
                return
            self._threads += 1
            self._is_waking = True

    def _serve(self) -> None:
        with self._lock:
            self._is_waking = False
        while True:
            with self._lock:
                call = self._waiting.popleft() if self._waiting else None
                if call is None:
                    self._idle += 1
                else:
                    self._running[id(call)] = call
                    self._wake()
            if call is None:
                if not self._tokens.get():
                    return
                with self._lock:
                    self._is_waking = False
                continue
            self._end(call, self._carry_out(call))

    def _end(self, call: C, results: Sequence[R]) -> None:
        with self._lock:
            if self._running.pop(id(call), None) is None:
                self._stuck -= 1
                return
            self._ended.extend(results)
            if self._awaited is not None and (
                len(self._ended) >= self._awaited or not (self._waiting or self._running)
            ):
                self._awaited = None
                self._news.notify_all()
