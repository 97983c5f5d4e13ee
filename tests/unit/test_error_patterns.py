"""Messages of one kind of error become one pattern; what tells kinds apart stays."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobctl.monitor.queue.patterns import LONGEST_SHOWN, Failure, generalise, group

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("message", "pattern"),
    [
        ("", ""),
        ("plain words", "plain words"),
        ("item 4711 of 9,000.5 is gone", "item N of N is gone"),
        ("user-17 has 3 tasks", "user-N has N tasks"),
        ("no row 3fa85f64-5717-4562-b3fc-2c963f66afa6 here", "no row <id> here"),
        ("digest deadbeef01 is not 0x1F", "digest <hex> is not <hex>"),
        ("defaced facade 12345678", "defaced facade N"),
        ("since 2026-03-01T12:00:00.123Z, 2026-03-02 08:15+01:00 or 2026-03-03", "since <time>, <time> or <time>"),
        ("key 'a b' is not \"x\" nor `y`", "key '…' is not \"…\" nor `…`"),
        ("it can't be and isn't 5", "it can't be and isn't N"),
        ("GET https://a.example:8080/items/7?key=9 failed", "GET https://a.example:8080/… failed"),
        ("GET https://a.example failed", "GET https://a.example failed"),
        ("HTTP 503 after 12 s", "HTTP 503 after N s"),
        ("HTTP/1.1 404: 7 bytes", "HTTP/1.1 404: N bytes"),
        ("status=429, code: 17, exit 2, errno 111, 3", "status=429, code: 17, exit 2, errno 111, N"),
        ("SQLSTATE 40P01 in line 7", "SQLSTATE 40P01 in line N"),
        ("connect to 10.0.0.17:5432\n  failed", "connect to N failed"),
    ],
)  # fmt: skip
def test_what_differs_gives_way_to_a_mark(message: str, pattern: str) -> None:
    assert generalise(message) == pattern


@given(st.lists(st.sampled_from(["item", "7", "'a'", "is", "4.5", "https://a.example/x", "0xab", "HTTP 503", "–"])))
def test_a_pattern_is_its_own_pattern(words: list[str]) -> None:
    pattern = generalise(" ".join(words))
    assert generalise(pattern) == pattern


@given(st.text(), st.integers(0, 10**12), st.integers(0, 10**12))
def test_another_number_is_the_same_pattern(text: str, one: int, other: int) -> None:
    assert generalise(f"task {one} failed: {text}") == generalise(f"task {other} failed: {text}")


def test_a_long_message_is_cut() -> None:
    pattern = generalise("word " * 10_000)
    assert len(pattern) == LONGEST_SHOWN
    assert pattern.endswith("…")


def failure(message: str | None, *, failures: int = 1, minutes: int = 0, **more: object) -> Failure:
    at = NOW + timedelta(minutes=minutes)
    return Failure("crawl", "HttpError", message, failures, at, at, minutes)._replace(**more)


def test_failures_are_grouped_by_class_and_pattern_the_commonest_first() -> None:
    found = group(
        [
            failure("HTTP 503 for item 1", minutes=1),
            failure("HTTP 404 for item 1", failures=2, minutes=9),
            failure("HTTP 503 for item 2", failures=4, minutes=5, type="sync"),
            failure("HTTP 404 for item 8", error_class="Gone", minutes=3),
            failure(None, error_class=None, minutes=4),
        ]
    )
    assert [(each.error_class, each.pattern, each.failures) for each in found] == [
        ("HttpError", "HTTP 503 for item N", 5),
        ("HttpError", "HTTP 404 for item N", 2),
        ("", "", 1),
        ("Gone", "HTTP 404 for item N", 1),
    ]
    first = found[0]
    assert (first.types, first.task_id) == (("crawl", "sync"), 5)
    assert (first.first_at, first.last_at) == (NOW + timedelta(minutes=1), NOW + timedelta(minutes=5))


def test_no_failures_no_patterns() -> None:
    assert group([]) == []
