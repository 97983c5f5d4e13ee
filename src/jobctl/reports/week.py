"""The week that a report is about: Monday to Sunday in the team's zone, numbered as ISO 8601 does. Pure."""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo

_NAME = re.compile(r"([0-9]{4})-?[Ww]([0-9]{1,2})")


@dataclass(frozen=True, slots=True)
class Week:
    """`start` is inside it, `end` is the first moment of the next one; both in UTC."""

    year: int
    number: int
    start: datetime
    end: datetime
    zone: tzinfo

    @property
    def name(self) -> str:
        return f"{self.year}-W{self.number:02d}"

    @property
    def monday(self) -> date:
        return date.fromisocalendar(self.year, self.number, 1)

    @property
    def sunday(self) -> date:
        return self.monday + timedelta(days=6)

    @property
    def days(self) -> list[date]:
        return [self.monday + timedelta(days=nth) for nth in range(7)]

    def before(self, weeks: int) -> "Week":
        return week_of(self.monday - timedelta(weeks=weeks), self.zone)


def week_of(day: date, zone: tzinfo) -> Week:
    year, number, _ = day.isocalendar()
    monday = date.fromisocalendar(year, number, 1)
    return Week(year, number, _midnight(monday, zone), _midnight(monday + timedelta(weeks=1), zone), zone)


def last_full(now: datetime, zone: tzinfo) -> Week:
    """The one that has ended most recently."""
    return week_of(now.astimezone(zone).date() - timedelta(weeks=1), zone)


def parse_week(text: str, zone: tzinfo) -> Week:
    """`2026-W47`. Raises ValueError for what is no week, such as the 53rd of a year that has 52."""
    found = _NAME.fullmatch(text.strip())
    if found is None:
        raise ValueError("is no week: write it as 2026-W47")
    return week_of(date.fromisocalendar(int(found[1]), int(found[2]), 1), zone)


def _midnight(day: date, zone: tzinfo) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)
