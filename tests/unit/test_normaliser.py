"""Valid records become items: golden addresses, and what holds of every record."""

import json
from typing import Any, cast
from unicodedata import category

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from jobctl.items.copy_text import content_hash, item_text
from jobctl.items.item import Item
from jobctl.items.normalise import normaliser
from jobctl.items.normalise.normaliser import Normaliser
from jobctl.items.record import Valid, compile_field_map

NAMES = (
    "kind",
    "street",
    "street2",
    "city",
    "region",
    "postal_code",
    "country",
    "latitude",
    "longitude",
    "url",
    "updated_at",
)
validator = compile_field_map(
    {
        "record_id": "record_id",
        "name": "name",
        "attributes.a": "a",
        "attributes.b": "b",
        **{name: name for name in NAMES},
    }
)


def valid_of(fields: dict[str, object], *, ascii_only: bool = False) -> Valid:
    result = validator.validate(json.dumps({"record_id": "1", "name": "x", **fields}, ensure_ascii=ascii_only))
    assert isinstance(result, Valid), result
    return result


def item_of(default_country: str | None = None, **fields: object) -> Item:
    return Normaliser(default_country, 8)(valid_of(fields))


def derived(item: Item) -> dict[str, list[object]]:
    return json.loads(item.derived_json) if item.derived_json else {}


# street, city, region, postal code, country as given -> city, region, postal code, country; derived methods
GOLDEN = [
    (
        ("1600 Amphitheatre Pkwy", "Mountain View", "California", "94043", "United States"),
        ("Mountain View", "CA", "94043", "US"),
        {"country": ["United States", "name", 1.0], "region": ["California", "name", 1.0]},
    ),
    (
        ("10 Downing Street", "London", "", "sw1a2aa", "UK"),
        ("London", None, "SW1A 2AA", "GB"),
        {"country": ["UK", "alias", 0.9], "postal_code": ["sw1a2aa", "format", 1.0]},
    ),
    (
        ("Platz der Republik 1", "Berlin", "", "11011", "Deutschland"),
        ("Berlin", None, "11011", "DE"),
        {"country": ["Deutschland", "local_name", 0.9]},
    ),
    (
        ("Rue de Rivoli", "Paris", "Île-de-France", "75001", "FRA"),
        ("Paris", "Île-de-France", "75001", "FR"),
        {"country": ["FRA", "alpha3", 1.0]},
    ),
    (
        ("芝公園4丁目2-8", "港区", "Tokyo", "〒105-0011", "日本"),
        ("港区", "東京都", "105-0011", "JP"),
        {
            "country": ["日本", "local_name", 0.9],
            "region": ["Tokyo", "name", 1.0],
            "postal_code": ["〒105-0011", "format", 1.0],
        },
    ),
    (
        ("Av. Paulista, 1578", "Sao Paulo", "Sao Paulo", "01310200", "Brasil"),
        ("São Paulo", "SP", "01310-200", "BR"),
        {
            "country": ["Brasil", "local_name", 0.9],
            "region": ["Sao Paulo", "name", 1.0],
            "city": ["Sao Paulo", "key", 1.0],
            "postal_code": ["01310200", "format", 1.0],
        },
    ),
    (
        ("景山前街4号", "东城区", "北京市", "100009", "中国"),
        ("东城区", "北京市", "100009", "CN"),
        {"country": ["中国", "local_name", 0.9]},
    ),
    (
        ("Ambedkar Veedhi", "Bengaluru", "karnataka", "560 001", "IND"),
        ("Bengaluru", "Karnataka", "560001", "IN"),
        {
            "country": ["IND", "alpha3", 1.0],
            "region": ["karnataka", "key", 1.0],
            "postal_code": ["560 001", "format", 1.0],
        },
    ),
    (
        ("290 Bremner Blvd", "Toronto", "Ontario", "m5v3l9", "CA"),
        ("Toronto", "ON", "M5V 3L9", "CA"),
        {"region": ["Ontario", "name", 1.0], "postal_code": ["m5v3l9", "format", 1.0]},
    ),
    (
        ("Museumstraat 1", "Amsterdam", "", "1071xx", "Holland"),
        ("Amsterdam", None, "1071 XX", "NL"),
        {"country": ["Holland", "local_name", 0.9], "postal_code": ["1071xx", "format", 1.0]},
    ),
    (
        ("Bennelong Point", "Sydney", "New South Wales", 2000, 36),
        ("Sydney", "NSW", "2000", "AU"),
        {"country": ["36", "numeric", 1.0], "region": ["New South Wales", "name", 1.0]},
    ),
    (
        ("Rämistrasse 101", "Zürich", "ZH", "CH-8092", "Schweiz"),
        ("Zürich", "ZH", "8092", "CH"),
        {"country": ["Schweiz", "local_name", 0.9], "postal_code": ["CH-8092", "format", 1.0]},
    ),
]


