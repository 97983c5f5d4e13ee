"""A week as a person names it on the command line."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jobctl.reports.week import Week


def week_named(text: str, zone: str) -> "Week":
    """Raises UsageError."""
    from zoneinfo import ZoneInfo

    from jobctl.errors import UsageError
    from jobctl.reports.week import parse_week

    try:
        return parse_week(text, ZoneInfo(zone))
    except (ValueError, OverflowError):
        raise UsageError(f"{text!r} is no week", hint="write it as 2026-W47") from None
