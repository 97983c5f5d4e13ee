"""What a worker has done so far, counted once each: claimed = succeeded + retried + failed + snoozed + released + lost.

`failed` are tasks that failed for good, `retried` those whose try failed and that wait for another, `lost` those that
were taken from this worker before it could end them. Besides, `timeout` counts tries that took too long (they are among
retried and failed), `rescued` tasks of dead workers that were put back, `crashed` those that had used up their crashes.
"""

from collections import Counter
from collections.abc import Iterable
from typing import Final

from jobctl.queue.task import Ending

PARTS: Final = ("succeeded", "retried", "failed", "snoozed", "released", "lost")
NAMES: Final = ("claimed", *PARTS, "timeout", "rescued", "crashed")


class Tally:
    """`ended` and `lost` are called by one thread, everything else by another."""

    def __init__(self) -> None:
        self.claimed = 0
        self.rescued = 0
        self.crashed = 0
        self._parts: Counter[str] = Counter()
        self.timeout = 0

    def ended(self, endings: Iterable[Ending]) -> None:
        for ending in endings:
            self._parts[part_of(ending)] += 1
            self.timeout += ending.outcome == "timeout"

    def lost(self, count: int) -> None:
        self._parts["lost"] += count

    @property
    def done(self) -> int:
        """Tries that have ended and are written down."""
        return sum(self._parts.values())

    @property
    def released(self) -> int:
        return self._parts["released"]

    def failed_share(self) -> float:
        """Of the tasks that came to an end."""
        failed = self._parts["failed"]
        return failed / (failed + self._parts["succeeded"]) if failed else 0.0

    def counts(self) -> dict[str, int]:
        return {
            "claimed": self.claimed,
            **{name: self._parts[name] for name in PARTS},
            "timeout": self.timeout,
            "rescued": self.rescued,
            "crashed": self.crashed,
        }


def part_of(ending: Ending) -> str:
    if ending.outcome in ("succeeded", "snoozed", "released"):
        return ending.outcome
    return "failed" if ending.state == "failed" else "retried"