@pytest.mark.parametrize(("given_fields", "expected", "notes"), GOLDEN, ids=[row[1][3] for row in GOLDEN])
def test_a_real_address_takes_its_country_s_form(
    given_fields: tuple[object, ...], expected: tuple[str | None, ...], notes: dict[str, list[object]]
) -> None:
    street, city, region, postal_code, country = given_fields
    item = item_of(street=street, city=city, region=region, postal_code=postal_code, country=country)
    assert (item.city, item.region, item.postal_code, item.country) == expected
    assert item.street == street
    assert item.flags == ()
    assert derived(item) == notes


def test_what_is_exactly_as_given_has_no_entry() -> None:
    item = item_of(
        street="1 Main St",
        city="San Diego",
        region="CA",
        postal_code="92101",
        country="US",
        latitude=32.7,
        longitude=-117.1,
        url="https://example.org/",
        kind="shop",
        updated_at="2026-01-02",
    )
    assert (item.derived_json, item.flags) == (None, ())


def test_the_cell_is_h3_s_at_the_resolution_asked_for() -> None:
    valid = valid_of({"latitude": 48.8584, "longitude": 2.2945})
    assert Normaliser(None, 8)(valid).geo_cell == "881fb46741fffff"
    assert Normaliser(None, 5)(valid).geo_cell == "851fb467fffffff"
    assert item_of().geo_cell is None


@pytest.mark.parametrize(("latitude", "longitude"), [(0, 0), (-0.0, 0.0), ("0", "0.000")])
def test_null_island_is_flagged_and_has_no_cell(latitude: object, longitude: object) -> None:
    item = item_of(latitude=latitude, longitude=longitude)
    assert (item.latitude, item.longitude, item.geo_cell, item.flags) == (0.0, 0.0, None, ("null_island",))
    assert item_of(latitude=0, longitude=1).flags == ()


def test_an_unknown_country_is_none_flagged_and_kept_raw_even_beside_a_default() -> None:
    for default in (None, "US"):
        item = item_of(default, country="Atlantis", region="Poseidonis", postal_code="1 x")
        assert (item.country, item.region, item.postal_code, item.flags) == (
            None,
            "Poseidonis",
            "1 x",
            ("country_unknown",),
        )
        assert derived(item) == {"country": ["Atlantis", "unknown", 0.0]}


def test_an_absent_country_is_the_branch_s_default_and_its_rules_hold() -> None:
    item = item_of("GB", postal_code="sw1a2aa")
    assert (item.country, item.postal_code) == ("GB", "SW1A 2AA")
    assert derived(item)["country"] == [None, "default", 0.5]
    assert item_of(None).country is None


def test_doubtful_values_are_kept_and_flagged() -> None:
    item = item_of(country="US", region="Ontario", postal_code="9404", city="Mountain View")
    assert (item.region, item.postal_code, item.flags) == ("Ontario", "9404", ("region_unknown", "postal_code_invalid"))
    item = item_of(country="US", region="California", postal_code="10001")
    assert (item.postal_code, item.flags) == ("10001", ("postal_code_region_mismatch",))
    item = item_of(country="BR", region="SP", city="Atlantis")
    assert (item.city, item.flags) == ("Atlantis", ("city_unknown",))


