"""Answers read as if a stranger had sent them."""

from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobctl.github import reading
from jobctl.github.failures import BadAnswer


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"<!DOCTYPE html><html>", "is HTML"),
        (b'[{"id": 1', "is no JSON"),
        (b'{"id": ' + b"9" * 5_000 + b"}", "is no JSON"),
        (b"[" * 10_000 + b"]" * 10_000, "is no JSON"),
        (b'{"a": ' * 10_000 + b"1" + b"}" * 10_000, "is no JSON"),
        (b'{"a": "\xff"}', "is no JSON"),
        (b'{"a": "\\ud800"}', "is no JSON"),
        (b'{"a": NaN}', "is no JSON"),
        (b'{"a": 1}{', "is no JSON"),
    ],
)
def test_what_is_no_json_is_a_bad_answer_that_says_so_in_a_line(body: bytes, told: str) -> None:
    with pytest.raises(BadAnswer) as raised:
        reading.read_json(body, "/repos/o/r")
    assert raised.value.message.startswith("/repos/o/r: the answer")
    assert told in raised.value.message
    assert len(raised.value.message) < 200
    assert raised.value.message.isprintable()


@given(st.binary(max_size=200) | st.text().map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_no_bytes_raise_anything_else(body: bytes) -> None:
    with suppress(BadAnswer):
        reading.read_json(body, "x")


@pytest.mark.parametrize("value", [None, "", "x", 7, 1.5, True, [], {}, "9" * 5_000])
@pytest.mark.parametrize(
    "read", [reading.text, reading.whole, reading.flag, reading.moment, reading.inner], ids=lambda read: read.__name__
)
def test_a_value_of_another_type_is_a_bad_answer_that_names_its_place(read: Any, value: object) -> None:
    right = {"text": str, "whole": int, "flag": bool, "inner": dict}.get(read.__name__)
    if right is not None and type(value) is right and value != "":
        assert read({"a": value}, "a", "issue") == value
        return
    with pytest.raises(BadAnswer, match=r"^issue\.a: "):
        read({"a": value}, "a", "issue")


def test_a_number_that_no_bigint_holds_is_a_bad_answer() -> None:
    assert reading.whole({"id": 2**63 - 1}, "id", "issue") == 2**63 - 1
    for number in (2**63, -(2**63) - 1, 10**400):
        with pytest.raises(BadAnswer):
            reading.whole({"id": number}, "id", "issue")


def test_what_may_be_missing_is_none() -> None:
    of: dict[str, Any] = {"empty": "", "null": None}
    assert reading.text_or_none(of, "empty", "x") is None
    assert reading.text_or_none(of, "none", "x") is None
    assert reading.whole_or_none(of, "null", "x") is None
    assert reading.flag_or_none(of, "null", "x") is None
    assert reading.moment_or_none(of, "null", "x") is None
    assert reading.inner_or_none(of, "null", "x") is None


def test_a_nul_which_postgresql_keeps_nowhere_is_replaced() -> None:
    assert reading.text({"title": "a\0b"}, "title", "x") == "a�b"


@pytest.mark.parametrize(
    "text",
    ["2026-02-30T00:00:00Z", "2026-01-01", "yesterday", "2026-01-01T00:00:00", "0000-01-01T00:00:00Z", "9" * 400],
)
def test_what_is_no_time_is_a_bad_answer(text: str) -> None:
    with pytest.raises(BadAnswer):
        reading.moment({"at": text}, "at", "x")


def test_a_time_comes_in_utc() -> None:
    for text in ("2026-01-01T02:00:00Z", "2026-01-01T03:00:00+01:00", "2026-01-01T02:00:00.000Z"):
        assert reading.moment({"at": text}, "at", "x") == datetime(2026, 1, 1, 2, tzinfo=UTC)


def test_lists_and_objects_where_they_are_due() -> None:
    assert reading.objects_of([{"a": 1}], "issues") == [{"a": 1}]
    for value in ({"items": 7}, [7], None, "x"):
        with pytest.raises(BadAnswer):
            reading.objects_of(value, "issues")


def test_what_github_said_is_one_line_without_control_characters() -> None:
    told = reading.said({"message": "bad\n\x1b[31m" + "x" * 1_000})
    assert len(told) <= 200
    assert told.isprintable()
    assert reading.said(None) == reading.said([]) == reading.said({"message": 7}) == ""
