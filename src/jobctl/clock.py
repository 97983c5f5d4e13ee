"""The only place that asks what time it is. Everything that decides takes the time as a value."""

import time
from datetime import UTC, datetime


def utc_now() -> datetime:
    """Now, aware, in UTC: for stamps and for decisions about the calendar."""
    return datetime.now(UTC)


def monotonic() -> float:
    """Seconds that only go forwards: for durations and limits, which a set or leaping clock must not bend."""
    return time.monotonic()


def ms_since(started: float) -> int:
    """Whole milliseconds since a moment of `monotonic`."""
    return round((monotonic() - started) * 1000)