def test_the_region_s_range_is_judged_anew_though_the_postal_code_is_known() -> None:
    normalise = Normaliser(None, 8)
    for _ in range(2):
        assert normalise(valid_of({"country": "US", "region": "NY", "postal_code": "10001"})).flags == ()
        assert normalise(valid_of({"country": "US", "region": "CA", "postal_code": "10001"})).flags == (
            "postal_code_region_mismatch",
        )


def test_an_invalid_url_is_none_flagged_and_kept_raw_but_for_credentials() -> None:
    item = item_of(url="n/a")
    assert (item.url, item.flags, derived(item)) == (None, ("url_invalid",), {"url": ["n/a", "invalid", 0.0]})
    item = item_of(url="https://user:hunter2@example.org/")
    assert (item.url, item.flags, derived(item)) == (None, ("url_invalid",), {"url": [None, "credentials", 0.0]})
    assert derived(item_of(url="example.org")) == {"url": ["example.org", "scheme_added", 0.9]}


def test_text_is_cleaned_and_the_raw_kept() -> None:
    item = item_of(
        name="Caf\u0065\u0301\u200b  Bar",
        kind="a\tb",
        street="1\u00a0Main",
        city="\u200bRome",
        a="x\u202ey",
        b="\u200b",
    )
    assert (item.name, item.kind, item.street, item.city) == ("Café Bar", "a b", "1 Main", "Rome")
    assert item.attributes_json == '{"a":"xy"}'
    assert set(derived(item)) == {"name", "kind", "street", "city"}
    assert all(entry[1:] == ["cleaned", 1.0] for entry in derived(item).values())
    assert derived(item)["name"][0] == "Caf\u0065\u0301\u200b  Bar"


def test_street_lines_are_joined_and_both_kept() -> None:
    item = item_of(street="1 Main St", street2="Apt\u00a04")
    assert item.street == "1 Main St, Apt 4"
    assert derived(item) == {"street": [["1 Main St", "Apt\u00a04"], "joined", 1.0]}
    assert item_of(street2="Apt 4").street == "Apt 4"


def test_attributes_are_json_in_the_order_of_their_names() -> None:
    item = item_of(b=3435.0, a='q"\\')
    assert item.attributes_json == '{"a":"q\\"\\\\","b":3435.0}'
    assert json.loads(item_of(a=10**300, b=False).attributes_json or "") == {"a": 10**300, "b": False}
    assert item_of(a="", b=None).attributes_json is None


# of every record

odd = st.text(max_size=20) | st.text(
    st.sampled_from("aB é日\u00a0\u200b\u202e\t\n\x07\x85\u0301\"\\,'{}〒-0129"), max_size=20
)  # fmt: skip
countries = st.sampled_from(
    ["US", "usa", "Brasil", "BR", "日本", "JP", "GB", "CN", "DE", "CH", "LV", "HK", "KR", "XK", "Atlantis"]
)
regions = st.sampled_from(
    ["CA", "Sao Paulo", "SP", "Tokyo", "Guangdong", "北京市", "Kowloon", "Seoul", "São\u00a0Paulo"]
)
cities = st.sampled_from(["Sao Paulo", "São Paulo", "SANTOS", "Mong Kok", "东城区", "New York"])
codes = st.sampled_from(["94043", "sw1a2aa", "01310200", "〒105-0011", "1073", "CH-8092", "100009", "1 000"])
urls = st.sampled_from(["example.org", "HTTPS://Example.org:443/a#b", "http://x", "https://bücher.de", "a@b.c"])
coordinates = st.none() | st.tuples(
    st.just(0) | st.floats(-90, 90) | st.integers(-90, 90) | st.floats(-90, 90).map(str),
    st.just(0) | st.floats(-180, 180),
)
fields_given = st.fixed_dictionaries(
    {"name": odd.map(lambda text: "x" + text)},
    optional={
        "kind": odd,
        "street": odd,
        "street2": odd,
        "city": odd | cities,
        "region": odd | regions,
        "postal_code": odd | codes | st.integers(0, 10**8),
        "country": odd | countries | st.integers(0, 999),
        "url": odd | urls,
        "updated_at": st.datetimes().map(str) | st.dates().map(str),
        "a": odd | st.integers() | st.booleans(),
        "b": st.floats(allow_nan=False, allow_infinity=False) | st.none(),
    },
)


