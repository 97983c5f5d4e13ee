"""What becomes of a raw record: its values, or one reason for which it is refused."""

import json
import math
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobctl.errors import DataError
from jobctl.items.normalise.coordinates import fault_of
from jobctl.items.record import Reason, Rejection, Valid, Validator, compile_field_map

MAP = {
    "record_id": "id",
    "name": "title",
    "city": "address.city",
    "postal_code": "zip",
    "country": "country",
    "latitude": "lat",
    "longitude": "lon",
    "url": "web",
    "updated_at": "changed",
    "attributes.iata": "iata",
    "attributes.open": "open",
}
validator = compile_field_map(MAP)


def text_of(**fields: object) -> str:
    return json.dumps({"id": "1", "title": "Café", **fields}, ensure_ascii=False)


def accepted(payload: str) -> Valid:
    result = validator.validate(payload)
    assert isinstance(result, Valid), result
    return result


def refused(payload: str) -> Rejection:
    result = validator.validate(payload)
    assert isinstance(result, Rejection), result
    assert_presentable(result)
    return result


def assert_presentable(rejection: Rejection) -> None:
    assert len(rejection.detail) <= 300
    assert rejection.detail.isascii() and rejection.detail.isprintable()
    assert rejection.reason in set(Reason)


# what is accepted


def test_a_record_gives_its_mapped_values() -> None:
    valid = accepted(
        text_of(
            address={"city": " Paris "},
            zip=75001,
            lat=48,
            lon="2.35",
            changed="2026-02-03T04:05:06+02:00",
            iata="CDG",
            open=True,
            other=[1],
        )
    )
    assert valid == Valid(
        record_id="1",
        name="Café",
        kind=None,
        street=None,
        street2=None,
        city="Paris",
        region=None,
        postal_code="75001",
        country=None,
        latitude=48.0,
        longitude=2.35,
        url=None,
        source_updated_at=datetime(2026, 2, 3, 2, 5, 6, tzinfo=UTC),
        attributes={"iata": "CDG", "open": True},
        plain=True,
    )
    assert isinstance(valid.latitude, float)


def test_null_and_empty_text_mean_absent() -> None:
    for nothing in (None, "", "  "):
        valid = accepted(
            text_of(address={"city": nothing}, zip=nothing, country=nothing, lat=nothing, lon=nothing, web=nothing,
                    changed=nothing, iata=nothing, open=nothing)
        )  # fmt: skip
        assert valid[2:14] == (None,) * 12


@pytest.mark.parametrize("address", [None, 1, "Paris", [{"city": "Paris"}], {}, {"town": "Paris"}])
def test_a_path_that_leads_nowhere_means_absent(address: object) -> None:
    assert accepted(text_of(address=address)).city is None


def test_a_member_with_dots_in_its_name_goes_before_the_path() -> None:
    assert accepted(text_of(**{"address.city": "Lyon"})).city == "Lyon"
    assert accepted(text_of(**{"address.city": "Lyon", "address": {"city": "Paris"}})).city == "Lyon"


@pytest.mark.parametrize(
    ("given", "record_id"), [(7, "7"), ("7", "7"), (" x ", "x"), (-3, "-3"), (10**199, "1" + "0" * 199)]
)
def test_a_record_id_is_a_text_or_a_whole_number(given: object, record_id: str) -> None:
    assert accepted(text_of(id=given)).record_id == record_id
    assert validator.key_of(text_of(id=given)) == record_id


@pytest.mark.parametrize(
    ("given", "moment"),
    [
        ("2026-02-28", datetime(2026, 2, 28, tzinfo=UTC)),
        ("2026-02-28 23:30:00", datetime(2026, 2, 28, 23, 30, tzinfo=UTC)),
        ("2026-02-28T23:30:00Z", datetime(2026, 2, 28, 23, 30, tzinfo=UTC)),
        ("2026-02-28T23:30:00.5-01:00", datetime(2026, 3, 1, 0, 30, 0, 500_000, tzinfo=UTC)),
        ("2024-02-29", datetime(2024, 2, 29, tzinfo=UTC)),
    ],
)
def test_a_date_becomes_a_moment_in_utc(given: str, moment: datetime) -> None:
    updated = accepted(text_of(changed=given)).source_updated_at
    assert updated == moment
    assert updated is not None and updated.tzinfo is UTC


def test_constants_fill_their_fields() -> None:
    constant = compile_field_map(
        {"record_id": "id", "name": "n", "country": "=US", "kind": "= airport ", "attributes.src": "=faa"}
    )
    valid = constant.validate('{"id": 1, "n": "x", "country": "DE", "=US": "FR", "kind": 3}')
    assert isinstance(valid, Valid)
    assert (valid.country, valid.kind, valid.attributes) == ("US", "airport", {"src": "faa"})


