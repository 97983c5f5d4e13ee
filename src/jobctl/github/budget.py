"""How many requests a run may make, all threads together. A 304 counts, too: it is a request."""

import threading

from jobctl.github.failures import BudgetSpent


class Budget:
    def __init__(self, requests: int | None = None) -> None:
        """None: as many as it takes."""
        self._requests = requests
        self._spent = 0
        self._lock = threading.Lock()

    @property
    def spent(self) -> int:
        return self._spent

    def spend(self) -> None:
        """Count one. Raises BudgetSpent, and then counts none."""
        with self._lock:
            if self._requests is not None and self._spent >= self._requests:
                raise BudgetSpent(
                    f"the budget of {self._requests:,} requests is spent", hint="the next run goes on from here"
                )
            self._spent += 1
