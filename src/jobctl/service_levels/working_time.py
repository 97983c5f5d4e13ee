"""Working time: how much of the time between two moments counts for a goal, and when a goal's time is up. Pure.

A calendar is a zone, the hours of each weekday as clocks in that zone show them, and the days on which nobody works.
Its hours are real ones: a span from 00:00 to 24:00 has 23 or 25 of them on the day the clocks change, and a span from
09:00 to 17:00 always has eight. Around the clock is a calendar like any other, and leaves nothing out.

All spans since some day stand in one sorted list with the working time before each, so that a moment is looked up by
bisection and a difference is a subtraction: hundreds of thousands of issues are judged a second. The list grows by
years as moments ask for them.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Final, NamedTuple

DAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
WHOLE_DAY: Final = ((0, 1_440),)
MOST_YEARS: Final = 40  # that a goal may reach ahead before it counts as never up
_DAY: Final = timedelta(days=1)

DaySpans = Sequence[tuple[int, int]]  # minutes after midnight, in order


def no_holidays(_year: int) -> frozenset[date]:
    return frozenset()


@dataclass(frozen=True, slots=True)
class Calendar:
    """`hours` has the spans of each weekday, Monday first; `holidays` gives the free days of a year."""

    zone: tzinfo
    hours: Sequence[DaySpans]
    holidays: Callable[[int], frozenset[date]] = no_holidays

    @classmethod
    def around_the_clock(cls, zone: tzinfo = UTC) -> "Calendar":
        return cls(zone, (WHOLE_DAY,) * 7)


class Span(NamedTuple):
    """By the seconds of the epoch."""

    start: float
    length: float


class WorkingTime:
    """A calendar's time, to be asked many times."""

    def __init__(self, calendar: Calendar) -> None:
        self._calendar = calendar
        self._years: range = range(0)
        self._from = self._until = 0.0
        self._starts: list[float] = []
        self._lengths: list[float] = []
        self._before: list[float] = []  # working time before each span
        self._after: list[float] = []  # and behind it

    def between(self, start: datetime, end: datetime) -> float:
        """Seconds of working time; none where the end comes first."""
        if end <= start:
            return 0.0
        first, last = start.timestamp(), end.timestamp()
        self._cover(first, last)
        return round(self._passed(last) - self._passed(first), 3)

    def after(self, start: datetime, seconds: float) -> datetime | None:
        """The first moment at which so much working time has passed since `start`. None: there is never so much."""
        if seconds <= 0:
            return start
        first = start.timestamp()
        self._cover(first, first)
        for _ in range(MOST_YEARS):
            wanted = self._passed(first) + seconds
            index = bisect_left(self._after, wanted)
            if index < len(self._after):
                at = self._starts[index] + wanted - self._before[index]
                return datetime.fromtimestamp(round(at, 6), UTC)
            self._cover_years(self._years.start, self._years.stop)
        return None

    def is_within(self, moment: datetime) -> bool:
        """Whether the clock of a goal runs then."""
        at = moment.timestamp()
        self._cover(at, at)
        index = bisect_right(self._starts, at) - 1
        return index >= 0 and at < self._starts[index] + self._lengths[index]

    def _passed(self, at: float) -> float:
        index = bisect_right(self._starts, at) - 1
        return self._before[index] + min(at - self._starts[index], self._lengths[index]) if index >= 0 else 0.0

    def _cover(self, first: float, last: float) -> None:
        if not self._years or first < self._from or last > self._until:
            years = (datetime.fromtimestamp(first, UTC) - _DAY).year, (datetime.fromtimestamp(last, UTC) + _DAY).year
            self._cover_years(*years)

    def _cover_years(self, first: int, last: int) -> None:
        if self._years:
            first, last = min(first, self._years.start), max(last, self._years.stop - 1)
        years = range(first, last + 1)
        if years.start != self._years.start:
            self._starts, self._lengths, self._before, self._after = [], [], [], []
            new = years
        else:
            new = range(self._years.stop, years.stop)
        for year in new:
            for start, length in _spans(self._calendar, year):
                before = self._after[-1] if self._after else 0.0
                self._starts.append(start)
                self._lengths.append(length)
                self._before.append(before)
                self._after.append(before + length)
        self._years = years
        self._from = (datetime(years.start, 1, 1, tzinfo=UTC) + _DAY).timestamp()
        self._until = (datetime(years.stop, 1, 1, tzinfo=UTC) - _DAY).timestamp()


def _spans(calendar: Calendar, year: int) -> list[Span]:
    """In order and without overlap, also where a zone has left out a night or a whole day."""
    free = calendar.holidays(year)
    spans: list[Span] = []
    last = 0.0
    day = date(year, 1, 1)
    while day.year == year:
        if day not in free:
            for opens, closes in calendar.hours[day.weekday()]:
                start, end = max(_moment(day, opens, calendar.zone), last), _moment(day, closes, calendar.zone)
                if end > start:
                    spans.append(Span(start, end - start))
                    last = end
        day += _DAY
    return spans


def _moment(day: date, minutes: int, zone: tzinfo) -> float:
    """Of a time that the clock shows twice, the first; of one that it leaves out, what it shows instead."""
    days, minutes = divmod(minutes, 1_440)
    shown = day + days * _DAY
    return datetime(shown.year, shown.month, shown.day, minutes // 60, minutes % 60, tzinfo=zone).timestamp()
