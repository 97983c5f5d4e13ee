"""How old a PostgreSQL release is. Pure.

Minor releases bring security fixes, on days planned years ahead: the second Thursday of February, May, August and
November, for all majors at once. So the day of a release that this table does not know is not known, but how many days
of release have passed since one that it knows is.
"""

from dataclasses import dataclass
from datetime import date, timedelta

RELEASE_MONTHS = (2, 5, 8, 11)
THURSDAY = 3

# The first release of each major that came on a day from here on. What is older is told as "before" the first day.
RELEASED: tuple[tuple[date, dict[int, int]], ...] = (
    (date(2025, 11, 13), {15: 15, 16: 11, 17: 7, 18: 1}),
    (date(2026, 2, 12), {15: 16, 16: 12, 17: 8, 18: 2}),
    (date(2026, 2, 26), {15: 17, 16: 13, 17: 9, 18: 3}),
    (date(2026, 5, 14), {15: 18, 16: 14, 17: 10, 18: 4}),
)
SUPPORTED_UNTIL = {15: date(2027, 11, 11), 16: date(2028, 11, 9), 17: date(2029, 11, 8), 18: date(2030, 11, 14)}


@dataclass(frozen=True, slots=True)
class Age:
    """`released` is None for a release newer than the table, or of a major that it does not know."""

    major: int
    minor: int
    released: date | None
    is_before: bool
    releases_since: int
    supported_until: date | None


def age_of(version: str, today: date) -> Age | None:
    """None for what is no released version, such as `19beta1`."""
    major, _, rest = version.split(maxsplit=1)[0].partition(".")
    if not (major.isdecimal() and rest.isdecimal()):
        return None
    number = (int(major), int(rest))
    until = SUPPORTED_UNTIL.get(number[0])
    known = [(day, minors[number[0]]) for day, minors in RELEASED if number[0] in minors]
    if not known or number[1] > known[-1][1]:
        return Age(*number, released=None, is_before=False, releases_since=0, supported_until=until)
    day, minor = next((each for each in known if each[1] >= number[1]), known[-1])
    is_before = number[1] < minor
    since = [each for each, _ in known if each > day or (is_before and each == day)]
    since += [each for each in release_days(known[-1][0], today) if each > known[-1][0]]
    return Age(*number, day, is_before, len(since), until)


def release_days(after: date, until: date) -> list[date]:
    """The planned days with after < day <= until."""
    days = [_second_thursday(year, month) for year in range(after.year, until.year + 1) for month in RELEASE_MONTHS]
    return [day for day in days if after < day <= until]


def _second_thursday(year: int, month: int) -> date:
    first = date(year, month, 1)
    return first + timedelta(days=(THURSDAY - first.weekday()) % 7 + 7)