def test_what_is_not_mapped_may_be_as_broken_as_it_likes() -> None:
    for broken in (
        r'"\u0000"',
        r'"\ud800"',
        "NaN",
        "-Infinity",
        "1e999",
        "9" * 5_000,
        "[" * 150 + "]" * 150,
        '{"\\udfff": 1}',
    ):
        valid = accepted('{"id": 1, "title": "Caf\\u00e9", "lat": 1, "lon": 2.5, "iata": "X", "junk": ' + broken + "}")
        assert (valid.record_id, valid.name, valid.latitude, valid.attributes) == ("1", "Café", 1.0, {"iata": "X"})
        assert isinstance(valid.latitude, float)


def test_plain_is_said_only_of_clean_text() -> None:
    assert accepted(text_of(title="São Paulo")).plain
    for title in ("a  b", "a\u200bb", "a\u00a0b", "e\u0301", "a\tb", 'a"b', "a\x7fb"):
        assert not accepted(text_of(title=title)).plain
    assert accepted(text_of(title="a").replace(", ", ",\n\t")).plain, "between its members a text may be laid out"
    odd = compile_field_map({"record_id": "id", "name": "title", "kind": "=a\u00a0b"})
    result = odd.validate(text_of())
    assert isinstance(result, Valid) and not result.plain


# what is refused


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        ("", "invalid_json"),
        ("{", "invalid_json"),
        ("nonsense", "invalid_json"),
        ('{"id": 1, "title": "x"} x', "invalid_json"),
        ('{"id": 1, "title": "a\0b"}', "invalid_json"),
        ('{"id": 01, "title": "x"}', "invalid_json"),
        ("\ufeff{}", "invalid_json"),
        ("[1]", "not_an_object"),
        ("null", "not_an_object"),
        ('"text"', "not_an_object"),
        ("9" * 5_000, "not_an_object"),
        ("[" * 10_000 + "]" * 10_000, "nested_too_deep"),
        ("[" * 10_000, "nested_too_deep"),
        ('{"a":' * 10_000 + "1" + "}" * 10_000, "nested_too_deep"),
        ('{"id": 1, "title": "x", "junk": ' + "[" * 10_000 + "]" * 10_000 + "}", "nested_too_deep"),
        ('{"id": 1, "title": "' + "x" * 30_000_000 + '"}', "too_large"),
    ],
)  # fmt: skip
def test_a_text_that_holds_no_record_is_refused_as_a_whole(payload: str, reason: str) -> None:
    rejection = refused(payload)
    assert (rejection.reason, rejection.field) == (reason, "")
    assert validator.key_of(payload) is None


def test_the_depth_that_is_too_deep_does_not_hang_on_how_deep_python_s_own_stack_is() -> None:
    deep, fair = "[" * 300 + "]" * 300, "[" * 190 + "]" * 190
    assert refused('{"id": 1, "title": "x", "junk": ' + deep + "}").reason == "nested_too_deep"
    assert refused(r'{"id": 1, "title": "x", "more": "\ud800", "junk": ' + deep + "}").reason == "nested_too_deep"
    assert accepted(r'{"id": 1, "title": "x", "more": "\ud800", "junk": ' + fair + "}").name == "x"


def test_brackets_inside_strings_are_not_nesting() -> None:
    assert accepted('{"id": 1, "title": "' + "[" * 400 + r'\"{", "junk": "\ud800"}').name == "[" * 400 + '"{'


def test_a_string_that_nothing_ends_does_not_take_quadratic_time() -> None:
    """Nothing is asserted on time: tried again from each quote, this text takes a quarter of an hour and is noticed."""
    assert refused("[" + "[]," * 400 + '"' + '\\"' * 400_000).reason == "invalid_json"


