"""Revenue at risk: what the open bugs cost a day, each counted once, and how that has changed. Pure."""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from operator import itemgetter
from typing import Any, NamedTuple

from jobctl.service_levels.bugs import SEVERITIES


class AtRisk(NamedTuple):
    """Bugs and their impact a day; `bugs` and `impact` by severity, in the order of SEVERITIES."""

    bugs: Sequence[int]
    impact: Sequence[Decimal]

    @property
    def open_bugs(self) -> int:
        return sum(self.bugs)

    @property
    def total(self) -> Decimal:
        return sum(self.impact, Decimal(0))

    def as_json(self, before: "Before") -> dict[str, Any]:
        """With the trend against each of `before`, in all and by severity."""
        return {
            **_told(self.open_bugs, self.total, before, lambda then: sum(then, Decimal(0))),
            "by_severity": {
                name: _told(self.bugs[at], self.impact[at], before, itemgetter(at))
                for at, name in enumerate(SEVERITIES)
            },
        }


Before = Mapping[str, Sequence[Decimal] | None]  # by the span: money by severity, or None where nothing was kept


def _told(bugs: int, per_day: Decimal, before: Before, part: Callable[[Sequence[Decimal]], Decimal]) -> dict[str, Any]:
    """`part` is what of it is told."""
    trends = {name: trend(per_day, None if then is None else part(then)).as_json() for name, then in before.items()}
    return {"bugs": bugs, "per_day": float(per_day), "trend": trends}


class Sum:
    """Adds up bug by bug."""

    def __init__(self) -> None:
        self._bugs = [0] * len(SEVERITIES)
        self._impact = [Decimal(0)] * len(SEVERITIES)

    def add(self, severity: int, impact: Decimal) -> None:
        self._bugs[severity] += 1
        self._impact[severity] += impact

    def total(self) -> AtRisk:
        return AtRisk(tuple(self._bugs), tuple(self._impact))


class Trend(NamedTuple):
    """Against what was kept an hour, a day or a week ago; None where nothing was kept then."""

    before: Decimal | None
    change: Decimal | None
    share: float | None

    def as_json(self) -> dict[str, float | None]:
        return {
            "before": None if self.before is None else float(self.before),
            "change": None if self.change is None else float(self.change),
            "share": self.share,
        }


def trend(now: Decimal, before: Decimal | None) -> Trend:
    """A rise from nothing has no share."""
    if before is None:
        return Trend(None, None, None)
    return Trend(before, now - before, round(float((now - before) / before), 4) if before else None)
