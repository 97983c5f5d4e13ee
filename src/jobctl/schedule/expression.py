"""A cron expression as Debian's cron reads it, and the moments it names.

The library is cronsim, which follows Debian's cron over a change of the clocks: a job at fixed times runs once on
either day (one that the gap swallowed runs when the gap ends, one that the repeated hour names twice runs the first
time), a job whose minute or hour begins with `*` follows the wall clock. Here stand only what Debian's crontab(5) has
besides (`@daily`) and has not (`L`, `#`, a sixth field). Pure.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from itertools import dropwhile, takewhile

from cronsim import CronSim, CronSimError

NICKNAMES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
AT_BOOT = "@reboot"
LONGEST_REPEAT = timedelta(hours=3)  # cron, too, takes a longer jump for a correction of the clock
FIELDS = ("minute", "hour", "day of month", "month", "day of week")


class ExpressionError(ValueError):
    """The text is no schedule; says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Expression:
    """Five fields that Debian's cron accepts. `parse` makes them."""

    text: str

    @property
    def fields(self) -> tuple[str, ...]:
        return tuple(self.text.split())

    @property
    def is_at_fixed_times(self) -> bool:
        """Whether cron runs it once on a day when the clocks change, rather than by the wall clock."""
        minute, hour, *_ = self.fields
        return not minute.startswith("*") and not hour.startswith("*")

    def after(self, moment: datetime, zone: tzinfo) -> Iterator[datetime]:
        """Its slots later than `moment`, in order, in UTC."""
        # In the hour that the clocks repeat, cronsim names once more what the first time round has brought.
        slots = (_utc(slot) for slot in CronSim(self.text, moment.astimezone(zone)))
        return dropwhile(lambda slot: slot <= moment, slots)

    def next_after(self, moment: datetime, zone: tzinfo) -> datetime:
        return next(self.after(moment, zone))

    def last_until(self, moment: datetime, zone: tzinfo) -> datetime:
        """The slot that `moment` answers for: the latest that is not after it, in UTC."""
        just_after = (moment + timedelta(minutes=1)).astimezone(zone).replace(second=0, microsecond=0)
        if just_after.fold:  # backwards by the wall clock, a time that comes twice is left where it comes last
            just_after = (just_after.astimezone(UTC) + LONGEST_REPEAT).astimezone(zone)
        backwards = (_utc(slot) for slot in CronSim(self.text, just_after, reverse=True))
        return next(slot for slot in backwards if slot <= moment)

    def between(self, start: datetime, end: datetime, zone: tzinfo) -> list[datetime]:
        """The slots with start < slot <= end, in UTC."""
        return list(takewhile(lambda slot: slot <= end, self.after(start, zone)))

    def in_words(self) -> str:
        """`At 02:00 every day`."""
        return CronSim(self.text, datetime(2000, 1, 1, tzinfo=UTC)).explain()

    def __str__(self) -> str:
        return self.text


@lru_cache(maxsize=256)
def parse(text: str) -> Expression:
    """Read five fields or a nickname such as `@daily`. Raises ExpressionError."""
    words = text.split()
    if len(words) == 1 and words[0].startswith("@"):
        nickname = words[0]
        if nickname == AT_BOOT:
            raise ExpressionError("@reboot names no time of day: there is no slot to be missed")
        if nickname not in NICKNAMES:
            raise ExpressionError(f"{words[0]} is not one of {', '.join(sorted(NICKNAMES))}, in small letters")
        words = NICKNAMES[nickname].split()
    if len(words) != len(FIELDS):
        raise ExpressionError(f"has {len(words)} fields where cron wants five: {', '.join(FIELDS)}")
    for name, word in zip(FIELDS, words, strict=True):
        if name.startswith("day") and re.search(r"#|L|W$", word.upper().replace("WED", "")):
            raise ExpressionError(f"{name} {word!r} is not known to Debian's cron")
        if re.search(r"(^|,)[^,*-]+/", word):
            raise ExpressionError(f"{name} {word!r} has a step behind a single value, which Debian's cron cannot read")
    normal = " ".join(words)
    try:
        CronSim(normal, datetime(2000, 1, 1, tzinfo=UTC))
    except CronSimError:
        raise ExpressionError(_what_is_bad(words)) from None
    return Expression(normal)


def _what_is_bad(words: list[str]) -> str:
    for number, (name, word) in enumerate(zip(FIELDS, words, strict=True)):
        alone = ["*"] * len(FIELDS)
        alone[number] = word
        try:
            CronSim(" ".join(alone), datetime(2000, 1, 1, tzinfo=UTC))
        except CronSimError:
            return f"{name} {word!r} is not what cron can read"
    return f"day {words[2]} of month {words[3]} never comes"


def _utc(slot: datetime) -> datetime:
    return slot.astimezone(UTC)
