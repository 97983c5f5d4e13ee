"""Pauses between tries."""

from hypothesis import given
from hypothesis import strategies as st

from jobctl.queue.backoff import ceiling_s, pause_s

seconds = st.floats(min_value=0.001, max_value=1e6, allow_nan=False)


def test_the_ceiling_doubles_with_each_failed_try_up_to_the_cap() -> None:
    assert [ceiling_s(tries, base_s=15, cap_s=100) for tries in (1, 2, 3, 4, 5)] == [15, 30, 60, 100, 100]


@given(tries=st.integers(-5, 10_000), base=seconds, cap=seconds, share=st.floats(0, 1))
def test_a_pause_is_between_nothing_and_the_cap(tries: int, base: float, cap: float, share: float) -> None:
    assert 0 <= pause_s(tries, base_s=base, cap_s=cap, share=share) <= cap


@given(tries=st.integers(1, 100), base=seconds, cap=seconds)
def test_the_whole_pause_is_drawn(tries: int, base: float, cap: float) -> None:
    assert pause_s(tries, base_s=base, cap_s=cap, share=0.0) == 0
    assert pause_s(tries, base_s=base, cap_s=cap, share=1.0) == ceiling_s(tries, base_s=base, cap_s=cap)


@given(tries=st.integers(1, 1_000), base=seconds, cap=seconds)
def test_a_later_try_never_has_a_lower_ceiling(tries: int, base: float, cap: float) -> None:
    assert ceiling_s(tries, base_s=base, cap_s=cap) <= ceiling_s(tries + 1, base_s=base, cap_s=cap)
