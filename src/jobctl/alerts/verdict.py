"""What a condition says of one subject, and what people are told: values that the pure parts hand to each other."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

from jobctl.settings_conditions import Severity

Facts = Sequence[tuple[str, str]]


class About(NamedTuple):
    """Whose run, if it is about one."""

    job: str = ""
    scope: str = ""
    run_id: UUID | None = None
    host: str = ""


NOBODY: Final = About()


class Verdict(NamedTuple):
    """`is_firing`: True, somebody must hear of it; False, it is over; None, between the two, which changes nothing.

    `cause` groups what belongs together. `title` is one line, `facts` are words and what they say."""

    condition: str
    subject: str
    is_firing: bool | None
    at: datetime
    cause: str = ""
    title: str = ""
    facts: Facts = ()
    severity: Severity = "warning"
    about: About = NOBODY
    page: str = ""
    realert_every_s: float | None = None
    clear_after: int = 1


def between(value: float, limit: float, *, is_below: bool = False, margin: float = 0.1) -> bool | None:
    """Hysteresis: firing beyond the limit, over when it is back by a margin, and neither between."""
    room = abs(limit) * margin
    if is_below:
        return True if value < limit else (None if value < limit + room else False)
    return True if value > limit else (None if value > limit - room else False)
