"""Text as people see it."""

import json
from unicodedata import category, is_normalized

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobctl.items.normalise.text import clean, fold, is_clean, note

SIGNS = " \t\n\x1c\x85\u00a0\u2003\u2028\u200b\u200d\u202e\ufeff\u00adae\u0301é日\U000e0041A"
odd = st.text(st.sampled_from(SIGNS) | st.characters(codec="utf-8"))


@pytest.mark.parametrize(
    ("given_text", "expected"),
    [
        ("  São \t Paulo\r\n", "São Paulo"),
        ("Sa\u0303o", "São"),
        ("a\u00a0\u2003\u3000b", "a b"),
        ("a \u200b b", "a b"),
        ("\u202eevil\u202c", "evil"),
        ("\ufeffname", "name"),
        ("co\u00adoperate", "cooperate"),
        ("a\x00b\x07c\x7fd\x9be", "abcde"),
        ("a\x85b\u2028c", "a b c"),
        ("x\U000e0041\U000e007f", "x"),
        ("\u200b\u200e", ""),
        ("葛\U000e0100城", "葛\U000e0100城"),
        ("plain", "plain"),
    ],
)
def test_clean_leaves_what_can_be_seen(given_text: str, expected: str) -> None:
    assert clean(given_text) == expected


@given(odd)
@settings(max_examples=250, deadline=None, print_blob=True)
def test_clean_text_stays_as_it_is_and_has_nothing_invisible(text: str) -> None:
    cleaned = clean(text)
    assert clean(cleaned) == cleaned
    assert cleaned == cleaned.strip()
    assert "  " not in cleaned
    assert is_normalized("NFC", cleaned)
    assert not any(
        category(sign) in {"Cc", "Zl", "Zp"} or sign in "\u200b\u200e\u200f\u202e\ufeff\u00a0" for sign in cleaned
    )
    if is_clean(text):
        assert cleaned == text.strip()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("São Paulo", "sao paulo"),
        ("Łódź", "LODZ"),
        ("Straße", "STRASSE"),
        ("Trinidad & Tobago", "Trinidad and Tobago"),
        ("Côte d'Ivoire", "cote divoire"),
        ("Йошкар-Ола", "ЙОШКАР ОЛА"),
        ("İzmir", "izmir"),
    ],
)
def test_names_that_differ_in_case_accents_and_punctuation_fold_alike(one: str, other: str) -> None:
    assert fold(one) == fold(other)


@pytest.mark.parametrize(("one", "other"), [("はは", "ばば"), ("की", "कु"), ("日本", "日木"), ("Mali", "Malta")])
def test_names_that_differ_in_letters_do_not(one: str, other: str) -> None:
    assert fold(one) != fold(other)


@given(odd)
@settings(max_examples=200, deadline=None, print_blob=True)
def test_a_note_is_valid_json_in_ascii(raw: str) -> None:
    text = "{" + note("city", raw, "name", 0.9) + "," + note("country", None, "default", 0.5) + "}"
    assert text.isascii()
    assert json.loads(text) == {"city": [raw, "name", 0.9], "country": [None, "default", 0.5]}
