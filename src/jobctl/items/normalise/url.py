"""A web address in the form in which browsers compare it (WHATWG): scheme, lower-case ASCII host, no default port, no
fragment. Parsed by pydantic's URL type; addresses that are in this form already are known by a pattern and not parsed.
"""

import re
from functools import cache
from typing import NamedTuple, cast

from pydantic_core import SchemaValidator, Url, ValidationError, core_schema

from jobctl.items.normalise.text import clean

# Narrow on purpose: what it admits, the parser would return unchanged.
_IN_FORM = re.compile(
    r"https?://(?!xn--)[a-z0-9]+(?:[.-](?!xn--)[a-z0-9]+)*\.[a-z]+(?=/)(?!.*\W\.)[A-Za-z0-9_~/?&=+.-]*", re.ASCII
)
# A scheme that is not a host with its port: "mailto:x", but not "example.org:8080".
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+-]*:(?![0-9])")


class WebAddress(NamedTuple):
    """The address, None when it is none; the method is '' when it was given in this very form."""

    url: str | None
    method: str
    confidence: float


INVALID = WebAddress(None, "invalid", 0.0)
# Not to be stored once more beside the record: the raw text has a name or password in it.
WITH_CREDENTIALS = WebAddress(None, "credentials", 0.0)


def resolve(raw: str) -> WebAddress:
    if _IN_FORM.fullmatch(raw):
        return WebAddress(raw, "", 1.0)
    text, _, _ = clean(raw).partition("#")
    method, confidence = "format", 1.0
    if text.startswith("//"):
        text, method = f"https:{text}", "scheme_added"
    elif "://" not in text.partition("?")[0]:
        if _SCHEME.match(text):
            return INVALID
        text, method = f"https://{text}", "scheme_added"
    try:
        parsed = cast(Url, _parser().validate_python(text))
    except ValidationError:
        return INVALID
    if parsed.username is not None or parsed.password is not None:
        return WITH_CREDENTIALS
    host = parsed.host or ""
    if "." not in host.strip(".") and ":" not in host:  # "n/a", "none", "localhost": nobody's page
        return INVALID
    url = str(parsed)
    return WebAddress(url, "" if url == raw else method, 0.9 if method == "scheme_added" else confidence)


@cache
def _parser() -> SchemaValidator:
    return SchemaValidator(core_schema.url_schema(allowed_schemes=["http", "https"], host_required=True))
