"""Why a line did or did not fire at a moment: field by field, with the days on which the clocks change. Pure.

Whether it fired is asked of `Expression`, the same that makes slots; here stands only why.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

from jobctl.schedule.clock_changes import ClockChange, clock_changes
from jobctl.schedule.expression import Expression
from jobctl.schedule.fields import FieldMatch, match_wall_clock

MINUTE = timedelta(minutes=1)
LONGEST_JUMP = timedelta(hours=3)
WEEKDAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")


@dataclass(frozen=True, slots=True)
class Explanation:
    """`at` is the minute asked about, in the zone; `reasons` are sentences, the decisive one first."""

    at: datetime
    fires: bool
    fields: tuple[FieldMatch, ...]
    reasons: tuple[str, ...]
    before: datetime
    after: datetime


def explain(expression: Expression, moment: datetime, zone: tzinfo) -> Explanation:
    """Explain the minute that `moment` lies in. `before` and `after` are the nearest other slots, in UTC."""
    at = moment.astimezone(UTC).replace(second=0, microsecond=0)
    local = at.astimezone(zone)
    fires = at in expression.between(at - MINUTE, at, zone)
    match = match_wall_clock(expression, local)
    reasons = _of_the_clocks(at, zone, fires=fires, is_matched=match.is_matched)
    return Explanation(
        at=local,
        fires=fires,
        fields=match.fields,
        reasons=(*reasons, *(_of_the_fields(match.fields, ored=match.days_are_ored))),
        before=expression.last_until(at - MINUTE, zone),
        after=expression.next_after(at, zone),
    )


def describe(field: FieldMatch) -> str:
    """`hour 14 is not in 2`."""
    actual = WEEKDAYS[field.actual] if field.name == "day of week" else str(field.actual)
    return f"{field.name} {actual} is {'' if field.is_matched else 'not '}in {field.field}"


def _of_the_fields(fields: tuple[FieldMatch, ...], *, ored: bool) -> list[str]:
    by_name = {field.name: field for field in fields}
    days = (by_name["day of month"], by_name["day of week"])
    missed = [field for field in fields if not field.is_matched]
    if ored:
        either = "day of month and day of week are both restricted, so either of them is enough"
        if any(day.is_matched for day in days):
            missed = [field for field in missed if field not in days]
            return [*(describe(field) for field in missed), f"{either}, and one of them matches"]
        return [*(describe(field) for field in missed), f"{either}, and neither matches"]
    return [describe(field) for field in missed] or ["all five fields match"]


def _of_the_clocks(at: datetime, zone: tzinfo, *, fires: bool, is_matched: bool) -> list[str]:
    """What the change of the clocks has to do with it; empty where the fields alone decide."""
    if fires == is_matched:
        return []
    for change in clock_changes(zone, at - LONGEST_JUMP, at):
        if change.is_gap is fires:
            what = "runs when the gap ends" if fires else "runs the first time only"
            when = f"the clocks skip {_span(change)}" if fires else f"{_span(change)} comes twice"
            return [f"{when}, and a line at a fixed time in it {what}"]
    return []


def _span(change: ClockChange) -> str:
    return f"{change.start:%H:%M} to {change.end:%H:%M}"
