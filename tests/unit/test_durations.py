"""Durations as an operator writes them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobctl.durations import LONGEST_S, format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("90", 90),
        ("90s", 90),
        ("55m", 3_300),
        ("2h", 7_200),
        ("1h30m", 5_400),
        (" 1 H 30 M ", 5_400),
        ("1d", 86_400),
        ("1w2d3h4m5s", 788_645),
    ],
)
def test_a_duration_is_read_as_written(text: str, seconds: int) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "m", "-5m", "5x", "5.5m", "1m1h", "1h1h", "5 minutes", "1e3", "٣m", "9" * 13, "0x10"]
)
def test_what_is_no_duration_is_refused_with_the_form_to_write(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a duration.*90s, 55m"):
        parse_duration(text)


def test_more_than_ten_years_is_refused() -> None:
    with pytest.raises(ValueError, match="more than ten years"):
        parse_duration("4000d")


@given(st.integers(0, LONGEST_S))
def test_what_is_shown_can_be_written(seconds: int) -> None:
    assert parse_duration(format_duration(seconds)) == seconds


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (0.01, "0s"),
        (0.35, "0.3s"),
        (2.44, "2.4s"),
        (59.6, "1m"),
        (3_300, "55m"),
        (90_061, "1d1h1m1s"),
        (-60, "-1m"),
    ],
)
def test_a_duration_is_shown_shortly(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text
