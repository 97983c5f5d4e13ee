"""The tables `metrics` and `service_levels` of `jobctl.toml`: what a bug is and costs, and how soon it is answered.

    [metrics]
    bug_labels = ["bug", "type: bug"]
    currency = "EUR"

    [metrics.severity_labels]
    critical = ["sev1", "p0"]

    [metrics.default_impact]
    critical = 4000

    [service_levels]
    hours = "mon-fri 09:00-17:00; sat 10:00-12:00"
    region = "DE-BY"                       # whose holidays are free
    holidays = [2026-12-24]                # and these

    [service_levels.critical]
    first_response = "30m"
    resolution = "8h"
    around_the_clock = true

What is left out is as `jobctl metrics` has it by itself. Goals of `none` are none.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from itertools import pairwise
from typing import Annotated, Any, Final, Literal, cast, get_args

from pydantic import BeforeValidator, Field

from jobctl.durations import LONGEST_S, parse_duration
from jobctl.settings_table import Table, read_table
from jobctl.settings_values import Seconds

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAYS: Final = re.compile(r"([a-z]{3})(?:-([a-z]{3}))?")
_SPAN: Final = re.compile(r"([0-2][0-9]):([0-5][0-9])-([0-2][0-9]):([0-5][0-9])")
Severity = Literal["low", "medium", "high", "critical"]


def _goal(value: object) -> object:
    if isinstance(value, str):
        return None if value.strip().lower() == "none" else parse_duration(value)
    return value


def _patterns(value: object) -> object:
    if isinstance(value, str):
        raise ValueError('is a list of labels, such as ["bug", "type: *"]')  # noqa: TRY004
    return value


def _free_days(value: object) -> object:
    if isinstance(value, list | tuple):
        days = cast("Sequence[object]", value)
        return tuple(sorted({_day(each) for each in days}))
    raise ValueError("is a list of days, such as [2026-12-24]")


def _day(value: object) -> date:
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    try:
        return date.fromisoformat(str(value))
    except ValueError:
        raise ValueError(f"has {str(value)[:20]!r}, which is no day such as 2026-12-24") from None


def _hours(value: object) -> object:
    return parse_hours(value) if isinstance(value, str) else value


def parse_hours(text: str) -> tuple[tuple[tuple[int, int], ...], ...]:
    """`mon-fri 09:00-12:00, 13:00-17:00; sat 10:00-12:00` as minutes of each day, Monday first. Raises ValueError."""
    hours: list[list[tuple[int, int]]] = [[] for _ in DAYS]
    for part in filter(None, (each.strip() for each in text.lower().split(";"))):
        days, _, spans = part.partition(" ")
        for day in _days(days):
            hours[day] += [_span(each.strip()) for each in spans.split(",")]
    for name, spans in zip(DAYS, hours, strict=True):
        spans.sort()
        if any(left[1] > right[0] for left, right in pairwise(spans)):
            raise ValueError(f"has hours of {name} that overlap")
    return tuple(map(tuple, hours))


def _days(text: str) -> range:
    found = _DAYS.fullmatch(text)
    if found is None or found[1] not in DAYS or (found[2] or found[1]) not in DAYS:
        raise ValueError(f"has {text[:20]!r} where days stand, such as mon-fri or sat")
    first, last = DAYS.index(found[1]), DAYS.index(found[2] or found[1])
    if last < first:
        raise ValueError(f"has {text!r}, which ends before it begins")
    return range(first, last + 1)


def _span(text: str) -> tuple[int, int]:
    found = _SPAN.fullmatch(text)
    opens, closes = (60 * int(found[1]) + int(found[2]), 60 * int(found[3]) + int(found[4])) if found else (0, 0)
    if not 0 <= opens < closes <= 1_440:
        raise ValueError(f"has {text[:20]!r} where hours stand, such as 09:00-17:00")
    return opens, closes


Patterns = Annotated[tuple[Annotated[str, Field(min_length=1, max_length=100)], ...], BeforeValidator(_patterns)]
GoalSeconds = Annotated[Annotated[float, Field(gt=0, le=LONGEST_S, allow_inf_nan=False)] | None, BeforeValidator(_goal)]
Days = Annotated[Seconds, Field(ge=8 * 86_400)]
Amount = Annotated[Decimal, Field(ge=0, le=1_000_000_000)]


class MetricsSettings(Table):
    """What is not set has the default of `service_levels.bugs.Rules`."""

    bug_labels: Patterns | None = None
    not_bug_labels: Patterns | None = None
    severity_labels: Mapping[Severity, Patterns] = {}
    default_severity: Severity | None = None
    pause_labels: Patterns | None = None
    impact_labels: Patterns | None = None
    impact_field: Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\r\n]+$")] | None = None
    default_impact: Mapping[Severity, Amount] = {}
    largest_impact: Amount | None = None
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")] | None = None
    keep_hours_s: Days = 15 * 86_400.0
    keep_days_s: Days = 800 * 86_400.0

    def rules_given(self) -> dict[str, Any]:
        """What is said of the rules, by their names."""
        return self.model_dump(exclude_none=True, exclude={"keep_hours_s", "keep_days_s"})


class GoalSettings(Table):
    first_response: GoalSeconds = None
    resolution: GoalSeconds = None
    around_the_clock: bool = False


class ServiceLevelSettings(Table):
    hours: Annotated[tuple[tuple[tuple[int, int], ...], ...] | None, BeforeValidator(_hours)] = None
    region: Annotated[str, Field(pattern=r"^[A-Z]{2}(-[A-Za-z0-9 ]{1,40})?$")] | None = None
    holidays: Annotated[tuple[date, ...], BeforeValidator(_free_days)] = ()
    at_risk_share: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] = 0.8
    critical: GoalSettings | None = None
    high: GoalSettings | None = None
    medium: GoalSettings | None = None
    low: GoalSettings | None = None


def read_metrics(value: object) -> MetricsSettings:
    """Raises ValueError with every fault of the table, in an operator's words."""
    return read_table(value, MetricsSettings, '[metrics] and below it currency = "EUR"')


def read_service_levels(value: object) -> ServiceLevelSettings:
    """Raises ValueError with every fault of the table, in an operator's words. A region is judged by its first use."""
    example = '[service_levels] and below it hours = "mon-fri 09:00-17:00"'
    return read_table(value, ServiceLevelSettings, example, dict.fromkeys(get_args(Severity), GoalSettings))
