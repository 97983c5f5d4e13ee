"""Which URLs belong to the API, and which next page a Link names."""

import pytest

from jobctl.github.address import api_at, next_of
from jobctl.github.failures import ForeignHost

GITHUB = api_at("https://api.github.com")
HERE = "https://api.github.com/repos/octo/cat/issues"


@pytest.mark.parametrize(
    ("base", "origin", "graphql"),
    [
        ("https://api.github.com", "https://api.github.com", "https://api.github.com/graphql"),
        ("https://API.github.com:443/", "https://api.github.com", "https://api.github.com/graphql"),
        ("https://ghe.example/api/v3/", "https://ghe.example", "https://ghe.example/api/graphql"),
        ("https://api.octo.ghe.com", "https://api.octo.ghe.com", "https://api.octo.ghe.com/graphql"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080", "http://127.0.0.1:8080/graphql"),
    ],
)
def test_base_origin_and_graphql(base: str, origin: str, graphql: str) -> None:
    api = api_at(base)
    assert (api.origin, api.graphql) == (origin, graphql)
    assert api.url("/user") == api.base + "/user"
    assert not api.base.endswith("/")


@pytest.mark.parametrize("base", ["", "ftp://x", "https://", "https://u:p@host", "https://host/?a=1", "https://h/#f"])
def test_what_is_no_base_is_refused(base: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        api_at(base)


@pytest.mark.parametrize(
    ("location", "url"),
    [
        ("/repositories/7", "https://api.github.com/repositories/7"),
        (
            "https://api.github.com/repositories/7?page=2&a=b%20c",
            "https://api.github.com/repositories/7?page=2&a=b%20c",
        ),
        ("https://API.GitHub.com:443/x", "https://api.github.com/x"),
        ("?page=2", "https://api.github.com/repos/octo/cat/issues?page=2"),
        ("https://api.github.com", "https://api.github.com/"),
        ("/a#fragment", "https://api.github.com/a"),
    ],
)
def test_what_is_of_the_origin_is_followed(location: str, url: str) -> None:
    assert GITHUB.follow(HERE, location) == url


@pytest.mark.parametrize(
    "location",
    [
        "https://evil.example/x",
        "//evil.example/x",
        "http://api.github.com/x",
        "https://api.github.com:8443/x",
        "https://api.github.com@evil.example/x",
        "https://evil.example\\@api.github.com/x",
        "https://api.github.com\\.evil.example/",
        "https://api.github.com.evil.example/",
        "https://user:pass@api.github.com/x",
        "https://api.github.com /x",
        "https://api.github.com\t/x",
        "https://api.github.com:99999999/",
        "https://аpi.github.com/",  # noqa: RUF100 - the first letter is Cyrillic
        "javascript:alert(1)",
        "https://[::1/x",
        "x" * 10_000,
    ],
)
def test_another_host_is_not(location: str) -> None:
    with pytest.raises(ForeignHost):
        GITHUB.follow(HERE, location)


@pytest.mark.parametrize(
    ("link", "url"),
    [
        ('<https://x/?page=2>; rel="next", <https://x/?page=9>; rel="last"', "https://x/?page=2"),
        ('<https://x/?page=1>; rel="prev", <https://x/?page=3>; rel="next"', "https://x/?page=3"),
        ('<https://x/?a=1,2>; results="true"; rel="next"', "https://x/?a=1,2"),
        ("<https://x/>; rel=next", "https://x/"),
        ('<https://x/>; REL="first Next"', "https://x/"),
        ('<https://x/>; rel="last"', None),
        ('<https://x/>; rel="nextish"', None),
        ("", None),
        ("next", None),
    ],
)
def test_the_next_page_is_what_link_calls_so(link: str, url: str | None) -> None:
    assert next_of(link) == url
