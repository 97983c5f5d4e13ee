from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from jobctl.schedule.expression import Expression, ExpressionError, parse

BERLIN = ZoneInfo("Europe/Berlin")
NEW_YORK = ZoneInfo("America/New_York")
ZONES = st.sampled_from([BERLIN, NEW_YORK, ZoneInfo("Australia/Lord_Howe"), UTC])


def local(*parts: int, zone: ZoneInfo = BERLIN, fold: int = 0) -> datetime:
    year, month, day, hour, minute = parts
    return datetime(year, month, day, hour, minute, tzinfo=zone, fold=fold)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "0 fields"),
        ("* * * *", "4 fields"),
        ("* * * * * *", "6 fields"),
        ("60 * * * *", "minute '60'"),
        ("* 24 * * *", "hour '24'"),
        ("* * 0 * *", "day of month '0'"),
        ("* * L * *", "not known to Debian's cron"),
        ("* * * * 5#2", "not known to Debian's cron"),
        ("* * * 13 *", "month '13'"),
        ("*/0 * * * *", "minute"),
        ("0 0 30 2 *", "day 30 of month 2 never comes"),
        ("@fortnightly", "is not one of"),
        ("@Daily", "small letters"),
        ("@reboot", "no slot"),
        ("0/15 * * * *", "step behind a single value"),
        ("* 1-5,7/2 * * *", "step behind a single value"),
    ],
)
def test_what_cron_cannot_read_is_named(text: str, says: str) -> None:
    with pytest.raises(ExpressionError, match=says):
        parse(text)


@pytest.mark.parametrize("text", ["0 9 * jul mon-fri", "0 0 * * wed,sun", "0-30/10 7 1,15 * 7"])
def test_names_ranges_and_steps_are_read(text: str) -> None:
    assert parse(text).text == text


def test_a_nickname_is_its_five_fields() -> None:
    assert parse("@daily") == Expression("0 0 * * *")


@pytest.mark.parametrize("zone", [BERLIN, NEW_YORK])
@pytest.mark.parametrize("month", [3, 10, 11])
def test_a_job_at_a_fixed_time_has_one_slot_on_each_day_of_a_month_in_which_the_clocks_change(
    zone: ZoneInfo, month: int
) -> None:
    start = local(2026, month, 1, 0, 0, zone=zone)
    slots = parse("30 2 * * *").between(start, local(2026, month, 30, 23, 59, zone=zone), zone)
    assert [slot.astimezone(zone).day for slot in slots] == list(range(1, 31))


def test_a_fixed_time_in_the_gap_is_run_when_the_gap_ends() -> None:
    slot = parse("30 2 * * *").next_after(local(2026, 3, 28, 12, 0), BERLIN)
    assert slot == local(2026, 3, 29, 3, 0)


def test_a_job_of_every_hour_has_25_slots_on_the_long_day_and_23_on_the_short_one() -> None:
    hourly = parse("0 * * * *")
    assert len(hourly.between(local(2026, 10, 24, 23, 30), local(2026, 10, 25, 23, 30), BERLIN)) == 25
    assert len(hourly.between(local(2026, 3, 28, 23, 30), local(2026, 3, 29, 23, 30), BERLIN)) == 23


NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)
MOMENTS = st.integers(0, 365 * 24 * 60).map(lambda minutes: NEW_YEAR + timedelta(minutes=minutes))
TEXTS = st.sampled_from(
    [
        "30 2 * * *",
        "0 * * * *",
        "*/5 * * * *",
        "*/30 2 * * *",
        "0,30 1-3 * * *",
        "15 2 1 * *",
        "59 1 * * 0",
        "0 9 * * 1",
    ]
)


@given(TEXTS, MOMENTS, ZONES)
@example("30 2 * * *", datetime(2026, 3, 29, 1, 0, tzinfo=UTC), BERLIN)
@example("30 2 * * *", datetime(2026, 10, 25, 1, 30, tzinfo=UTC), BERLIN)
@example("0,30 1-3 * * *", datetime(2026, 11, 1, 6, 29, tzinfo=UTC), NEW_YORK)
def test_the_last_slot_until_a_moment_is_the_last_that_comes_going_forwards(
    text: str, moment: datetime, zone: ZoneInfo
) -> None:
    expression = parse(text)
    forwards = expression.between(moment - timedelta(days=40), moment, zone)
    assert expression.last_until(moment, zone) == forwards[-1]


@given(TEXTS, MOMENTS, ZONES)
@example("30 2 * * *", datetime(2026, 10, 25, 1, 0, tzinfo=UTC), BERLIN)
def test_the_next_slot_is_never_over(text: str, moment: datetime, zone: ZoneInfo) -> None:
    assert parse(text).next_after(moment, zone) > moment


@given(TEXTS, MOMENTS, ZONES)
def test_slots_rise_and_none_is_named_twice(text: str, moment: datetime, zone: ZoneInfo) -> None:
    slots = parse(text).between(moment, moment + timedelta(days=3), zone)
    assert slots == sorted(set(slots))
