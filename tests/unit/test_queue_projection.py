"""When the queue will be empty."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobctl.monitor.queue.projection import project


@pytest.mark.parametrize(
    ("due", "arrived", "left", "verdict", "empty_in_s"),
    [
        (0, 9, 1, "empty", 0.0),
        (100, 10, 20, "shrinking", 36_000.0),
        (100, 0, 100, "shrinking", 3_600.0),
        (100, 20, 10, "growing", None),
        (100, 5, 0, "growing", None),
        (100, 7, 7, "steady", None),
        (100, 0, 0, "stalled", None),
    ],
)
def test_the_backlog_of_an_hour(due: int, arrived: int, left: int, verdict: str, empty_in_s: float | None) -> None:
    found = project(due, arrived=arrived, left=left, window_s=3_600)
    assert (found.verdict, found.empty_in_s) == (verdict, empty_in_s)
    assert (found.due, found.arrived_per_minute, found.left_per_minute) == (due, arrived / 60, left / 60)


@given(st.integers(0, 10**9), st.integers(0, 10**9), st.integers(0, 10**9), st.floats(1, 10**7))
def test_a_time_is_told_exactly_when_the_queue_gets_shorter(due: int, arrived: int, left: int, window_s: float) -> None:
    found = project(due, arrived=arrived, left=left, window_s=window_s)
    assert (found.empty_in_s is not None) == (due == 0 or left > arrived)
    assert found.empty_in_s is None or found.empty_in_s >= 0
