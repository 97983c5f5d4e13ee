"""GitHub's limits, read from an answer: is it one, and for how long is nothing to be asked. Pure.

GitHub documents: a primary limit is a 403 or 429 with `x-ratelimit-remaining: 0`, over at `x-ratelimit-reset`. A
secondary one is a 403 or 429 too; `retry-after` says how long, else a spent `x-ratelimit-remaining` the reset, else at
least a minute is waited, and longer each time that it happens again. GraphQL says it with 200 and an error of type
RATE_LIMITED. Where several of them stand, the longest counts.

**A limit is never told as lost access.** A 403 tells of access only when it is a readable JSON object whose own words
speak of no limit, and nothing in its headers does. Everything else with that status (no body, a page of HTML from a
machine in front of GitHub) counts as a limit. This one look at words is needed, since a secondary limit may come with
nothing else; a mistake by it costs a minute's wait, the opposite one an organisation's data.

Waits are counted from the moment at which the answer had arrived. A reset is a time of GitHub's clock, so it is
measured from the answer's own `Date` where there is one, and a second is added, since both are whole seconds.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final, NamedTuple, cast

LEAST_S: Final = 60.0
LONGEST_DOUBLED_S: Final = 3_600.0
LONGEST_S: Final = 86_400.0 * 365
ROUNDING_S: Final = 1.0
_WORDS: Final = re.compile(r"rate.?limit|abuse|too many|quota|try again|wait a few", re.IGNORECASE)


class Kind(StrEnum):
    PRIMARY = "primary"
    SECONDARY = "secondary"


class Limit(NamedTuple):
    """`wait_s` from the arrival of the answer on. `is_told` is False where GitHub did not say how long."""

    kind: Kind
    wait_s: float
    is_told: bool = True


class Quota(NamedTuple):
    """What an answer says about the requests that are left. `reset_s` is from its arrival on."""

    resource: str
    limit: int
    remaining: int
    reset_s: float


def quota_of(headers: Mapping[str, str], now: datetime) -> Quota | None:
    """None where the headers are missing or no numbers, and where GitHub Enterprise has its limits switched off."""
    limit = _number(headers.get("x-ratelimit-limit"))
    remaining = _number(headers.get("x-ratelimit-remaining"))
    reset = _number(headers.get("x-ratelimit-reset"))
    if not limit or remaining is None or reset is None:
        return None
    reset_s = min(max(0.0, reset - _server_time(headers, now)) + ROUNDING_S, LONGEST_S)
    return Quota(headers.get("x-ratelimit-resource", "core")[:50], int(limit), int(remaining), reset_s)


def limit_of(
    status: int, headers: Mapping[str, str], body: object, now: datetime, *, times_before: int = 0
) -> Limit | None:
    """None: this answer is no limit. `body` is the JSON that was read, None where none could be; `times_before` counts
    the limits without a length that came one after the other until now."""
    retry_after_s = _retry_after_s(headers, now)
    if status == 503 and retry_after_s is not None:
        return Limit(Kind.SECONDARY, retry_after_s)
    if not (status == 429 or (status == 403 and _is_limit(headers, body)) or (status == 200 and _is_spent(body))):
        return None
    told: list[float] = []
    if retry_after_s is not None:
        told.append(retry_after_s)
    quota = quota_of(headers, now)
    spent = quota is not None and quota.remaining == 0
    if quota is not None and spent and quota.reset_s > ROUNDING_S:
        told.append(quota.reset_s)
    if told:
        return Limit(Kind.PRIMARY if spent and retry_after_s is None else Kind.SECONDARY, max(told))
    return Limit(Kind.SECONDARY, min(LEAST_S * 2 ** min(times_before, 10), LONGEST_DOUBLED_S), is_told=False)


def _is_limit(headers: Mapping[str, str], body: object) -> bool:
    """Of a 403."""
    if "retry-after" in headers or _number(headers.get("x-ratelimit-remaining")) == 0:
        return True
    if not isinstance(body, Mapping):
        return True
    found = cast("Mapping[str, object]", body)
    words = [found.get("message"), found.get("documentation_url")]
    if not isinstance(words[0], str):
        return True
    return any(isinstance(each, str) and _WORDS.search(each) for each in words)


def _is_spent(body: object) -> bool:
    """Of an answer of GraphQL: its errors speak of a limit."""
    errors = cast("Mapping[str, object]", body).get("errors") if isinstance(body, Mapping) else None
    if not isinstance(errors, list):
        return False
    types = [
        cast("Mapping[str, object]", each).get("type")
        for each in cast("list[object]", errors)
        if isinstance(each, Mapping)
    ]
    return "RATE_LIMITED" in types or "RATE_LIMIT" in types


def _retry_after_s(headers: Mapping[str, str], now: datetime) -> float | None:
    said = headers.get("retry-after", "").strip()
    seconds = _number(said)
    if seconds is None:
        until = _http_date(said)
        if until is None:
            return None
        seconds = until - _server_time(headers, now) + ROUNDING_S
    return min(max(seconds, 1.0), LONGEST_S)


def _server_time(headers: Mapping[str, str], now: datetime) -> float:
    date = _http_date(headers.get("date", ""))
    return now.timestamp() if date is None else date


def _http_date(said: str) -> float | None:
    from email.utils import parsedate_to_datetime

    try:
        found = parsedate_to_datetime(said)
        return (found if found.tzinfo is not None else found.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def _number(said: str | None) -> float | None:
    """Of at most 15 digits, which a float holds exactly."""
    return float(said) if said is not None and re.fullmatch(r"[0-9]{1,15}(?:\.[0-9]{1,6})?", said.strip()) else None
