from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobctl.outbound.retry_after import LONGEST_S, retry_after_s

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("0", 0),
        ("120", 120),
        (" 1.5 ", 1.5),
        ("999999999999", LONGEST_S),
        ("Sat, 21 Nov 2026 12:01:30 GMT", 90),
        ("Saturday, 21-Nov-26 12:01:30 GMT", 90),
        ("Sat Nov 21 12:01:30 2026", 90),
        ("Sat, 21 Nov 2026 14:01:30 +0200", 90),
        ("Sat, 21 Nov 2026 11:00:00 GMT", 0),
        ("Sat, 21 Nov 2099 11:00:00 GMT", LONGEST_S),
        ("", None),
        ("-5", None),
        ("soon", None),
        ("1e9", None),
        ("١٢", None),
        ("Sat, 99 Nov 2026 12:01:30 GMT", None),
    ],
)
def test_seconds_and_dates_are_read_and_capped(said: str, seconds: float | None) -> None:
    assert retry_after_s({"retry-after": said}, NOW) == seconds


def test_nothing_said_is_nothing() -> None:
    assert retry_after_s({}, NOW) is None


def test_a_date_counts_from_the_answers_own_clock() -> None:
    theirs = NOW + timedelta(hours=3)
    headers = {"retry-after": format_datetime(theirs + timedelta(seconds=40), usegmt=True)}
    assert retry_after_s({**headers, "date": format_datetime(theirs, usegmt=True)}, NOW) == 40
    assert retry_after_s({**headers, "date": "yesterday"}, NOW) == 3 * 3_600 + 40


@given(st.text(max_size=60), st.text(max_size=60))
def test_whatever_is_said_is_a_bounded_wait_or_none(said: str, date: str) -> None:
    found = retry_after_s({"retry-after": said, "date": date}, NOW)
    assert found is None or 0 <= found <= LONGEST_S
