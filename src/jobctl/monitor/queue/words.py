"""Moments, spans, errors and numbers as the answers of `why` tell them. Pure."""

from datetime import datetime, timedelta

from jobctl.durations import format_duration


def at(when: datetime) -> str:
    return f"at {moment(when)}"


def moment(when: datetime) -> str:
    return f"{when:%Y-%m-%d %H:%M:%S} UTC"


def span(length: timedelta) -> str:
    return format_duration(length.total_seconds())


def error_text(error_class: str | None, message: str | None) -> str:
    return ": ".join(part for part in (error_class, message) if part) or "no error is kept"


def times(count: int, what: str) -> str:
    plural = f"{what[:-1]}ies" if what.endswith("ry") else f"{what}s"
    return f"{count:,} {what if count == 1 else plural}"
