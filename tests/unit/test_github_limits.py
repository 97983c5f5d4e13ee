"""Limits as GitHub documents them, read from single answers."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobctl.github.limits import Kind, Limit, limit_of, quota_of

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECONDARY = {"message": "You have exceeded a secondary rate limit.", "documentation_url": "https://docs.github.com/"}
ACCESS = {"message": "Resource not accessible by personal access token", "documentation_url": "https://docs.github.com"}


def rate(remaining: int, reset_in_s: float, limit: int = 5000) -> dict[str, str]:
    reset = int(NOW.timestamp() + reset_in_s)
    return {
        "x-ratelimit-limit": str(limit),
        "x-ratelimit-remaining": str(remaining),
        "x-ratelimit-reset": str(reset),
    }


@pytest.mark.parametrize("status", [403, 429])
def test_retry_after_says_how_long(status: int) -> None:
    assert limit_of(status, {"retry-after": "17"}, SECONDARY, NOW) == Limit(Kind.SECONDARY, 17.0)


def test_retry_after_may_be_a_date_which_counts_from_the_answers_own() -> None:
    github = NOW - timedelta(hours=3)  # its clock is another
    headers = {
        "date": format_datetime(github, usegmt=True),
        "retry-after": format_datetime(github + timedelta(seconds=40), usegmt=True),
    }
    assert limit_of(429, headers, SECONDARY, NOW) == Limit(Kind.SECONDARY, 41.0)


@pytest.mark.parametrize("status", [403, 429])
def test_a_spent_quota_holds_until_its_reset(status: int) -> None:
    assert limit_of(status, rate(0, 900), {"message": "API rate limit exceeded"}, NOW) == Limit(Kind.PRIMARY, 901.0)


def test_a_reset_is_measured_from_the_answers_own_clock() -> None:
    headers = rate(0, 900) | {"date": format_datetime(NOW + timedelta(seconds=300), usegmt=True)}
    assert limit_of(403, headers, SECONDARY, NOW) == Limit(Kind.PRIMARY, 601.0)


def test_where_both_are_said_the_longer_counts() -> None:
    assert limit_of(403, rate(0, 900) | {"retry-after": "60"}, SECONDARY, NOW) == Limit(Kind.SECONDARY, 901.0)
    assert limit_of(403, rate(0, 10) | {"retry-after": "60"}, SECONDARY, NOW) == Limit(Kind.SECONDARY, 60.0)


@pytest.mark.parametrize(
    ("before", "wait_s"), [(0, 60.0), (1, 120.0), (2, 240.0), (5, 1920.0), (6, 3600.0), (99, 3600.0)]
)
def test_without_a_length_it_is_a_minute_and_twice_as_long_each_time(before: int, wait_s: float) -> None:
    for status in (403, 429):
        told = limit_of(status, rate(4_000, 900), SECONDARY, NOW, times_before=before)
        assert told == Limit(Kind.SECONDARY, wait_s, is_told=False)


def test_a_reset_that_is_over_says_nothing() -> None:
    """GitHub Enterprise has been seen to send 0 of 0 with an old reset."""
    assert limit_of(403, rate(0, -5), SECONDARY, NOW) == Limit(Kind.SECONDARY, 60.0, is_told=False)


def test_a_403_of_access_is_no_limit() -> None:
    assert limit_of(403, rate(4_000, 900), ACCESS, NOW) is None
    assert limit_of(403, {}, {"message": "Must have admin rights to Repository."}, NOW) is None


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({}, None),  # a page of HTML, or nothing
        ({}, []),
        ({}, {"message": None}),
        ({}, SECONDARY),
        ({}, {"message": "You have triggered an abuse detection mechanism"}),
        ({}, {"message": "Forbidden", "documentation_url": "https://docs.github.com/rest#secondary-rate-limits"}),
        ({"retry-after": "soon"}, ACCESS),
        (rate(0, 900), ACCESS),
    ],
)
def test_a_403_that_may_be_a_limit_is_never_told_as_lost_access(headers: dict[str, str], body: object) -> None:
    assert limit_of(403, headers, body, NOW) is not None


def test_graphql_says_it_with_200() -> None:
    body = {"errors": [{"type": "RATE_LIMITED", "message": "API rate limit exceeded for user ID 1."}]}
    assert limit_of(200, rate(0, 30), body, NOW) == Limit(Kind.PRIMARY, 31.0)
    assert limit_of(200, {}, body, NOW) == Limit(Kind.SECONDARY, 60.0, is_told=False)
    assert limit_of(200, rate(0, 30), {"errors": [{"type": "NOT_FOUND"}, "x"], "data": {}}, NOW) is None


@pytest.mark.parametrize("status", [200, 304, 401, 404, 451, 500, 502])
def test_other_answers_are_no_limit(status: int) -> None:
    assert limit_of(status, rate(0, 900), [], NOW) is None


def test_a_server_in_trouble_that_says_when_to_come_back_is_heeded() -> None:
    assert limit_of(503, {"retry-after": "20"}, None, NOW) == Limit(Kind.SECONDARY, 20.0)
    assert limit_of(503, {}, None, NOW) is None


def test_the_quota_of_an_answer() -> None:
    found = quota_of(rate(7, 60) | {"x-ratelimit-resource": "graphql"}, NOW)
    assert found == ("graphql", 5000, 7, 61.0)
    assert quota_of({}, NOW) is None
    assert quota_of(rate(0, 60, limit=0), NOW) is None


HEADER = st.text(alphabet=st.characters(max_codepoint=255), max_size=30)


@given(
    status=st.sampled_from([200, 403, 429, 503]),
    headers=st.fixed_dictionaries(
        {},
        optional={
            "retry-after": HEADER | st.integers(-10, 10**20).map(str),
            "date": HEADER,
            "x-ratelimit-limit": HEADER | st.just("5000"),
            "x-ratelimit-remaining": HEADER | st.just("0"),
            "x-ratelimit-reset": HEADER | st.integers(-10, 10**30).map(str),
            "x-ratelimit-resource": HEADER,
        },
    ),
    body=st.none()
    | st.dictionaries(st.sampled_from(["message", "errors"]), st.none() | st.text() | st.lists(st.none())),
    before=st.integers(0, 1_000),
)
def test_no_headers_make_it_raise_or_wait_for_nothing(
    status: int, headers: dict[str, str], body: object, before: int
) -> None:
    limit = limit_of(status, headers, body, NOW, times_before=before)
    assert limit is None or limit.wait_s >= 1
    quota_of(headers, NOW)
