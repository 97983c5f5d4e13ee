"""A recipient's address: what may stand in a mail's envelope and headers, and when two are the same. Pure."""

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

_SPELLED: Final = re.compile(r"(?:[^<>]*<)?([^<>@]*)@([^<>@]*?)>?")
_LOCAL: Final = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_LABEL: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
# The codec here is that of 2003, which makes of these another name than today's rules do.
_READ_IN_TWO_WAYS: Final = frozenset("ßς\u200c\u200d")
LONGEST_LOCAL: Final = 64
LONGEST: Final = 254


class Address(NamedTuple):
    """`spelled` is for the envelope and the header To; `key` tells whether two are the same."""

    spelled: str
    domain: str

    @property
    def key(self) -> str:
        return self.spelled.lower()


def parse(text: str) -> Address:
    """`ann@example.org` or `Ann <ann@example.org>`, of which the name is dropped. Raises ValueError with the reason.

    The result is plain ASCII without spaces, quotes and brackets, so no line of a mail can be broken with it."""
    found = _SPELLED.fullmatch(text.strip(" "))
    if found is None or (">" in text) != ("<" in text):
        raise ValueError("it is not an e-mail address")
    local, domain = found.groups()
    if not local.isascii():
        raise ValueError("the part before @ has a letter that is not ASCII, which few servers take")
    if not _LOCAL.fullmatch(local) or len(local) > LONGEST_LOCAL:
        raise ValueError("the part before @ is not one of an e-mail address")
    domain = _ascii(domain)
    if not all(_LABEL.fullmatch(label) for label in domain.split(".")):
        raise ValueError("the part behind @ is not a domain")
    if "." not in domain and domain != "localhost":
        raise ValueError("the part behind @ is not a whole domain")
    if len(local) + 1 + len(domain) > LONGEST:
        raise ValueError(f"it is longer than {LONGEST} characters")
    return Address(f"{local}@{domain}", domain)


def _ascii(domain: str) -> str:
    if _READ_IN_TWO_WAYS & set(domain):
        raise ValueError("its domain reads differently by old and new rules: write it in ASCII, as xn--...")
    try:
        return domain.encode("idna").decode("ascii").lower()
    except UnicodeError:
        raise ValueError("the part behind @ is not a domain") from None


def shown(text: str) -> str:
    """One that is none, for people: a short line."""
    return "".join(character if character.isprintable() else "?" for character in text[:LONGEST])


def distinct(texts: Iterable[str]) -> tuple[str, ...]:
    """Of those that are the same address the first one as it is spelled; what is no address is one of its own."""
    found: dict[str, str] = {}
    for text in texts:
        try:
            found.setdefault(parse(text).key, text)
        except ValueError:
            found.setdefault(text, text)
    return tuple(found.values())