@pytest.mark.parametrize(
    ("member", "reason", "field"),
    [
        ('"id": null', "empty_field", "record_id"),
        ('"id": ""', "empty_field", "record_id"),
        ('"id": " \\u00a0 "', "empty_field", "record_id"),
        ('"id": "\\u200b"', "empty_field", "record_id"),
        ('"id": true', "wrong_type", "record_id"),
        ('"id": 1.5', "wrong_type", "record_id"),
        ('"id": [1]', "wrong_type", "record_id"),
        ('"id": {}', "wrong_type", "record_id"),
        ('"id": NaN', "not_finite", "record_id"),
        ('"id": "' + "x" * 201 + '"', "too_long", "record_id"),
        ('"id": 1' + "0" * 200, "number_too_large", "record_id"),
        ('"id": ' + "9" * 5_000, "number_too_large", "record_id"),
        ('"id": "a\\u0000b"', "nul_character", "record_id"),
        ('"id": "a\\ud800b"', "lone_surrogate", "record_id"),
        ('"title": null', "empty_field", "name"),
        ('"title": "  "', "empty_field", "name"),
        ('"title": "\\u200b\\u202e"', "empty_field", "name"),
        ('"title": 5', "wrong_type", "name"),
        ('"title": ["x"]', "wrong_type", "name"),
        ('"title": "' + "x" * 501 + '"', "too_long", "name"),
        ('"title": "' + "x" * 900_000 + '"', "too_long", "name"),
        ('"title": "\\u0000"', "nul_character", "name"),
        ('"title": "\\udc00\\ud800"', "lone_surrogate", "name"),
        ('"address": {"city": ["x"]}', "wrong_type", "city"),
        ('"address": {"city": "\\u0000"}', "nul_character", "city"),
        ('"zip": 1.5', "wrong_type", "postal_code"),
        ('"zip": 1' + "0" * 41, "number_too_large", "postal_code"),
        ('"lat": "north", "lon": 1', "wrong_type", "latitude"),
        ('"lat": "51,5", "lon": 1', "wrong_type", "latitude"),
        ('"lat": "5_1", "lon": 1', "wrong_type", "latitude"),
        ('"lat": "\u0665", "lon": 1', "wrong_type", "latitude"),
        ('"lat": true, "lon": 1', "wrong_type", "latitude"),
        ('"lat": [1], "lon": 1', "wrong_type", "latitude"),
        ('"lat": NaN, "lon": 1', "not_finite", "latitude"),
        ('"lat": 1, "lon": -Infinity', "not_finite", "longitude"),
        ('"lat": "nan", "lon": 1', "not_finite", "latitude"),
        ('"lat": 1, "lon": "-inf"', "not_finite", "longitude"),
        ('"lat": 1e999, "lon": 1', "not_finite", "latitude"),
        ('"lat": "1e999", "lon": 1', "not_finite", "latitude"),
        ('"lat": ' + "9" * 5_000 + ', "lon": 1', "number_too_large", "latitude"),
        ('"lat": "' + "9" * 5_000 + '", "lon": 1', "too_long", "latitude"),
        ('"lat": 95, "lon": 120', "coordinate_out_of_range", "latitude"),
        ('"lat": "95", "lon": "120"', "coordinate_out_of_range", "latitude"),
        ('"lat": 200, "lon": 1', "coordinate_out_of_range", "latitude"),
        ('"lat": 1, "lon": 181', "coordinate_out_of_range", "longitude"),
        ('"lat": 139.7, "lon": 35.7', "coordinates_swapped", "latitude"),
        ('"lat": -122.4, "lon": 37.8', "coordinates_swapped", "latitude"),
        ('"lat": 1', "coordinates_incomplete", "longitude"),
        ('"lat": "", "lon": 0', "coordinates_incomplete", "latitude"),
        ('"changed": "2026-02-30"', "no_such_date", "updated_at"),
        ('"changed": "2025-02-29T10:00:00Z"', "no_such_date", "updated_at"),
        ('"changed": "2026-01-01T25:00:00"', "no_such_date", "updated_at"),
        ('"changed": "0001-01-01T00:00:00+14:00"', "no_such_date", "updated_at"),
        ('"changed": "yesterday"', "not_a_date", "updated_at"),
        ('"changed": "02/03/2026"', "not_a_date", "updated_at"),
        ('"changed": 1767225600', "wrong_type", "updated_at"),
        ('"iata": ["x"]', "wrong_type", "attributes.iata"),
        ('"iata": {}', "wrong_type", "attributes.iata"),
        ('"iata": NaN', "not_finite", "attributes.iata"),
        ('"iata": 1' + "0" * 309, "number_too_large", "attributes.iata"),
        ('"iata": ' + "9" * 5_000, "number_too_large", "attributes.iata"),
        ('"iata": "' + "x" * 2_001 + '"', "too_long", "attributes.iata"),
        ('"iata": "\\u0000"', "nul_character", "attributes.iata"),
        ('"iata": "\\udfff"', "lone_surrogate", "attributes.iata"),
    ],
)  # fmt: skip
def test_a_value_that_cannot_be_is_refused_with_its_reason_and_field(member: str, reason: str, field: str) -> None:
    name = member.partition(":")[0]
    rest = [other for other in ('"id": "1"', '"title": "x"') if not other.startswith(name)]
    rejection = refused("{" + ", ".join([*rest, member]) + "}")
    assert (rejection.reason, rejection.field) == (reason, field)


def test_a_missing_required_member_is_told_from_an_empty_one() -> None:
    assert refused('{"title": "x"}')[:2] == ("missing_field", "record_id")
    assert refused('{"id": 1}')[:2] == ("missing_field", "name")
    assert refused('{"id": 1, "junk": "\\ud800"}')[:2] == ("missing_field", "name")


