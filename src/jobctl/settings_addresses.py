"""Addresses among the settings: the database's, of the web, of people.

A URL here may hold a secret, so a fault never repeats one. As in `settings_values`, each function takes what was found
and raises ValueError with words that go on after the setting's name.
"""

import re
from collections.abc import Callable

from jobctl.settings_runtimes import DEFAULT_MAX_RUNTIME_S
from jobctl.settings_values import pairs, words

# One user part and one host part, told apart as libpq does: what does not fit cannot be shown or connected to safely.
DATABASE_URL = re.compile(r"postgres(?:ql)?://(?:[^@/\s]*@)?[^@/?#\s]*(?:/[^@?#\s]*)?(?:\?\S*)?", re.IGNORECASE)
CONNINFO = re.compile(r"\s*[a-z_]+\s*=.*", re.DOTALL)
ADDRESS = re.compile(r"[^\s@<>,;\"]+@[^\s@<>,;\"]+\.[^\s@<>,;\".]+|[^\s@<>,;\"]+@localhost")


def e_mails(value: object) -> object:
    """E-mail addresses, in a list or parted by commas; each once."""
    if not isinstance(value, str | list | tuple):
        raise ValueError("is not a list of e-mail addresses")  # noqa: TRY004 - pydantic collects only ValueError
    text = value if isinstance(value, str) else ",".join(map(str, value))  # pyright: ignore[reportUnknownArgumentType]
    each_once = [part.strip() for part in text.split(",") if part.strip()]
    for address in each_once:
        if not ADDRESS.fullmatch(address):
            raise ValueError(f"has {address!r}, which is not an e-mail address")
    return tuple(dict.fromkeys(each_once))


def sender(value: object) -> object:
    if isinstance(value, str):
        inner = re.fullmatch(r"[^<>]*<([^<>]*)>", value)
        if not ADDRESS.fullmatch(inner[1] if inner else value):
            raise ValueError("is not an e-mail address, alone or as: Name <address>")
    return value


def database_url(value: object) -> object:
    """A URL, or libpq's `host=... dbname=...`."""
    if isinstance(value, str) and not CONNINFO.fullmatch(value):
        if not value.lower().startswith(("postgresql://", "postgres://")):
            raise ValueError("must start with postgresql:// (its value is not shown)")
        if not DATABASE_URL.fullmatch(value):
            raise ValueError(
                "is not a URL: percent-encode @ as %40, / as %2F and spaces in the password (its value is not shown)"
            )
    return value


def url_of(*schemes: str) -> Callable[[object], object]:
    """Judges a URL of one of the schemes. Where https is one, http will do on the loopback."""

    def check(value: object) -> object:
        if isinstance(value, str):
            scheme, found, rest = value.partition("://")
            host = rest.rpartition("@")[2]
            # Judged from the start, user and path included: an @ in either makes another host.
            loopback = re.match(r"(?:localhost|127\.[0-9.]+|\[::1\])(?::\d+)?(?:/|$)", rest) is not None
            if not found or not (
                scheme.lower() in schemes or (loopback and scheme.lower() == "http" and "https" in schemes)
            ):
                raise ValueError(f"must start with {' or '.join(s + '://' for s in schemes)} (its value is not shown)")
            if not re.match(r"[^/?#:\s]", host) or re.search(r"\s", value):
                raise ValueError("names no host or has a space in it (its value is not shown)")
        return value

    return check


def urls_by_job(value: object) -> object:
    if isinstance(value, str):
        for name, url in pairs(value).items():
            job = name.partition("/")[0]
            if job not in (*DEFAULT_MAX_RUNTIME_S, "run"):
                raise ValueError("is not of the form ingest-branch=URL,run/NAME=URL (its value is not shown)")
            url_of("https")(url)
    return value


def api_url(value: object) -> object:
    """The address of GitHub's API, which is no secret: a user name or a query in it is a mistake."""
    if isinstance(value, str):
        url_of("https")(value)
        if re.search(r"[?#@]", value):
            raise ValueError("has a user name, a query or a fragment in it (its value is not shown)")
        return value.rstrip("/")
    return value


def apprise_urls(value: object) -> object:
    if isinstance(value, str) and not all(re.match(r"[A-Za-z0-9]+://\S", part) for part in words(value)):
        raise ValueError("is not a list of addresses such as json://host/path (its value is not shown)")
    return value