@st.composite
def valids(draw: st.DrawFn) -> Valid:
    record: dict[str, object] = {"record_id": "1", **draw(fields_given)}
    if place := draw(coordinates):
        record["latitude"], record["longitude"] = place
    result = validator.validate(json.dumps(record, ensure_ascii=draw(st.booleans())))
    assume(isinstance(result, Valid))
    return cast(Valid, result)


warm = Normaliser(None, 8)


@given(valids())
@settings(max_examples=250, deadline=None, print_blob=True)
def test_an_item_is_the_same_with_caches_warm_or_cold(valid: Valid) -> None:
    first = warm(valid)
    assert repr(first) == repr(warm(valid)) == repr(Normaliser(None, 8)(valid))
    assert content_hash(item_text(first)) == content_hash(item_text(warm(valid)))


@given(valids())
@settings(max_examples=250, deadline=None, print_blob=True)
def test_an_item_holds_only_what_can_be_seen_and_valid_json(valid: Valid) -> None:
    item = warm(valid)
    for value in item[1:]:
        if isinstance(value, str):
            assert value
            assert not any(category(sign) in {"Cc", "Cs"} or sign in "\u200b\u202e\u00a0\u0085" for sign in value)
    if item.attributes_json:
        assert json.loads(item.attributes_json)
    for field, entry in derived(item).items():
        assert field in ("name", "kind", "street", "city", "region", "postal_code", "country", "url")
        raw, method, confidence = entry
        assert isinstance(method, str)
        assert isinstance(confidence, float)
        assert 0 <= confidence <= 1
        assert raw != getattr(item, field) or method == "credentials"
        assert "\\u0000" not in (item.derived_json or "")
    assert len(set(item.flags)) == len(item.flags)


@given(valids())
@settings(max_examples=250, deadline=None, print_blob=True)
def test_normalising_an_item_once_more_changes_nothing_but_what_tells_of_the_raw(valid: Valid) -> None:
    once = warm(valid)
    again = warm(_as_valid(once))
    untold = {"flags": (), "derived_json": None}
    assert repr(again._replace(**untold)) == repr(once._replace(**untold))
    assert set(again.flags) <= set(once.flags)
    assert again.derived_json is None


def _as_valid(item: Item) -> Valid:
    """The item as a source would give it back."""
    fields = {name: getattr(item, name) for name in NAMES if name not in ("street2", "updated_at")}
    attributes = cast("dict[str, Any]", json.loads(item.attributes_json or "{}"))
    valid = valid_of({**fields, **attributes, "name": item.name})
    return valid._replace(source_updated_at=item.source_updated_at)


def test_plain_records_give_the_same_as_when_every_text_is_looked_at() -> None:
    for given_fields, _, _ in GOLDEN:
        names = ("street", "city", "region", "postal_code", "country")
        valid = valid_of(dict(zip(names, given_fields, strict=True)))
        assert valid.plain
        assert warm(valid) == warm(valid._replace(plain=False))


def test_caches_stay_bounded_and_emptying_them_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(normaliser, "_AREAS", 3)
    monkeypatch.setattr(normaliser, "_POSTAL_CODES", 3)
    small = Normaliser(None, 8)
    for number in range(50):
        valid = valid_of({"country": "US", "region": f"r{number % 7}", "postal_code": f"{number % 11:05}"})
        assert small(valid) == Normaliser(None, 8)(valid)
        assert len(small._areas) <= 3
        assert len(small._postal_codes) <= 3
