"""A URL has one reading here; what others read in several ways is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobctl.web_url import WebUrl, join_url, parse_url

READ = {
    "https://example.org": ("https", "example.org", 443, "/"),
    "HTTPS://Example.ORG./a?b=c#d": ("https", "example.org", 443, "/a?b=c"),
    "http://example.org:8080/a/../b": ("http", "example.org", 8080, "/a/../b"),
    "http://127.1": ("http", "127.1", 80, "/"),
    "http://0x7f.1/": ("http", "0x7f.1", 80, "/"),
    "http://2130706433/": ("http", "2130706433", 80, "/"),
    "http://[::1]:81/x": ("http", "::1", 81, "/x"),
    "http://[2001:DB8:0::1]/": ("http", "2001:db8::1", 80, "/"),
    "https://bücher.example/ü?ü": ("https", "xn--bcher-kva.example", 443, "/%C3%BC?%C3%BC"),
    "https://①②⑦.0.0.1/": ("https", "127.0.0.1", 443, "/"),
    "https://example。org/": ("https", "example.org", 443, "/"),
    "https://example.org?x=@y": ("https", "example.org", 443, "/?x=@y"),
    'https://example.org/a%2Fb%zz"<>`{}|^': ("https", "example.org", 443, "/a%2Fb%zz%22%3C%3E%60%7B%7D%7C%5E"),
}
REFUSED = [
    "",
    "example.org",
    "//example.org",
    "ftp://example.org",
    "file:///etc/passwd",
    "gopher://example.org",
    "javascript:alert(1)",
    "http:example.org",
    "http:/example.org",
    "http:///x",
    "http://",
    "http://?x",
    "http://.",
    "http://a..b",
    "http://-a",
    "http://user@example.org",
    "http://user:password@example.org",
    "http://example.org@evil.example",
    "http://example.org:80@evil.example",
    "http://example.org\\@evil.example",
    "http://evil.example\\.example.org",
    "http:\\\\evil.example",
    "http://example.org/a\\b",
    "http://example.org/?a\\b",
    "http://example.org:",
    "http://example.org:0",
    "http://example.org:65536",
    "http://example.org:+80",
    "http://example.org:80:80",
    "http://example.org: 80",
    "http://example.org:８０",
    "http://exa mple.org",
    "http://example.org/a b",
    "http://example.org/a\tb",
    "http://example.org/a\nb",
    "http://example.org/a\r\nHost: evil.example",
    " http://example.org",
    "http://example.org ",
    "http://example.org/\x00",
    "http://example.org/\x7f",
    "http://example.org/\u2028",
    "http://example.org/\u00a0",
    "http://ex%61mple.org",
    "http://127.0.0.1%2f@x",
    "http://[::1",
    "http://::1/",
    "http://[::1]x/",
    "http://[fe80::1%25eth0]/",
    "http://[fe80::1%eth0]/",
    "http://[127.0.0.1]/",
    "http://" + "a" * 64 + ".example",
    "http://" + ".".join(["abcdefgh"] * 30),
    "http://example.org/" + "a" * 9_000,
]


@pytest.mark.parametrize("text", READ)
def test_a_url_is_taken_apart(text: str) -> None:
    assert parse_url(text) == READ[text]


@pytest.mark.parametrize("text", REFUSED, ids=lambda text: repr(text[:40]))
def test_what_can_be_read_in_two_ways_is_refused_without_being_repeated(text: str) -> None:
    with pytest.raises(ValueError) as raised:  # noqa: PT011 - the text differs
        parse_url(text)
    assert text.strip("/") == "" or text not in str(raised.value)


@given(st.text(alphabet=st.sampled_from("hHtps:/\\@?#[]%.a1-\r\n\t 。⑦ü\x00"), max_size=30))
def test_whatever_is_read_makes_one_line_of_ascii_and_reads_the_same_again(rest: str) -> None:
    try:
        url = parse_url("http://" + rest)
    except ValueError:
        return
    assert (url.host + url.target).isascii() and str(url).isprintable() and " " not in str(url)
    assert "@" not in url.authority and "/" not in url.authority
    assert parse_url(str(url)) == url


HERE = WebUrl("https", "example.org", 443, "/a/b?c")


@pytest.mark.parametrize(
    ("location", "leads_to"),
    [
        ("/x", "https://example.org/x"),
        ("x?y", "https://example.org/a/x?y"),
        ("//other.example/x", "https://other.example/x"),
        ("http://169.254.169.254/latest", "http://169.254.169.254/latest"),
    ],
)
def test_a_redirect_is_joined_and_read_like_every_url(location: str, leads_to: str) -> None:
    assert str(join_url(HERE, location)) == leads_to


@pytest.mark.parametrize(
    "location", ["file:///etc/passwd", "\\\\evil.example/", "//a@b/", "http://a\r\nX: y", "mailto:x"]
)
def test_a_redirect_to_what_is_no_web_address_is_refused(location: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the text differs
        join_url(HERE, location)
