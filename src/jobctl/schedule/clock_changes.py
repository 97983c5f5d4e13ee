"""When a zone's clocks are set forward or back, and which wall-clock times are skipped or come twice. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class ClockChange:
    """At `at` (UTC) the wall clock jumps. The times from `start` up to `end`, without zone, are skipped or repeated."""

    at: datetime
    start: datetime
    end: datetime
    is_gap: bool

    def minutes(self) -> Iterator[datetime]:
        """Each wall-clock minute that is skipped or repeated."""
        moment = self.start
        while moment < self.end:
            yield moment
            moment += MINUTE


def clock_changes(zone: tzinfo, start: datetime, end: datetime) -> list[ClockChange]:
    """The changes with start < at <= end, in order."""
    changes: list[ClockChange] = []
    moment = start.astimezone(UTC)
    while moment < end:
        later = min(moment + DAY, end.astimezone(UTC))
        if _offset(moment, zone) != _offset(later, zone):
            changes.append(_between(moment, later, zone))
        moment = later
    return changes


def moments_of(local: datetime, zone: tzinfo) -> tuple[datetime, ...]:
    """The moments (UTC) at which the clocks show `local`, a time without zone: one, two, or none in a gap."""
    candidates = {local.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1)}
    return tuple(sorted(each for each in candidates if each.astimezone(zone).replace(tzinfo=None) == local))


def skipped_by(local: datetime, zone: tzinfo) -> ClockChange:
    """The change that skips `local`, for which `moments_of` has found no moment."""
    near = local.replace(tzinfo=UTC)
    changes = clock_changes(zone, near - 2 * DAY, near + 2 * DAY)
    return next(change for change in changes if change.is_gap and change.start <= local < change.end)


def _between(early: datetime, late: datetime, zone: tzinfo) -> ClockChange:
    """The change between two moments with different offsets, found by halving down to the minute."""
    before = _offset(early, zone)
    while late - early > MINUTE:
        middle = early + ((late - early) / 2 // MINUTE) * MINUTE if late - early > 2 * MINUTE else early + MINUTE
        if _offset(middle, zone) == before:
            early = middle
        else:
            late = middle
    late = late.replace(second=0, microsecond=0)
    after = _offset(late, zone)
    old, new = ((late + offset).replace(tzinfo=None) for offset in (before, after))
    return ClockChange(late, min(old, new), max(old, new), is_gap=after > before)


def _offset(moment: datetime, zone: tzinfo) -> timedelta:
    return moment.astimezone(zone).utcoffset() or timedelta()
