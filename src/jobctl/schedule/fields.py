"""An expression's five fields held against one moment of the wall clock. Pure.

`Expression` knows when a line fires, also where the clocks change; this tells why, field by field.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

from cronsim import CronSim

from jobctl.schedule.expression import FIELDS, Expression


@dataclass(frozen=True, slots=True)
class FieldMatch:
    """`actual` is the moment's own value, as the field counts it (Sunday is 0)."""

    name: str
    field: str
    actual: int
    is_matched: bool


@dataclass(frozen=True, slots=True)
class WallClockMatch:
    """Day of month and day of week are one question: with `days_are_ored` either is enough."""

    fields: tuple[FieldMatch, ...]
    days_are_ored: bool

    @property
    def is_matched(self) -> bool:
        minute, hour, day, month, weekday = (field.is_matched for field in self.fields)
        days = (day or weekday) if self.days_are_ored else (day and weekday)
        return minute and hour and month and days


@dataclass(frozen=True, slots=True)
class Allowed:
    """The values that each field lets through; Sunday is 0. `days_are_ored` as in `WallClockMatch`."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    days_are_ored: bool


def allowed_by(expression: Expression) -> Allowed:
    """The expression's fields as sets of numbers."""
    found = _simulated(expression.text)
    minutes, hours, months = frozenset(found.minutes), frozenset(found.hours), frozenset(found.months)
    days = frozenset(found.days)
    weekdays = frozenset(day % 7 for day in found.weekdays if isinstance(day, int))
    return Allowed(minutes, hours, days, months, weekdays, not found.day_and)


def match_wall_clock(expression: Expression, local: datetime) -> WallClockMatch:
    """Hold the fields against the wall clock's reading of `local`, whatever its zone."""
    simulated = _simulated(expression.text)
    actual = (local.minute, local.hour, local.day, local.month, local.isoweekday() % 7)
    matched = (
        local.minute in simulated.minutes,
        local.hour in simulated.hours,
        simulated.match_dom(local),
        local.month in simulated.months,
        simulated.match_dow(local),
    )
    fields = zip(FIELDS, expression.fields, actual, matched, strict=True)
    return WallClockMatch(tuple(FieldMatch(*field) for field in fields), not simulated.day_and)


@lru_cache(maxsize=256)
def _simulated(text: str) -> CronSim:
    return CronSim(text, datetime(2000, 1, 1, tzinfo=UTC))
