"""The health of a project, 0 to 100, with each point won and lost explained. Pure.

Each input has a weight, and two thresholds: at the good one or beyond it wins the whole weight, at the bad one or
beyond it nothing, and between them in proportion. Four groups weigh 25 each.

What is not known is not zero: it wins nothing, loses nothing, and is named. The score is what was won of the weights
that are known; where they are less than half of all, there is no score. Bands are half open, so that each score has
one: healthy from 75, warning from 50, critical below.

The version stands with each score that is kept. A change of input, weight or threshold is another version.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final, NamedTuple

VERSION: Final = "1"
HEALTHY_FROM: Final = 75
WARNING_FROM: Final = 50
LEAST_KNOWN: Final = 0.5


class Group(StrEnum):
    RESPONSIVENESS = "Responsiveness"
    DELIVERY = "Delivery"
    CONTRIBUTORS = "Contributors"
    HYGIENE = "Hygiene"


class Band(StrEnum):
    HEALTHY = "healthy"
    WARNING = "warning"
    CRITICAL = "critical"
    UNKNOWN = "unknown"


class Input(NamedTuple):
    name: str
    group: Group
    weight: int
    good: float
    bad: float
    about: str


INPUTS: Final = (
    Input("first_response_h", Group.RESPONSIVENESS, 10, 24, 120, "median hours to the first response, 90 days"),
    Input("pickup_h", Group.RESPONSIVENESS, 8, 8, 72, "median hours from ready to the first review, 90 days"),
    Input("unanswered_share", Group.RESPONSIVENESS, 7, 0.05, 0.5, "open issues of 2 to 90 days without a response"),
    Input("cycle_h", Group.DELIVERY, 8, 72, 720, "median hours from first commit to merged, 90 days"),
    Input("closure_ratio", Group.DELIVERY, 7, 1.0, 0.5, "issues and pull requests closed / opened, 90 days"),
    Input("sla_met_share", Group.DELIVERY, 10, 0.95, 0.7, "goals met of those completed in 30 days or breached now"),
    Input("absence_factor", Group.CONTRIBUTORS, 15, 4, 1, "fewest people with half of the commits, 365 days"),
    Input("active_people", Group.CONTRIBUTORS, 10, 5, 0, "people with a commit, 90 days"),
    Input("stale_pull_share", Group.HYGIENE, 8, 0.1, 0.6, "open pull requests not touched for 14 days"),
    Input("stale_issue_share", Group.HYGIENE, 7, 0.1, 0.7, "open issues not touched for 90 days"),
    Input("unlabelled_share", Group.HYGIENE, 5, 0.05, 0.5, "open issues without any label"),
    Input("days_since_commit", Group.HYGIENE, 5, 14, 180, "days since the last commit"),
)


class Part(NamedTuple):
    """One input: what it is now, and what that wins. `won` is None when the value is not known."""

    input: Input
    value: float | None
    won: float | None

    @property
    def lost(self) -> float | None:
        return None if self.won is None else round(self.input.weight - self.won, 2)

    @property
    def said(self) -> str:
        if self.value is None:
            return "not known: counts neither way"
        what = f"{self.value:,.2f}".rstrip("0").rstrip(".")
        return f"{what}; {self.input.good:g} wins all, {self.input.bad:g} nothing"


class Health(NamedTuple):
    score: float | None
    band: Band
    known_weight: int
    parts: tuple[Part, ...]
    version: str = VERSION


def judge(values: Mapping[str, float | None]) -> Health:
    """What `values` does not name is not known."""
    parts = tuple(_part(each, values.get(each.name)) for each in INPUTS)
    known = sum(part.input.weight for part in parts if part.won is not None)
    if known < LEAST_KNOWN * sum(each.weight for each in INPUTS):
        return Health(None, Band.UNKNOWN, known, parts)
    score = round(100 * sum(part.won or 0.0 for part in parts) / known, 1)
    return Health(score, band_of(score), known, parts)


def band_of(score: float) -> Band:
    return Band.HEALTHY if score >= HEALTHY_FROM else Band.WARNING if score >= WARNING_FROM else Band.CRITICAL


def by_group(health: Health) -> dict[Group, tuple[float, int]]:
    """Points won and known weight of each group."""
    groups: dict[Group, tuple[float, int]] = dict.fromkeys(Group, (0.0, 0))
    for part in health.parts:
        if part.won is not None:
            won, weight = groups[part.input.group]
            groups[part.input.group] = (round(won + part.won, 2), weight + part.input.weight)
    return groups


def _part(input_: Input, value: float | None) -> Part:
    if value is None:
        return Part(input_, None, None)
    share = (input_.bad - value) / (input_.bad - input_.good)
    return Part(input_, value, round(input_.weight * min(max(share, 0.0), 1.0), 2))
