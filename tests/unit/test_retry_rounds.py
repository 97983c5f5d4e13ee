"""Who gets another round of tries, how many at a time, and when they come back."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from jobctl.queue import rounds

TYPES = st.dictionaries(st.sampled_from("abcdefgh"), st.integers(1, 20_000))
DRAWS = st.lists(st.floats(0, 1, exclude_max=True), max_size=300)


def test_a_task_has_its_tries_once_and_as_many_with_each_round() -> None:
    assert [rounds.tries_allowed(5, n) for n in (0, 1, 3)] == [5, 10, 20]


@given(failed=TYPES, down=st.sets(st.sampled_from("abcdefgh")), limit=st.integers(0, 10_000))
def test_quotas_keep_to_what_there_is_to_the_limit_and_to_the_probe(
    failed: dict[str, int], down: set[str], limit: int
) -> None:
    granted = rounds.quotas(failed, down, limit)
    assert granted.keys() == failed.keys()
    assert all(0 <= granted[type_] <= failed[type_] for type_ in failed)
    assert all(granted[type_] == min(failed[type_], rounds.PROBE) for type_ in failed if type_ in down)
    others = [type_ for type_ in failed if type_ not in down]
    assert sum(granted[type_] for type_ in others) == min(limit, sum(failed[type_] for type_ in others))
    cut = [granted[type_] for type_ in others if granted[type_] < failed[type_]]
    assert not cut or max(granted[type_] for type_ in others) - min(cut) <= 1, "nobody has more than one that is cut"


def test_a_type_with_many_takes_nothing_from_one_with_few() -> None:
    assert rounds.quotas({"crawl": 90_000, "mail": 7, "http": 800}, {"http"}, 5_000) == {
        "crawl": 4_993,
        "mail": 7,
        "http": 5,
    }


@given(draws=DRAWS)
def test_a_round_is_spread_over_the_hour_each_task_in_a_part_of_its_own(draws: list[float]) -> None:
    waits = rounds.spread(3_600, draws)
    assert len(waits) == len(draws) and waits == sorted(waits)
    for place, wait in enumerate(waits):
        part = 3_600 / len(draws)
        assert place * part <= wait <= (place + 1) * part


def test_no_second_of_the_hour_is_busy() -> None:
    waits = rounds.spread(3_600, [0.999999, 0.0] * 5_000)
    assert max(Counter(int(wait) for wait in waits).values()) <= 3 * 10_000 / 3_600 + 1


def test_probes_go_soon_and_the_others_over_the_hour() -> None:
    waits = rounds.delays(["down", "up", "down", "up"], {"down"}, [0.5] * 4)
    assert waits == [150.0, 900.0, 450.0, 2_700.0]


def test_nothing_to_spread_is_nothing() -> None:
    assert rounds.delays([], {"down"}, []) == []
