"""The text of an item: what a model is given to make a vector of. Pure, the same for the same item, bounded.

Words come first that say what the thing is and where: name, kind, street, city, region, country by its name. A region
is written as the source wrote it ("Valais", not "VS"), a country as people call it. Of the further attributes those go
in that hold words: a code, a number or a flag means nothing to a model of language. Nothing is said twice.

A change of what comes out here makes every vector stale. It comes with a migration that says so:
`UPDATE core.embeddings SET content_hash = NULL`.
"""

import re
from collections.abc import Mapping
from functools import cache
from hashlib import blake2b
from typing import Any, NamedTuple

LONGEST = 2_000  # characters; about 500 tokens, which every model takes
_WORD = re.compile(r"[^\W\d_A-Z]")  # a letter other than the capitals that codes are made of
_SEPARATOR = ", "


class Source(NamedTuple):
    """What a text is made of: columns of core.items. `region_as_written` is the source's own word for the region, which
    core.items keeps in `derived` where it is another."""

    name: str
    kind: str | None
    street: str | None
    city: str | None
    region: str | None
    region_as_written: str | None
    country: str | None
    attributes: Mapping[str, Any] | None


def text_of(source: Source) -> str:
    name, kind, street, city, region, region_as_written, country, attributes = source
    if region_as_written and _WORD.search(region_as_written):
        region = " ".join(region_as_written.split())
    # An ordered set: what was said is not said again.
    parts = dict.fromkeys((name, kind, street, city, region, country_name(country) if country else None))
    for _, value in sorted(attributes.items()) if attributes else ():
        if isinstance(value, str) and _WORD.search(value):
            parts[value] = None
    text = _SEPARATOR.join(filter(None, parts))
    return text if len(text) <= LONGEST else _cut(text)


def text_hash(text: str) -> bytes:
    """128 bits, as PostgreSQL sends a uuid."""
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


@cache
def country_name(alpha2: str) -> str:
    """What people call it; the code itself where nobody has given it a name."""
    import pycountry

    found = pycountry.countries.get(alpha_2=alpha2)
    return getattr(found, "common_name", found.name) if found is not None else alpha2


def _cut(text: str) -> str:
    """At the last space, if there is one in the last tenth."""
    space = text.rfind(" ", LONGEST - LONGEST // 10, LONGEST)
    return text[: space if space > 0 else LONGEST].rstrip(" ,")