def test_a_broken_value_beside_a_good_id_leaves_the_key_readable() -> None:
    assert validator.key_of('{"id": " A1 ", "title": "\\ud800", "lat": NaN, "junk": ' + "9" * 5_000 + "}") == "A1"


# for any text at all

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None)),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)
near_misses = st.fixed_dictionaries(
    {"id": json_values | st.just("1"), "title": json_values | st.just("x")},
    optional={
        "address": st.fixed_dictionaries({"city": json_values}) | json_values,
        "zip": json_values,
        "lat": json_values | st.floats(-200, 200),
        "lon": json_values | st.floats(-200, 200),
        "changed": json_values | st.dates().map(str) | st.datetimes().map(str),
        "iata": json_values,
        "open": json_values,
        "junk": json_values,
    },
)


@given(st.text() | st.text(st.characters(codec=None)) | st.text('{}[]":,\\u0d8e123 ', max_size=40))
@settings(max_examples=200, deadline=None, print_blob=True)
def test_no_text_makes_it_raise(payload: str) -> None:
    result = validator.validate(payload)
    if isinstance(result, Rejection):
        assert_presentable(result)
    validator.key_of(payload)
    validator.missing_in([payload])


@given(near_misses, st.booleans())
@settings(max_examples=250, deadline=None, print_blob=True)
def test_no_json_makes_it_raise_and_what_it_accepts_is_storable(record: dict[str, object], ascii_only: bool) -> None:
    payload = json.dumps(record, ensure_ascii=ascii_only)
    result = validator.validate(payload)
    key = validator.key_of(payload)
    if isinstance(result, Rejection):
        assert_presentable(result)
        assert (key is None) or result.field != "record_id"
        return
    assert result.record_id == key
    for value in (*result, *(result.attributes or {}).values()):
        if isinstance(value, str):
            assert value and "\0" not in value
            value.encode()
        if isinstance(value, float):
            assert math.isfinite(value)
    if result.latitude is not None and result.longitude is not None:
        assert fault_of(result.latitude, result.longitude) is None


@given(near_misses)
@settings(max_examples=200, deadline=None, print_blob=True)
def test_the_second_look_judges_as_the_first(record: dict[str, object]) -> None:
    # A lone surrogate beside the mapped members forces Python's reader; the judgement must not depend on it.
    payload = json.dumps({**record, "junk": 0})
    forced = json.dumps({**record, "junk": "\ud800"})
    first, second = validator.validate(payload), validator.validate(forced)
    assert first[:2] == second[:2]
    if isinstance(first, Valid) and isinstance(second, Valid):
        assert repr(first[:14]) == repr(second[:14])


# field maps


def test_every_fault_of_a_field_map_is_named_at_once() -> None:
    with pytest.raises(DataError) as caught:
        compile_field_map(
            {
                "nmae": "name",
                "city": "address..city",
                "kind": "",
                "country": "=",
                "latitude": "=1",
                "attributes.": "x",
                "attributes.a b": "x",
                "region": "a\0b",
                "street": "=" + "x" * 501,
            }
        )
    fields = ["'nmae'", "city", "kind", "country", "latitude", "'attributes.'", "'attributes.a b'", "region", "street"]
    for told in (*fields, "record_id is required", "name is required"):
        assert told in caught.value.message
    assert "=US" in caught.value.hint


def test_a_record_id_or_name_cannot_be_a_constant() -> None:
    with pytest.raises(DataError, match=r"record_id cannot be a constant; name cannot be a constant"):
        compile_field_map({"record_id": "=1", "name": "=x"})


def test_source_fields_are_the_top_level_names_without_constants() -> None:
    mapped = compile_field_map({"record_id": "id", "name": "a.b", "city": "a.c", "country": "=US"})
    assert mapped.source_fields == ("id", "a")


def test_missing_in_names_the_paths_no_record_of_the_sample_has() -> None:
    sample = [
        "{",
        '{"id": 1, "address": {"town": 2}}',
        '{"title": null, "lat": 1, "lon": 2, "zip": 3, "country": 4, "web": 5}',
    ]
    assert validator.missing_in(sample) == ("address.city", "changed", "iata", "open")
    assert validator.missing_in(['{"address.city": 1}'])[:3] == ("id", "title", "zip")
    assert "id" in validator.missing_in([])


def test_the_size_a_record_may_have_can_be_set() -> None:
    small: Validator = compile_field_map({"record_id": "id", "name": "n"}, max_payload_chars=20)
    assert isinstance(small.validate('{"id":1,"n":"x"}'), Valid)
    result = small.validate('{"id":1,"n":"x","more":1}')
    assert isinstance(result, Rejection) and result.reason == "too_large"
