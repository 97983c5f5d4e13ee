"""What holds for any calendar and any moments, and what an operator may get wrong."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobctl.service_levels import bugs, health
from jobctl.service_levels.bugs import Rules
from jobctl.service_levels.cycles import Goal, Pause, State, cycle, elapsed_s
from jobctl.service_levels.public_holidays import free_days
from jobctl.service_levels.working_time import Calendar, WorkingTime

ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe", "America/Havana")
moments = st.datetimes(datetime(2019, 1, 1), datetime(2030, 1, 1)).map(lambda each: each.replace(tzinfo=UTC))  # noqa: DTZ001
spans = st.lists(st.integers(0, 96), max_size=4, unique=True).map(
    lambda marks: tuple(zip(*[iter(15 * mark for mark in sorted(marks))] * 2, strict=False))
)
calendars = st.builds(Calendar, st.sampled_from(ZONES).map(ZoneInfo), st.lists(spans, min_size=7, max_size=7))


@given(calendars, moments, moments, moments)
def test_working_time_adds_up_and_is_never_more_than_time(
    calendar: Calendar, one: datetime, two: datetime, three: datetime
) -> None:
    start, middle, end = sorted((one, two, three))
    working = WorkingTime(calendar)
    whole = working.between(start, end)
    assert whole == pytest.approx(working.between(start, middle) + working.between(middle, end), abs=0.01)
    assert 0 <= whole <= (end - start).total_seconds() + 0.01


@given(st.sampled_from(ZONES), moments, moments)
def test_around_the_clock_is_time_itself(zone: str, one: datetime, two: datetime) -> None:
    start, end = sorted((one, two))
    working = WorkingTime(Calendar.around_the_clock(ZoneInfo(zone)))
    assert working.between(start, end) == pytest.approx((end - start).total_seconds(), abs=0.01)


@given(calendars, moments, st.integers(1, 400_000))
def test_a_goal_is_up_at_the_first_moment_with_so_much_working_time(
    calendar: Calendar, start: datetime, seconds: int
) -> None:
    working = WorkingTime(calendar)
    up = working.after(start, seconds)
    if up is None:
        assert not any(calendar.hours)
    else:
        assert working.between(start, up) == pytest.approx(seconds, abs=0.01)
        assert working.between(start, up - timedelta(seconds=1)) < seconds


@given(calendars, moments, moments, st.lists(st.tuples(moments, st.none() | moments), max_size=4))
def test_pauses_take_away_each_moment_once(
    calendar: Calendar, one: datetime, two: datetime, given_pauses: list[tuple[datetime, datetime | None]]
) -> None:
    start, end = sorted((one, two))
    pauses = [Pause(*each) for each in given_pauses]
    working = WorkingTime(calendar)
    elapsed = elapsed_s(working, start, end, pauses)
    assert 0 <= elapsed <= working.between(start, end)
    assert elapsed == elapsed_s(working, start, end, [*pauses, *pauses])
    if pauses and min(each.start for each in pauses) >= end:
        assert elapsed == working.between(start, end)


def test_the_order_in_which_moments_are_asked_for_changes_nothing() -> None:
    calendar = Calendar(ZoneInfo("Europe/Berlin"), (*(((540, 1_020),),) * 5, (), ()))
    days = [datetime(year, 5, 4, 12, tzinfo=UTC) for year in (2026, 2020, 2028, 2023)]
    asked = WorkingTime(calendar)
    for day in days:
        expected = WorkingTime(calendar).between(day, day + timedelta(days=30))
        assert asked.between(day, day + timedelta(days=30)) == expected


def test_a_day_that_a_zone_left_out_has_no_hours() -> None:
    """Samoa had no 30 December 2011."""
    working = WorkingTime(Calendar(ZoneInfo("Pacific/Apia"), (((540, 1_020),),) * 7))
    start = datetime(2011, 12, 29, tzinfo=ZoneInfo("Pacific/Apia"))
    assert working.between(start, start + timedelta(days=1)) == 8 * 3_600
    whole = WorkingTime(Calendar.around_the_clock(ZoneInfo("Pacific/Apia")))
    assert whole.between(start.astimezone(UTC), datetime(2012, 1, 1, tzinfo=UTC)) == pytest.approx(
        (datetime(2012, 1, 1, tzinfo=UTC) - start).total_seconds()
    )


def test_holidays_are_those_of_the_region_and_of_the_team() -> None:
    of_bavaria = free_days("DE-BY", [date(2026, 12, 24)])(2026)
    assert {date(2026, 1, 6), date(2026, 12, 24), date(2026, 12, 25)} <= of_bavaria
    assert date(2026, 1, 6) not in free_days("DE-HH")(2026)
    assert free_days(None, [date(2026, 12, 24)])(2027) == frozenset()


@pytest.mark.parametrize("region", ["XX", "DE-XX", "", "Narnia"])
def test_an_unknown_region_is_a_fault_at_once(region: str) -> None:
    with pytest.raises(ValueError, match="names the region"):
        free_days(region)


def test_a_calendar_without_hours_never_breaches() -> None:
    working = WorkingTime(Calendar(UTC, ((),) * 7))
    start = datetime(2026, 1, 1, tzinfo=UTC)
    found = cycle(working, Goal(60), start, None, start + timedelta(days=400))
    assert (found.state, found.breaches_at, found.elapsed_s) == (State.ON_TRACK, None, 0)


@given(st.dictionaries(st.sampled_from([each.name for each in health.INPUTS]), st.none() | st.floats(0, 1e6)))
def test_a_score_stays_within_its_bounds_and_what_is_unknown_costs_nothing(values: dict[str, float | None]) -> None:
    found = health.judge(values)
    assert found.score is None or 0 <= found.score <= 100
    known = {name: value for name, value in values.items() if value is not None}
    assert health.judge(known) == found
    assert (found.band == health.Band.UNKNOWN) == (found.known_weight < 50)


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("0", 0), ("1500", 1500), ("1,500", 1500), ("1 500", 1500), ("1,234,567", 1_234_567), ("1.5k", 1500),
        ("$2k", 2000), ("USD 2k / day", 2000), ("12.50 per day", "12.5"), ("1.234k", 1234),
        ("1,5", None), ("1.500", None), ("1,50,000", None), ("1e6", None), ("ten", None), ("-1", None), ("€5", None),
        ("5 EUR", None), ("5 6", None), ("$$5$", None), ("१२", None), ("9" * 13, None), ("nan", None),
    ],
)  # fmt: skip
def test_an_amount_is_read_without_doubt_or_not_at_all(text: str, amount: float | str | None) -> None:
    assert bugs.parse_amount(text, "USD") == (None if amount is None else Decimal(amount))


def test_a_form_field_is_what_stands_below_its_heading() -> None:
    rules = Rules()
    body = "### What\r\n\r\nit broke\r\n\r\n### Revenue impact per day\r\n\r\n$900\r\n\r\n### Else\r\n\r\n5"
    assert bugs.form_field(rules, body) == "$900"
    assert bugs.form_field(rules, "### Revenue impact per day\n\n_No response_") == "_No response_"
    for other in (None, "", "Revenue impact per day\n\n5", "### Revenue impact per day of all\n\n5"):
        assert bugs.form_field(rules, other) is None


def test_rules_have_the_version_of_what_they_say() -> None:
    assert Rules().version == Rules().version
    assert Rules().version != Rules(default_severity="low").version
    assert Rules(impact_labels=["a*"]).version == Rules(impact_labels=("a*",)).version
