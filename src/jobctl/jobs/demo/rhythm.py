"""When people do things: by day and not at night, little at weekends, most on Tuesdays. Pure."""

from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import accumulate
from math import exp, log
from random import Random
from typing import Final

WEEKDAYS: Final = (1.10, 1.15, 1.10, 1.05, 0.90, 0.12, 0.08)
HOURS: Final = (1, 1, 1, 1, 1, 2, 4, 10, 30, 50, 55, 45, 30, 45, 55, 50, 40, 25, 12, 8, 6, 4, 2, 1)
_OF_DAY: Final = tuple(accumulate(HOURS))
_DAY: Final = timedelta(days=1)


def always(_share: float) -> float:
    return 1.0


def moments(
    random: Random,
    start: datetime,
    end: datetime,
    per_week: float,
    factor: Callable[[float], float] = always,
) -> list[datetime]:
    """About so many a week, more or fewer as `factor` says of how much of the time is over; in their order."""
    found: list[datetime] = []
    day, whole = start.replace(hour=0, minute=0, second=0, microsecond=0), end - start
    while day < end:
        expected = per_week / sum(WEEKDAYS) * WEEKDAYS[day.weekday()] * factor(max(0.0, (day - start) / whole))
        for _ in range(poisson(random, expected)):
            hour = random.choices(range(24), cum_weights=_OF_DAY)[0]
            at = day.replace(hour=hour, minute=random.randrange(60), second=random.randrange(60), microsecond=0)
            if start <= at < end:
                found.append(at)
        day += _DAY
    return sorted(found)


def poisson(random: Random, expected: float) -> int:
    """Knuth's: fit for the small numbers of a day."""
    limit, product, number = exp(-expected), random.random(), 0
    while product > limit:
        product *= random.random()
        number += 1
    return number


def about(random: Random, median: float, spread: float = 0.8) -> float:
    """Half of them are below the median, and few are far above."""
    return exp(random.gauss(log(median), spread))


def at_work(random: Random, at: datetime) -> datetime:
    """That moment, or when somebody is at work again."""
    if at.weekday() >= 5 or at.hour >= 19:
        at += _DAY * (7 - at.weekday() if at.weekday() >= 4 else 1)
        return at.replace(hour=8 + random.randrange(3), minute=random.randrange(60))
    return at.replace(hour=8, minute=random.randrange(60)) if at.hour < 7 else at


def after(random: Random, at: datetime, hours: float) -> datetime:
    """So many hours later, or when somebody is at work again: never before `at`."""
    return max(at + timedelta(minutes=1), at_work(random, at + timedelta(hours=hours)))
