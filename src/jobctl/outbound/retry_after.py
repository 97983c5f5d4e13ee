"""`Retry-After` of an answer, in seconds from now: given as a number or as an HTTP date. Pure."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

LONGEST_S: Final = 86_400.0  # who says more has made a mistake, and a day later is soon enough to hear it again


def retry_after_s(headers: Mapping[str, str], now: datetime) -> float | None:
    """None: it says nothing, or nothing that can be read. A date is measured from the answer's own Date, since it was
    made by the same clock, and from `now` where there is none."""
    said = headers.get("retry-after", "").strip()
    if re.fullmatch(r"[0-9]{1,20}(?:\.[0-9]{1,20})?", said):
        return min(float(said), LONGEST_S)
    until = _date(said)
    if until is None:
        return None
    seconds = (until - (_date(headers.get("date", "")) or now)).total_seconds()
    return min(max(0.0, seconds), LONGEST_S)


def _date(text: str) -> datetime | None:
    from email.utils import parsedate_to_datetime

    try:
        found = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)
