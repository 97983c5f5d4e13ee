"""Moments as an operator writes them on the command line: a distance from now (`2h`) or a time (ISO 8601)."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from jobctl.durations import parse_duration
from jobctl.errors import UsageError


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
        pass
    try:
        given = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(
            f"{option} {text!r} is neither a duration nor a time", hint="write 2h, 3d, or 2026-12-24T18:00"
        ) from None
    return given if given.tzinfo is not None else given.replace(tzinfo=ZoneInfo(zone))
