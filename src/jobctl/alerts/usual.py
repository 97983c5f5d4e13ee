"""What is usual, by robust statistics, and how far a value is from it. Pure.

*Usual* is the median. The *spread* is the median distance from it (MAD) times 1.4826, which is the standard deviation
where values are distributed normally. Both stay where they are when single values are far off, so that one bad night is
not taken for usual and does not hide the next one. Values that are all the same have no distance at all, and what is
measured differs a little always: so the spread has a floor, a tenth of the median, or `least_spread` if that is more.

A value is far off when it is more than `score` spreads away, and by `least` in any case.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from jobctl.alerts.verdict import between

SCALE: Final = 1.4826
LEAST_SHARE: Final = 0.1

Known = Sequence[tuple[bool, float]]  # whether it is of the same weekday, or only of the same hour; the value


class Usual(NamedTuple):
    """`runs`: of how many. `is_of_weekday`: all of the same weekday; otherwise of the same hour on all days."""

    median: float
    spread: float
    runs: int
    is_of_weekday: bool


class Compared(NamedTuple):
    """How far a value may be from the usual one, and whether it is farther."""

    value: float
    usual: Usual
    allowed: float
    is_firing: bool | None

    @property
    def distance(self) -> float:
        return self.value - self.usual.median


def usual(known: Known, *, at_least: int, least_spread: float) -> Usual | None:
    """None where too few are known. Of the weekday's own if these are enough, else of all days'."""
    same = [value for is_same, value in known if is_same]
    is_of_weekday = len(same) >= at_least
    chosen = same if is_of_weekday else [value for _, value in known]
    if len(chosen) < at_least:
        return None
    middle = median(chosen)
    spread = SCALE * median([abs(value - middle) for value in chosen])
    return Usual(middle, max(spread, LEAST_SHARE * abs(middle), least_spread), len(chosen), is_of_weekday)


def compare(
    value: float, known: Known, found: Usual, *, score: float, least: float, is_two_sided: bool = False
) -> Compared:
    """More than usual is far off, and less only if it `is_two_sided`. A weekday that stands in for itself with too few
    values is not told of what it was like before: else all days would be held against it for weeks."""
    allowed = max(score * found.spread, least)

    def away(each: float) -> float:
        return abs(each - found.median) if is_two_sided else each - found.median

    is_firing = between(away(value), allowed)
    if is_firing and not found.is_of_weekday:
        is_firing = not any(
            is_same and away(each) > allowed and (each > found.median) == (value > found.median)
            for is_same, each in known
        )
    return Compared(value, found, allowed, is_firing)


def median(values: Sequence[float]) -> float:
    """The middle one, or the mean of the two in the middle."""
    ordered, half = sorted(values), len(values) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2
