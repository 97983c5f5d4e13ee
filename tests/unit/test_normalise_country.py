"""Countries by code, name, local name and alias."""

import pycountry
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobctl.items.normalise.country import resolve


@pytest.mark.parametrize(
    ("raw", "code", "method"),
    [
        ("DE", "DE", "alpha2"),
        ("de", "DE", "alpha2"),
        ("DEU", "DE", "alpha3"),
        ("276", "DE", "numeric"),
        ("4", "AF", "numeric"),
        ("036", "AU", "numeric"),
        ("Germany", "DE", "name"),
        ("Federal Republic of Germany", "DE", "name"),
        ("Bolivia", "BO", "name"),
        ("Bolivia, Plurinational State of", "BO", "name"),
        ("Plurinational State of Bolivia", "BO", "name"),
        ("The Netherlands", "NL", "name"),
        ("the gambia", "GM", "name"),
        ("South Korea", "KR", "name"),
        ("Congo", "CG", "name"),
        ("TURKIYE", "TR", "name"),
        ("Türkiye", "TR", "name"),
        ("Curacao", "CW", "name"),
        ("Kosovo", "XK", "name"),
        ("Deutschland", "DE", "local_name"),
        ("España", "ES", "local_name"),
        ("Espana", "ES", "local_name"),
        ("日本", "JP", "local_name"),
        ("中国", "CN", "local_name"),
        ("Österreich", "AT", "local_name"),
        ("대한민국", "KR", "local_name"),
        ("Holland", "NL", "local_name"),
        ("Ivory Coast", "CI", "local_name"),
        ("Russia", "RU", "local_name"),
        ("Россия", "RU", "alias"),
        ("UK", "GB", "alias"),
        ("U.K.", "GB", "alias"),
        ("U.S.A.", "US", "alias"),
        ("USA", "US", "alpha3"),
        ("Great Britain", "GB", "alias"),
        (" \u200bFrance\u00a0", "FR", "name"),
    ],
)
def test_a_country_is_known_by(raw: str, code: str, method: str) -> None:
    assert resolve(raw)[:2] == (code, method)


@pytest.mark.parametrize(
    "raw", ["", "?", "Atlantis", "ZZ", "QQQ", "999", "0", "12345", "\u0663\u0662", "Korea", "Niger/Nigeria"]
)
def test_what_no_country_is_called_is_unknown(raw: str) -> None:
    assert resolve(raw) == (None, "unknown", 0.0)


@pytest.mark.parametrize("raw", ["सामोआ गणराज्य", "nigeri", "Dominik Cumhuriyeti"])
def test_a_local_name_that_two_countries_share_means_neither(raw: str) -> None:
    assert resolve(raw).code is None


def test_every_code_and_english_name_of_the_standard_is_found() -> None:
    for country in pycountry.countries:
        for given_name in (country.alpha_2, country.alpha_3, country.numeric, country.name, country.alpha_2.lower()):
            assert resolve(given_name).code == country.alpha_2, given_name


@given(st.text(max_size=30) | st.from_regex(r"\A[A-Za-z0-9. ]{1,4}\Z"))
@settings(max_examples=300, deadline=None, print_blob=True)
def test_any_text_gives_a_code_or_none_and_a_code_gives_itself(raw: str) -> None:
    found = resolve(raw)
    if found.code is not None:
        assert resolve(found.code) == (found.code, "alpha2", 1.0)
    assert 0 <= found.confidence <= 1
