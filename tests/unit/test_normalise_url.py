"""Web addresses in the form in which browsers compare them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic_core import SchemaValidator, core_schema

from jobctl.items.normalise.url import resolve


@pytest.mark.parametrize(
    ("raw", "url", "method"),
    [
        ("https://example.org/a?b=c", "https://example.org/a?b=c", ""),
        ("example.org", "https://example.org/", "scheme_added"),
        ("example.org:8080/x", "https://example.org:8080/x", "scheme_added"),
        ("//example.org/x", "https://example.org/x", "scheme_added"),
        ("www.example.org/a?next=http://x.org", "https://www.example.org/a?next=http://x.org", "scheme_added"),
        ("HTTP://Example.ORG", "http://example.org/", "format"),
        ("http://example.org:80/", "http://example.org/", "format"),
        ("https://example.org:443/", "https://example.org/", "format"),
        ("https://example.org/a/../b#top", "https://example.org/b", "format"),
        ("http://bücher.example/ä b", "http://xn--bcher-kva.example/%C3%A4%20b", "format"),
        ("https://例え.jp/", "https://xn--r8jz45g.jp/", "format"),
        (" https://example.org/\u200b", "https://example.org/", "format"),
        ("http://[2001:db8::1]/", "http://[2001:db8::1]/", ""),
    ],
)
def test_an_address_takes_its_form(raw: str, url: str, method: str) -> None:
    assert resolve(raw)[:2] == (url, method)


@pytest.mark.parametrize(
    "raw",
    ["n/a", "none", "-", ".", "", "http://", "mailto:a@example.org", "javascript:alert(1)", "ftp://example.org/",
     "https://exa mple.org", "http://localhost/", "http://xn--a.org/", "data:text/html,x", "file:///etc/passwd"],
)  # fmt: skip
def test_what_is_no_page_of_the_web_is_invalid(raw: str) -> None:
    assert resolve(raw) == (None, "invalid", 0.0)


@pytest.mark.parametrize("raw", ["https://user:secret@example.org/", "https://user@example.org/", "a@example.org"])
def test_an_address_with_credentials_is_told_apart(raw: str) -> None:
    assert resolve(raw) == (None, "credentials", 0.0)


SIGNS = ".-_%?#@[]\\é日&='|Aa~8/: \""
WORDS = ["http", "https", "://", "//", "example", "org", "xn--", "..", "80"]
parts = st.lists(st.sampled_from([*SIGNS, *WORDS]), max_size=14).map("".join)


@given(parts | st.text(max_size=40))
@settings(max_examples=400, deadline=None, print_blob=True)
def test_any_text_gives_an_address_that_stays_or_none(raw: str) -> None:
    found = resolve(raw)
    if found.url is not None:
        assert found.url.isascii()
        assert found.url.isprintable()
        assert "#" not in found.url
        assert resolve(found.url) == (found.url, "", 1.0)


@given(st.from_regex(r"\Ahttps?://[a-z0-9.-]{1,20}\.[a-z]{1,4}/[A-Za-z0-9_~./?&=+-]{0,20}\Z"))
@settings(max_examples=250, deadline=None, print_blob=True)
def test_what_is_taken_without_parsing_is_what_the_parser_would_give(raw: str) -> None:
    found = resolve(raw)
    if found.url == raw:
        parser = SchemaValidator(core_schema.url_schema())
        assert str(parser.validate_python(raw)) == raw
