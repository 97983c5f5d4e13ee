"""The text of an item, and vectors as bytes."""

import re
from math import isclose, sqrt
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobctl.embeddings.text import LONGEST, Source, text_hash, text_of
from jobctl.embeddings.vector import as_array, as_type_vector, dimensions, floats, literal, unit


def source(**changes: Any) -> Source:
    columns: dict[str, Any] = {**dict.fromkeys(Source._fields), "name": "Sion Airport", **changes}
    return Source(**columns)


def test_text_says_what_it_is_and_where_in_words() -> None:
    item = source(
        kind="airfield",
        street="Route de l'Aéroport 5",
        city="Sion",
        region="VS",
        region_as_written="Valais",
        country="CH",
        attributes={"tz": "Europe/Zurich", "lid": "LSGS", "elevation": "1585.0", "note": "quiet", "open": True, "n": 3},
    )
    told = "Sion Airport, airfield, Route de l'Aéroport 5, Sion, Valais, Switzerland, quiet, Europe/Zurich"
    assert text_of(item) == told


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, "Sion Airport"),
        ({"city": "Sion Airport"}, "Sion Airport"),
        ({"region": "Bayern", "region_as_written": "DE-BY"}, "Sion Airport, Bayern"),
        ({"region": "埼玉県"}, "Sion Airport, 埼玉県"),
        ({"country": "BO"}, "Sion Airport, Bolivia"),
        ({"country": "ZZ"}, "Sion Airport, ZZ"),
        ({"attributes": {"b": "two", "a": "one", "c": "one"}}, "Sion Airport, one, two"),
        ({"attributes": {"code": "ABC-1", "tag": "機場"}}, "Sion Airport, 機場"),
    ],
)
def test_nothing_is_said_twice_and_codes_are_left_out(changes: dict[str, Any], told: str) -> None:
    assert text_of(source(**changes)) == told


@given(st.text(min_size=1), st.dictionaries(st.text(), st.text() | st.integers() | st.none(), max_size=5))
def test_text_is_bounded_never_empty_and_the_same_for_the_same_item(name: str, attributes: dict[str, Any]) -> None:
    item = source(name=name, attributes=attributes)
    text = text_of(item)
    assert 0 < len(text) <= LONGEST
    assert text == text_of(source(name=name, attributes=dict(reversed(attributes.items()))))
    assert text_hash(text) == text_hash(text_of(item))


def test_long_text_ends_between_two_words() -> None:
    text = text_of(source(attributes={"about": "word " * 1_000}))
    assert re.fullmatch(r"Sion Airport, (word )*word", text)
    assert LONGEST - 5 <= len(text) <= LONGEST
    assert len(text_of(source(name="x" * 5_000))) == LONGEST


# Frozen: who changes what a text is made of makes every vector stale, and says so in a migration (embeddings/text.py).
def test_hash_of_a_text_is_what_it_was() -> None:
    text = text_of(source(city="Sion", region="VS", region_as_written="Valais", country="CH"))
    assert text_hash(text).hex() == "b6e325faf08faa42a8bb0e87134b06ce"


@given(
    st.lists(st.floats(-1e3, 1e3, width=32), min_size=1, max_size=40).filter(lambda x: any(abs(v) > 1e-3 for v in x))
)
def test_vector_has_length_one_and_keeps_its_direction(numbers: list[float]) -> None:
    vector = unit(numbers)
    back = floats(vector)
    length = sqrt(sum(x * x for x in numbers))
    assert dimensions(vector) == len(back) == len(numbers)
    assert isclose(sum(x * x for x in back), 1.0, rel_tol=1e-5)
    assert all(isclose(x * length, y, rel_tol=1e-5, abs_tol=1e-4) for x, y in zip(back, numbers, strict=True))
    assert [float(x) for x in literal(vector)[1:-1].split(",")] == pytest.approx(back, rel=1e-8)


@pytest.mark.parametrize("numbers", [[0.0, 0.0], [float("inf"), 1.0], [float("nan")], []])
def test_what_is_no_direction_is_no_vector(numbers: list[float]) -> None:
    with pytest.raises(ValueError, match="no direction"):
        unit(numbers)


def test_vector_is_sent_as_postgresql_reads_it() -> None:
    vector = unit([3.0, 4.0])
    assert as_type_vector(vector).hex() == "0000000c000200003f19999a3f4ccccd"
    assert as_array(vector).hex() == (
        "000000240000000100000000000002bc0000000200000001000000043f19999a000000043f4ccccd"
    )
