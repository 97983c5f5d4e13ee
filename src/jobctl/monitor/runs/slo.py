"""What a team has promised itself of its jobs, how much of it was kept, and how fast the rest is being spent. Pure.

A promise is a share of good ones among all (runs that succeed, runs that end in time, projects, records, seconds that
data is fresh). What may be bad of them is the error budget.

    budget left    1 - (bad / all) / (1 - promised share)      of the window: 1 nothing is spent, below 0 it is broken
    burn rate      (bad / all) / (1 - promised share)          of a shorter window: 1 spends the budget in just the
                                                               window's time, 10 in a tenth of it

It is burning when both the long and the short window burn faster than 1: the long one says that it matters, the short
one that it still goes on. Without a single one in the window there is nothing to be said, and that is what is said.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta, tzinfo
from itertools import islice, pairwise
from typing import Final, Literal, NamedTuple

from jobctl.schedule.expression import Expression

State = Literal["met", "burning", "missed", "no data"]
Rhythm = Literal["hourly", "daily", "weekly"]
SLOTS_LOOKED_AT: Final = 8


class Tally(NamedTuple):
    """How many (or how many seconds) there were, and how many of them were bad."""

    total: float = 0
    bad: float = 0

    @property
    def share(self) -> float | None:
        return None if self.total <= 0 else 1 - self.bad / self.total


class Tallies(NamedTuple):
    """The same of three windows, each within the one before."""

    whole: Tally
    long: Tally
    short: Tally


class Promise(NamedTuple):
    """`name` is its kind, `subject` the job it is about, '' for all. `limit_s`: what a good one must keep within."""

    name: str
    subject: str
    share: float
    unit: str
    limit_s: float | None = None


class Level(NamedTuple):
    promise: Promise
    tallies: Tallies
    p95_ms: int | None = None

    @property
    def actual(self) -> float | None:
        return self.tallies.whole.share

    @property
    def budget_left(self) -> float | None:
        spent = burn_rate(self.tallies.whole, self.promise.share)
        return None if spent is None else 1 - spent

    @property
    def burn_long(self) -> float | None:
        return burn_rate(self.tallies.long, self.promise.share)

    @property
    def burn_short(self) -> float | None:
        return burn_rate(self.tallies.short, self.promise.share)

    @property
    def state(self) -> State:
        left = self.budget_left
        if left is None:
            return "no data"
        if left < 0:
            return "missed"
        return "burning" if (self.burn_long or 0) > 1 and (self.burn_short or 0) > 1 else "met"


def burn_rate(tally: Tally, promised: float) -> float | None:
    share = tally.share
    return None if share is None else round((1 - share) / (1 - promised), 6)


def rhythm(expression: Expression, zone: tzinfo, now: datetime) -> Rhythm | None:
    """By the shortest way from one slot to the next: a job of working days is daily. None: more often than each half
    hour, or more seldom than each ten days."""
    gaps = [later - earlier for earlier, later in pairwise(islice(expression.after(now, zone), SLOTS_LOOKED_AT))]
    shortest = min(gaps, default=timedelta())
    if not timedelta(minutes=30) <= shortest <= timedelta(days=10):
        return None
    if shortest <= timedelta(hours=6):
        return "hourly"
    return "daily" if shortest <= timedelta(days=3) else "weekly"


def worst_first(levels: Sequence[Level]) -> list[Level]:
    rank = {"missed": 0, "burning": 1, "met": 2, "no data": 3}
    return sorted(levels, key=lambda level: rank[level.state])
