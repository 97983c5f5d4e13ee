"""When a type counts as down, when its failures rise, and what is told of it."""

import random
import secrets

import pytest

from jobctl.queue.causes import causes
from jobctl.queue.rates import Failing, TypeTries, is_down, is_rising, rising


@pytest.mark.parametrize(
    ("tries", "failed", "down"),
    [(0, 0, False), (4, 4, False), (5, 5, True), (5, 3, True), (10, 5, False), (10, 6, True), (1_000, 501, True)],
)
def test_a_type_is_down_when_more_than_the_share_of_enough_tries_failed(tries: int, failed: int, down: bool) -> None:
    assert is_down(TypeTries("crawl", tries, failed, 0, 0), 0.5) is down


@pytest.mark.parametrize(
    ("tries", "failed", "tries_before", "failed_before", "rises"),
    [
        (19, 19, 1_000, 0, False),  # too few in the hour
        (20, 20, 19, 0, False),  # too few before it
        (20, 20, 20, 0, True),
        (20, 2, 1_000, 0, True),  # ten points, from none at all
        (20, 1, 1_000, 0, False),
        (100, 19, 1_000, 100, False),  # from 10 to 19 %: less than ten points
        (100, 20, 1_000, 100, True),  # ten points, and more than chance gives (10 + 3 x 3)
        (20, 6, 1_000, 100, False),  # from 10 to 30 % of few: chance gives up to 2 + 3 x 1.3
        (20, 7, 1_000, 100, True),
        (1_000, 550, 10_000, 5_000, False),  # significant, but not ten points
        (1_000, 600, 10_000, 5_000, True),
        (1_000, 100, 10_000, 5_000, False),  # it falls
        (1_000, 1_000, 10_000, 10_000, False),  # as bad as ever
    ],
)
def test_a_rate_rises_by_ten_points_and_by_more_than_chance(
    tries: int, failed: int, tries_before: int, failed_before: int, rises: bool
) -> None:
    assert is_rising(TypeTries("crawl", tries, failed, tries_before, failed_before)) is rises


def test_a_steady_rate_seldom_alarms() -> None:
    seed = secrets.randbelow(1 << 32)
    print(f"seed {seed}")
    rng = random.Random(seed)

    def steady() -> TypeTries:
        tries, share = rng.randint(20, 200), rng.uniform(0.01, 0.4)
        failed = sum(rng.random() < share for _ in range(tries))
        return TypeTries("crawl", tries, failed, 24 * tries, round(24 * tries * share))

    assert sum(is_rising(steady()) for _ in range(2_000)) < 40  # 2 %; by chance about 10 of 2,000


def test_the_types_that_rise_come_with_the_most_failures_first() -> None:
    rates = [TypeTries(name, 100, failed, 1_000, 10) for name, failed in (("a", 30), ("b", 90), ("c", 1), ("d", 30))]
    assert [rate.type for rate in rising(rates)] == ["b", "a", "d"]


def test_as_many_failures_as_the_limit_are_no_cause() -> None:
    assert causes([Failing("crawl", "Timeout", 10)], [], most_failures=10) == []


def test_too_many_failures_are_one_cause_that_names_the_kinds() -> None:
    failing = [Failing("crawl", "Timeout", 40), *(Failing("http", f"E{n}", 2) for n in range(6))]
    (cause,) = causes(failing, [], most_failures=10)
    assert (cause.name, cause.about) == ("TaskFailures", "")
    assert cause.message == (
        "52 tasks failed in the last hour and have not succeeded since, more than 10: "
        "crawl Timeout (40), http E0 (2), http E1 (2), http E2 (2), http E3 (2), others (4)"
    )


def test_each_type_that_rises_is_a_cause_of_its_own_ten_at_most() -> None:
    rates = [TypeTries(f"t{n:02}", 100, 90, 1_000, 0) for n in range(12)]
    found = causes([], rates, most_failures=10)
    assert [(cause.name, cause.about) for cause in found] == [("FailureRate", f"t{n:02}") for n in range(10)]
    assert found[0].message == ("90% of the last hour's tries of t00 failed (90 of 100), and 0% in the 24 hours before")
