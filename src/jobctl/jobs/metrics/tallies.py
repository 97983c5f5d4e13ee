"""What is added up bug by bug and pull request by pull request: of a project, a team, or all. Pure."""

from array import array
from bisect import bisect_right
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from jobctl.service_levels.bugs import SEVERITIES
from jobctl.service_levels.cycles import State
from jobctl.service_levels.facts import Merged
from jobctl.service_levels.velocity import quantile, weekly

GOALS: Final = ("first_response", "resolution")
THROUGHPUT_WEEKS: Final = 4
STAGES: Final = ("coding", "pickup", "review", "cycle")


class Levels:
    """How many cycles of each goal and severity are in each state."""

    def __init__(self) -> None:
        self.found: dict[tuple[str, int, State], int] = {}

    def add(self, goal: str, severity: int, state: State) -> None:
        key = (goal, severity, state)
        self.found[key] = self.found.get(key, 0) + 1

    def add_all(self, other: "Levels") -> None:
        for key, number in other.found.items():
            self.found[key] = self.found.get(key, 0) + number

    def number(self, state: State, severity: int | None = None) -> int:
        return sum(number for (_, of, in_), number in self.found.items() if in_ == state and severity in (None, of))

    @property
    def met_share(self) -> float | None:
        """Of those completed, and of those that can no longer be met."""
        met = self.number(State.MET)
        judged = met + self.number(State.MISSED) + self.number(State.BREACHED)
        return round(met / judged, 4) if judged else None

    def as_json(self) -> dict[str, Any]:
        return {
            goal: {
                name: {state.value: self.found.get((goal, severity, state), 0) for state in State}
                for severity, name in enumerate(SEVERITIES)
            }
            for goal in GOALS
        }


class Pace:
    """Bugs resolved, pull requests merged, how long each took and how large it was."""

    def __init__(self, starts: Sequence[datetime], known_since: datetime | None = None) -> None:
        self._starts = starts
        self._known_since = known_since
        self.all_resolved = [0] * (len(starts) - 1)
        self.all_merged = 0
        self.all_seconds = {stage: array("d") for stage in STAGES}
        self.all_size = array("d")

    def resolved(self, at: datetime) -> None:
        week = bisect_right(self._starts, at) - 1
        if 0 <= week < len(self.all_resolved):
            self.all_resolved[week] += 1

    def merged(self, found: Merged) -> None:
        self.all_merged += found.merged_in_weeks
        for stage, values in zip(STAGES, (found.coding_s, found.pickup_s, found.review_s, found.cycle_s), strict=True):
            self.all_seconds[stage].extend(values)
        self.all_size.extend(found.size)

    def add(self, other: "Pace") -> None:
        self.all_resolved = [mine + theirs for mine, theirs in zip(self.all_resolved, other.all_resolved, strict=True)]
        self.all_merged += other.all_merged
        for stage, values in other.all_seconds.items():
            self.all_seconds[stage].extend(values)
        self.all_size.extend(other.all_size)

    def figures(self) -> dict[str, float | None]:
        """Hours and lines as median and p90, bugs and pull requests a week."""
        resolved = weekly(self.all_resolved, self._starts, self._known_since)
        figures: dict[str, float | None] = {
            "resolved_median_4": resolved.median_4,
            "resolved_median_12": resolved.median_12,
            "merged_per_week": self.all_merged / THROUGHPUT_WEEKS,
        }
        for stage, seconds in self.all_seconds.items():
            figures[f"{stage}_h"], figures[f"{stage}_p90_h"] = _median_and_p90(seconds, 3_600)
        figures["size"], figures["size_p90"] = _median_and_p90(self.all_size, 1)
        return figures


def _median_and_p90(values: Sequence[float], unit: float) -> tuple[float | None, float | None]:
    ordered = sorted(values)
    median, p90 = quantile(ordered, 0.5), quantile(ordered, 0.9)
    return (None, None) if median is None or p90 is None else (round(median / unit, 2), round(p90 / unit, 2))
