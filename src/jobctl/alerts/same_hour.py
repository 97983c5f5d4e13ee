"""The hours of former days that are called as a run's own: 09:00 on Monday is 09:00 by the team's clock. Pure.

By that clock and not by UTC, for what a run has to do follows people's days. On the day on which the clock is put
forward an hour may not be there, and then it is left out; on the day on which it is put back an hour comes twice, and
both are one.
"""

from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Final, NamedTuple

MOST_WEEKS: Final = 53
WEEKDAYS: Final = ("Mondays", "Tuesdays", "Wednesdays", "Thursdays", "Fridays", "Saturdays", "Sundays")


class Hour(NamedTuple):
    """From its first moment to the next hour's."""

    starts_at: datetime
    ends_at: datetime


def before(at: datetime, zone: tzinfo, weeks: float) -> list[Hour]:
    """The same hour of each day of so many weeks, the newest first."""
    local = at.astimezone(zone)
    days = 7 * min(max(int(weeks), 1), MOST_WEEKS)
    hours = (_hour(local.date() - timedelta(days=ago), local.hour, zone) for ago in range(1, days + 1))
    return [hour for hour in hours if hour.starts_at < hour.ends_at]


def days_ago(at: datetime, now: datetime, zone: tzinfo) -> int:
    """In days of the zone, as `before` counts them: those of the same weekday are sevens."""
    return (now.astimezone(zone).date() - at.astimezone(zone).date()).days


def _hour(day: date, hour: int, zone: tzinfo) -> Hour:
    following = (day, hour + 1) if hour < 23 else (day + timedelta(days=1), 0)
    return Hour(_first(day, hour, zone), _first(*following, zone))


def _first(day: date, hour: int, zone: tzinfo) -> datetime:
    """When the clock first shows it. Where it is put forward over it, that is the moment of doing so."""
    return datetime.combine(day, time(hour), zone).astimezone(UTC)
