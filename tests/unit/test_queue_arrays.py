"""Arrays in PostgreSQL's own words."""

from jobctl.queue import arrays


def test_numbers() -> None:
    assert arrays.of_numbers([1, -2]) == "{1,-2}"
    assert arrays.of_numbers([1, None]) == "{1,NULL}"
    assert arrays.of_numbers([None, None]) == "{}"
    assert arrays.of_numbers([]) == "{}"


def test_texts() -> None:
    assert arrays.of_texts(["a b", "{,}", ""]) == '{"a b","{,}",""}'
    assert arrays.of_texts(['a","b', "\\"]) == '{"a\\",\\"b","\\\\"}'
    assert arrays.of_texts(['"', "NULL"]) == '{"\\"","NULL"}'
    assert arrays.of_texts([None, "NULL"]) == '{NULL,"NULL"}'
    assert arrays.of_texts([None, None]) == "{}"
    assert arrays.of_texts([]) == "{}"
