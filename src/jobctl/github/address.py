"""Where the API is, and which URLs belong to it. Pure.

A token goes to this origin (scheme, host and port) and nowhere else. Whatever URL an answer gives, in `Link` or
`Location`, is taken apart here and put together again from its parts, so that no two readers can differ about its host.
"""

import re
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from jobctl.github.failures import ForeignHost
from jobctl.web_url import join_url, parse_url

PUBLIC: Final = "https://api.github.com"


class Api(NamedTuple):
    """`base` is the URL as it is configured, without a slash at its end."""

    base: str
    origin: str

    @property
    def host(self) -> str:
        """For people: api.github.com."""
        return self.origin.partition("://")[2]

    @property
    def graphql(self) -> str:
        """Beside the REST API: on GitHub Enterprise Server /api/graphql stands beside /api/v3."""
        return f"{self.base.removesuffix('/v3')}/graphql"

    def url(self, path: str) -> str:
        """Of an endpoint: `/repos/octo/cat`."""
        return self.base + path

    def follow(self, here: str, location: str) -> str:
        """Where an answer from `here` leads. Raises ForeignHost unless that is the API's own origin."""
        try:
            url = join_url(parse_url(here), location)
        except ValueError:
            raise ForeignHost(f"{self.host} leads on to something that is no URL") from None
        if url.origin != self.origin:
            raise ForeignHost(
                f"{self.host} leads on to another host ({url.origin[:100]}), which was not asked",
                hint="if the API is there now, set GITHUB_API_URL to it",
            )
        return str(url)


def api_at(base_url: str) -> Api:
    """`base_url` was checked when settings were read. Raises ValueError for what is no http or https URL."""
    if "?" in base_url or "#" in base_url:
        raise ValueError("has a query or a fragment")
    url = parse_url(base_url)
    return Api(str(url).rstrip("/"), url.origin)


def path_of(url: str) -> str:
    """What may be told of a URL: its path, without the query."""
    return urlsplit(url).path


def next_of(link: str) -> str | None:
    """The URL of rel="next" in a `Link` header."""
    for url, parameters in re.findall(r"<([^<>]*)>([^<]*)", link):
        for name, quoted, bare in re.findall(r';\s*([A-Za-z*]+)\s*=\s*(?:"([^"]*)"|([^\s;,"]+))', parameters):
            if name.lower() == "rel" and "next" in (quoted or bare).lower().split():
                return url
    return None
