"""One polite rate over all threads. Pure but for its lock.

GitHub allows 900 points a minute (a GET is one) and 100 requests at the same time. A bucket of 300 points that is
filled with 10 a second keeps to that in every minute, wherever it begins (300 + 60 x 10), and lets a short sync run at
full speed.
"""

import threading
from typing import Final

BURST: Final = 300
POINTS_PER_S: Final = 10.0


class Pace:
    def __init__(self, *, burst: float = BURST, points_per_s: float = POINTS_PER_S) -> None:
        self._burst = burst
        self._points_per_s = points_per_s
        self._level = burst
        self._seen_at: float | None = None
        self._lock = threading.Lock()

    def reserve(self, points: float, now: float) -> float:
        """Take `points`, and say how many seconds from `now` the request is to wait. `now` only goes forwards."""
        with self._lock:
            if self._seen_at is not None:
                self._level = min(self._burst, self._level + max(0.0, now - self._seen_at) * self._points_per_s)
            self._seen_at = now if self._seen_at is None else max(now, self._seen_at)
            self._level -= points
            return max(0.0, -self._level / self._points_per_s)
