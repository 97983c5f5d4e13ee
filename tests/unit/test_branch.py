"""What may define a branch, and what is said about what may not."""

from datetime import timedelta
from typing import Any

import pytest

from jobctl.branches.branch import Definition, parse_field_map, parse_freshness, unknown_branch
from jobctl.errors import UsageError


@pytest.mark.parametrize("slug", ["a", "7", "airports-eu", "a" * 63])
def test_a_slug_is_letters_digits_and_hyphens(slug: str) -> None:
    assert Definition(slug, "x", {"record_id": "id"}).slug == slug


@pytest.mark.parametrize("slug", ["", "-a", "A", "a b", "a_b", "ä", "a" * 64, "a\n", "../a"])
def test_any_other_slug_is_refused_with_an_example(slug: str) -> None:
    with pytest.raises(UsageError) as raised:
        Definition(slug, "x", {"record_id": "id"})
    assert "airports-eu" in raised.value.hint


@pytest.mark.parametrize(
    "wrong",
    [
        {"title": " "},
        {"title": "a\x1b[31m"},
        {"title": "x" * 201},
        {"field_map": {}},
        {"field_map": {"name": "name"}},
        {"field_map": {"record_id": "id", "name": ""}},
        {"field_map": {"record_id": "id", "name": "a\0"}},
        {"default_country": "de"},
        {"default_country": "DEU"},
        {"expected_freshness": timedelta(0)},
        {"max_withdraw_share": 1.1},
        {"max_withdraw_share": -0.1},
        {"max_withdraw_share": float("nan")},
    ],
)
def test_a_wrong_definition_is_refused_with_the_way_out(wrong: dict[str, Any]) -> None:
    right: dict[str, Any] = {"slug": "a", "title": "A", "field_map": {"record_id": "id"}}
    with pytest.raises(UsageError) as raised:
        Definition(**(right | wrong))
    assert raised.value.hint


def test_a_field_map_is_read_from_words() -> None:
    words = ["record_id=id", " name = title ", "country==DE", "city=a.b", "kind="]
    assert parse_field_map(words) == {
        "record_id": "id",
        "name": "title",
        "country": "=DE",
        "city": "a.b",
        "kind": "",
    }


@pytest.mark.parametrize("words", [["name"], ["=title"], ["name=a", "name=b"]])
def test_words_that_map_nothing_are_refused(words: list[str]) -> None:
    with pytest.raises(UsageError):
        parse_field_map(words)


def test_freshness_is_a_duration() -> None:
    assert parse_freshness("1d12h") == timedelta(hours=36)
    with pytest.raises(UsageError, match="is not a duration"):
        parse_freshness("daily")


def test_the_nearest_slugs_are_named_and_no_far_ones() -> None:
    known = ["airports", "airlines", "shops"]
    assert "did you mean airports" in unknown_branch("airprots", known).hint
    assert "did you mean shops?" in unknown_branch("hop", known).hint
    assert "did you mean" not in unknown_branch("zzz", known).hint
    assert "did you mean" not in unknown_branch("", known).hint
