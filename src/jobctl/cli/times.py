"""Spans and moments as an operator writes them on the command line: `2h`, or a time (ISO 8601)."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from jobctl.durations import parse_duration
from jobctl.errors import UsageError

EARLIEST = datetime(2, 1, 1, tzinfo=UTC)
LATEST = datetime(9998, 12, 31, tzinfo=UTC)


def seconds(option: str, text: str) -> int:
    """Raises UsageError for what is no span, and for one of no length."""
    try:
        value = parse_duration(text)
    except ValueError as error:
        raise UsageError(f"{option} {text!r} {error}") from None
    if value <= 0:
        raise UsageError(f"{option} must be longer than nothing")
    return value


def past(option: str, text: str, now: datetime, zone: str) -> datetime:
    return _moment(option, text, now, zone, sign=-1)


def future(option: str, text: str, now: datetime, zone: str) -> datetime:
    """Raises UsageError for a moment that is over."""
    moment = _moment(option, text, now, zone, sign=1)
    if moment <= now:
        raise UsageError(f"{option} {text!r} is over already", hint="give a time to come, or a distance such as 2h")
    return moment


def _moment(option: str, text: str, now: datetime, zone: str, *, sign: int) -> datetime:
    try:
        return now + sign * timedelta(seconds=parse_duration(text))
    except ValueError:
        pass  # no distance, so it must be a time
    try:
        given = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(
            f"{option} {text!r} is neither a duration nor a time", hint="write 2h, 3d, or 2026-12-24T18:00"
        ) from None
    moment = given if given.tzinfo is not None else given.replace(tzinfo=ZoneInfo(zone))
    if not EARLIEST <= moment.replace(tzinfo=UTC) <= LATEST:  # beyond it has no time in some other zone
        raise UsageError(f"{option} {text!r} is no time of ours", hint="write 2h, 3d, or 2026-12-24T18:00")
    return moment


@dataclass(frozen=True, slots=True)
class Reading:
    """The moments at which the clocks show a time: one, two in the hour that they repeat; `remarks` say what is odd."""

    moments: tuple[datetime, ...]
    remarks: tuple[str, ...] = ()

    @property
    def at(self) -> datetime:
        return self.moments[0]


def on_the_clock(option: str, text: str, zone: ZoneInfo) -> Reading:
    """A time by the clocks of `zone`, unless it carries its own. One that they skip is read as the end of the gap."""
    from jobctl.schedule.clock_changes import moments_of, skipped_by

    try:
        given = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(
            f"{option} {text!r} is no time", hint='write it as 2026-12-24T18:00 or "2026-12-24 18:00"'
        ) from None
    if given.tzinfo is not None:
        return Reading((given,))
    moments = moments_of(given, zone)
    if moments:
        twice = (f"{given:%H:%M} comes twice on this day",) if len(moments) > 1 else ()
        return Reading(moments, twice)
    change = skipped_by(given, zone)
    return Reading(
        (change.at,),
        (f"there is no {given:%H:%M} on this day: the clocks go from {change.start:%H:%M} to {change.end:%H:%M}",),
    )
