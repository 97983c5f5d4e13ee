"""Why a line did or did not fire, told field by field and never otherwise than its slots say."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from jobctl.schedule.clock_changes import clock_changes
from jobctl.schedule.explain import explain
from jobctl.schedule.expression import parse
from jobctl.schedule.fields import match_wall_clock

BERLIN = ZoneInfo("Europe/Berlin")
NEW_YORK = ZoneInfo("America/New_York")
SYDNEY = ZoneInfo("Australia/Sydney")
GAP = datetime(2026, 3, 29, 1, 0, tzinfo=UTC)
REPEAT = datetime(2026, 10, 25, 1, 0, tzinfo=UTC)


def test_each_field_that_does_not_match_is_named() -> None:
    told = explain(parse("0 2 * * 1"), datetime(2026, 1, 13, 13, 0, 59, tzinfo=UTC), BERLIN)
    assert not told.fires
    assert told.at.isoformat() == "2026-01-13T14:00:00+01:00"
    assert told.reasons == ("hour 14 is not in 2", "day of week Tuesday is not in 1")
    assert [field.is_matched for field in told.fields] == [True, False, True, True, False]
    assert told.before == datetime(2026, 1, 12, 1, 0, tzinfo=UTC)
    assert told.after == datetime(2026, 1, 19, 1, 0, tzinfo=UTC)


def test_a_minute_that_fires_says_so_and_names_the_slots_around_it() -> None:
    told = explain(parse("0 * * * *"), datetime(2026, 1, 13, 13, 0, tzinfo=UTC), BERLIN)
    assert told.fires
    assert told.reasons == ("all five fields match",)
    assert (told.before.hour, told.after.hour) == (12, 14)


@pytest.mark.parametrize(
    ("day", "fires", "reason"),
    [
        (15, True, "either of them is enough, and one of them matches"),
        (16, True, "either of them is enough, and one of them matches"),
        (17, False, "either of them is enough, and neither matches"),
    ],
)
def test_two_restricted_days_are_an_or(day: int, fires: bool, reason: str) -> None:
    told = explain(parse("0 9 15 * fri"), datetime(2026, 1, day, 9, 0, tzinfo=UTC), UTC)
    assert told.fires is fires
    assert told.reasons[-1].endswith(reason)
    assert match_wall_clock(parse("0 9 15 * fri"), told.at).is_matched is fires


def test_a_time_in_the_gap_is_explained_when_the_gap_ends() -> None:
    told = explain(parse("30 2 * * *"), GAP, BERLIN)
    assert told.fires
    assert told.reasons[0] == "the clocks skip 02:00 to 03:00, and a line at a fixed time in it runs when the gap ends"


def test_the_second_of_two_equal_times_is_explained() -> None:
    told = explain(parse("30 2 * * *"), REPEAT + timedelta(minutes=30), BERLIN)
    assert not told.fires
    assert told.reasons[0] == "02:00 to 03:00 comes twice, and a line at a fixed time in it runs the first time only"
    first = explain(parse("30 2 * * *"), REPEAT - timedelta(minutes=30), BERLIN)
    assert first.fires and first.reasons == ("all five fields match",)


TEXTS = st.sampled_from(
    [
        "30 2 * * *",
        "0 * * * *",
        "*/7 * * * *",
        "*/30 2 * * *",
        "0,30 1-3 * * *",
        "15 2 1 * *",
        "59 1 * * 0",
        "0 3 29 * 1",
    ]
)
CLOCKS = st.sampled_from([BERLIN, NEW_YORK, SYDNEY, ZoneInfo("UTC")])
DAYS = st.sampled_from([GAP, REPEAT, datetime(2026, 3, 8, 7, tzinfo=UTC), datetime(2026, 11, 1, 6, tzinfo=UTC)])


@given(TEXTS, CLOCKS, DAYS, st.integers(-300, 300))
@example("30 2 * * *", BERLIN, GAP, 0)
@example("30 2 * * *", BERLIN, REPEAT, 0)
@example("0,30 1-3 * * *", NEW_YORK, datetime(2026, 11, 1, 6, tzinfo=UTC), 30)
def test_an_explanation_agrees_with_the_slots_also_when_the_clocks_change(
    text: str, zone: ZoneInfo, day: datetime, minutes: int
) -> None:
    expression = parse(text)
    moment = day + timedelta(minutes=minutes)
    slots = expression.between(day - timedelta(days=2), day + timedelta(days=2), zone)
    told = explain(expression, moment, zone)
    assert told.fires is (moment in slots)
    assert told.before < moment < told.after
    assert not [slot for slot in slots if told.before < slot < told.after and slot != moment]
    if match_wall_clock(expression, told.at).is_matched is not told.fires:
        assert told.reasons[0].endswith(("runs when the gap ends", "the first time only"))


@pytest.mark.parametrize("zone", [BERLIN, NEW_YORK, SYDNEY, ZoneInfo("Australia/Lord_Howe")])
def test_a_change_of_the_clocks_is_found_at_its_minute_with_the_times_it_skips_or_repeats(zone: ZoneInfo) -> None:
    changes = clock_changes(zone, datetime(2026, 1, 1, 0, 7, 3, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC))
    assert sorted(change.is_gap for change in changes) == [False, True]
    for change in changes:
        before, after = (change.at - timedelta(minutes=1)).astimezone(zone), change.at.astimezone(zone)
        assert before.utcoffset() != after.utcoffset()
        skipped = [moment.replace(tzinfo=zone) for moment in change.minutes()]
        assert len(skipped) in (30, 60)
        for moment in skipped:
            is_real = moment.astimezone(UTC).astimezone(zone) == moment
            comes_twice = moment.replace(fold=0).utcoffset() != moment.replace(fold=1).utcoffset()
            assert comes_twice and is_real is not change.is_gap


def test_a_zone_whose_clocks_never_change_has_no_changes() -> None:
    assert clock_changes(UTC, datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)) == []
