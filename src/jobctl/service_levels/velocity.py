"""How much is done and how long it takes: of a project, of a team, of all, never of a person. Pure.

Bugs resolved are counted by whole weeks, Monday to Sunday in the team's zone; a week in which a project did not exist
yet is unknown, and one without any is 0. A pull request's cycle time has the stages

    coding     first commit to opened
    pickup     opened, or ready for review where it was a draft, to the first review by somebody else than the author
    review     first review to merged

A stage whose ends are not known, or come in the wrong order, is unknown and stands in no median. What bots open is
left out, and so are reviews by bots. This is no DORA lead time, which ends in production. The facts are worked out in
SQL (`pulls.sql`) by the same definitions; both are tested with the examples of docs/metrics.md.
"""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Final, NamedTuple

WEEKS: Final = 12
_WEEK: Final = timedelta(weeks=1)


class Stages(NamedTuple):
    """Seconds; None is unknown."""

    coding_s: float | None
    pickup_s: float | None
    review_s: float | None
    cycle_s: float | None


def stages(
    first_commit_at: datetime | None,
    opened_at: datetime,
    ready_at: datetime | None,
    first_review_at: datetime | None,
    merged_at: datetime,
) -> Stages:
    return Stages(
        _seconds(first_commit_at, opened_at),
        _seconds(max(opened_at, ready_at or opened_at), first_review_at),
        _seconds(first_review_at, merged_at),
        _seconds(first_commit_at, merged_at),
    )


def _seconds(start: datetime | None, end: datetime | None) -> float | None:
    return (end - start).total_seconds() if start is not None and end is not None and end >= start else None


def quantile(values: Sequence[float], share: float) -> float | None:
    """Between two values in proportion, as SQL's percentile_cont. The median has the share 0.5, p90 0.9."""
    if not values:
        return None
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def week_starts(now: datetime, zone: tzinfo, weeks: int = WEEKS) -> list[datetime]:
    """The beginnings of the last whole weeks, and the end of the last one."""
    today = now.astimezone(zone).date()
    monday = today - timedelta(days=today.weekday())
    return [_midnight(monday - _WEEK * back, zone) for back in range(weeks, -1, -1)]


def _midnight(day: date, zone: tzinfo) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)


class Weekly(NamedTuple):
    """Bugs resolved a week; None where no whole week is known."""

    median_4: float | None
    median_12: float | None


def weekly(resolved: Sequence[int], starts: Sequence[datetime], known_since: datetime | None) -> Weekly:
    """`resolved` has the number of each week, the oldest first; `starts` their beginnings."""
    known = [
        number for number, start in zip(resolved, starts, strict=False) if known_since is None or start >= known_since
    ]
    return Weekly(quantile(known[-4:], 0.5), quantile(known, 0.5))
