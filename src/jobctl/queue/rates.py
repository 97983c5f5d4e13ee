"""How often tries of each type fail, and what that means. Pure: counts in, judgements out.

A type's other side is *down* when most of the last hour's tries failed. A type's rate *rises* when it failed so much
more often than in the 24 hours before that chance does not explain it: by ten points at least, and by more than three
standard deviations of what the earlier rate would give. A type with few tries in either time is not judged: one
failure of two tells nothing.
"""

from collections.abc import Iterable
from math import sqrt
from typing import NamedTuple

FEWEST_TRIES = 20  # in the hour, and in the day before it
FEWEST_TRIES_OF_DOWN = 5  # as many as a probe makes, so that its failing keeps the type down
LEAST_RISE = 0.1
DEVIATIONS = 3.0


class TypeTries(NamedTuple):
    """Tries of a type that ended in the last hour, and those of the 24 hours before."""

    type: str
    tries: int
    failed: int
    tries_before: int
    failed_before: int

    @property
    def share(self) -> float:
        return self.failed / self.tries if self.tries else 0.0

    @property
    def share_before(self) -> float:
        return self.failed_before / self.tries_before if self.tries_before else 0.0


class Failing(NamedTuple):
    """Tasks of one type that met this error last."""

    type: str
    error_class: str
    tasks: int


def is_down(rate: TypeTries, down_share: float) -> bool:
    return rate.tries >= FEWEST_TRIES_OF_DOWN and rate.share > down_share


def is_rising(rate: TypeTries) -> bool:
    if rate.tries < FEWEST_TRIES or rate.tries_before < FEWEST_TRIES:
        return False
    before = rate.share_before
    expected, spread = rate.tries * before, sqrt(rate.tries * before * (1 - before))
    return rate.share >= before + LEAST_RISE and rate.failed > expected + DEVIATIONS * spread


def rising(rates: Iterable[TypeTries]) -> list[TypeTries]:
    """Those whose rate rises, the most failures first."""
    return sorted((rate for rate in rates if is_rising(rate)), key=lambda rate: (-rate.failed, rate.type))
