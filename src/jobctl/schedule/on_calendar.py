"""A cron expression as systemd's OnCalendar. Pure.

Both name the same minutes of a day whose clocks do not change. Where they do, systemd leaves out what cron makes up
for: a time in the gap does not come that day, and of the repeated hour it starts one half alone. The slot ledger shows
such a start as missed and catches it up where the plan says so.
"""

from collections.abc import Collection
from itertools import pairwise

from jobctl.schedule.expression import Expression
from jobctl.schedule.fields import allowed_by

WEEKDAYS = ("Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat")


def on_calendar(expression: Expression) -> tuple[str, ...]:
    """One event, or two where cron wants either of two days (`0 9 1 * 1`: on the first, and each Monday)."""
    allowed = allowed_by(expression)
    time = f"{_field(allowed.hours, 0, 23)}:{_field(allowed.minutes, 0, 59)}:00"
    months = _field(allowed.months, 1, 12)
    days = _field(allowed.days, 1, 31)
    weekdays = _weekdays(allowed.weekdays)
    if allowed.days_are_ored:
        return (f"*-{months}-{days} {time}", f"{weekdays}*-{months}-* {time}")
    return (f"{weekdays}*-{months}-{days} {time}",)


def _field(values: Collection[int], lowest: int, highest: int) -> str:
    """`*`, `00/5`, `09..17` or a list; systemd reads `a/n` as from a on in steps of n."""
    numbers = sorted(values)
    if len(numbers) == highest - lowest + 1:
        return "*"
    steps = {later - earlier for earlier, later in pairwise(numbers)}
    if len(numbers) > 2 and len(steps) == 1:
        (step,) = steps
        if step == 1:
            return f"{numbers[0]:02}..{numbers[-1]:02}"
        if numbers[-1] + step > highest:
            return f"{numbers[0]:02}/{step}"
    return ",".join(f"{number:02}" for number in numbers)


def _weekdays(values: Collection[int]) -> str:
    if len(values) == len(WEEKDAYS):
        return ""
    return ",".join(WEEKDAYS[number] for number in sorted(values, key=lambda day: day or 7)) + " "
