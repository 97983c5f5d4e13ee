"""A valid record becomes an item: pure, by caches fast, the same whether they are warm or cold.

What a field's value came from is told by the item's `derived`, a JSON object of `{"field": [raw, method, confidence]}`:

    country      alpha2, alpha3, numeric, name, alias, local_name; unknown (value null); default (raw null)
    region       key, iso_code, name, short_name, cleaned
    city         key, iso_code, name, cleaned
    postal_code  format (case, spacing, a country prefix dropped), prefix (one that belongs to it added), cleaned
    street       joined (raw is the list of the lines), cleaned
    url          format, scheme_added; invalid, credentials (value null; raw is kept but for credentials)
    name, kind   cleaned

A field without an entry is as it was given, confidence 1; white space around a value and the spelling of a number are
not counted as differences. `geo_cell` follows from the coordinates and the resolution alone and has no entry.

What is doubtful but kept is flagged: country_unknown, region_unknown, city_unknown (the country's list lacks it),
postal_code_invalid (not of the country's form; kept as given), postal_code_region_mismatch (of another region's range),
null_island (coordinates 0, 0: kept, without a cell), url_invalid.

Most records of a branch repeat their country and region and hold clean text; so areas are resolved once and kept, and
text is only looked at letter by letter when the validator saw something unusual anywhere in the record.
"""

import json
import re
from collections.abc import Callable
from typing import Any, NamedTuple, cast

import h3.api.basic_int as h3  # pyright: ignore[reportMissingTypeStubs]
from pydantic_core import to_json

from jobctl.items.item import Item
from jobctl.items.normalise import country as countries
from jobctl.items.normalise import url as urls
from jobctl.items.normalise.address import NO_REGION, CountryRules, Places, PostalRules, rules_of
from jobctl.items.normalise.text import clean, note
from jobctl.items.valid import Scalar, Valid

# Part of every item's `rules`: raise it with any change that gives another item for the same record.
NORMALISER_VERSION = 1

# Entries of a cache before it starts anew; keeps memory bounded where every row is different.
_AREAS = 10_000
_POSTAL_CODES = 10_000

# A call of the class itself would unpack and pack the values once more.
_new_item = cast(
    "Callable[[type[Item], tuple[Any, ...]], Item]",
    tuple.__new__,
)
_cell = cast(
    "Callable[[float, float, int], int]",
    h3.latlng_to_cell,
)


class _Area(NamedTuple):
    """What country and region, as given, come to."""

    country: str | None
    region: str | None
    flags: tuple[str, ...]
    notes: str
    derived: str | None
    cities: Places | None
    postal: PostalRules | None
    postal_start: re.Pattern[str] | None


class _Postal(NamedTuple):
    value: str | None
    notes: str
    valid: bool


class Normaliser:
    """Turns the records of one branch into items. Rules are loaded when the first record needs them."""

    def __init__(self, default_country: str | None, h3_resolution: int) -> None:
        self._default_country = default_country
        self._resolution = h3_resolution
        self._areas: dict[tuple[str | None, str | None], _Area] = {}
        self._postal_codes: dict[tuple[str | None, str], _Postal] = {}

    # One pass without further calls: on this path a call costs more than a branch is hard to read.
    def __call__(self, valid: Valid) -> Item:  # noqa: C901, PLR0912
        (
            record_id,
            name,
            kind,
            street,
            street2,
            city,
            region,
            postal_code,
            country,
            latitude,
            longitude,
            raw_url,
            updated,
            attributes,
            plain,
        ) = valid
        area = self._areas.get((country, region)) or self._new_area(country, region)
        flags = area.flags
        notes: list[str] = []
        if not plain:
            name = _cleaned("name", name, notes) or name
            kind = _cleaned("kind", kind, notes)
            if attributes is not None:
                attributes = _clean_attributes(attributes)
        if street2 is not None:
            street = _joined(street, street2, notes)
        elif not plain:
            street = _cleaned("street", street, notes)
        if city is not None:
            if area.cities is not None:
                city, unknown = _city(city, area.cities, notes)
                if unknown:
                    flags = (*flags, "city_unknown")
            elif not plain:
                city = _cleaned("city", city, notes)
        if postal_code is not None:
            postal = self._postal_codes.get((area.country, postal_code)) or self._new_postal(area, postal_code)
            postal_code = postal.value
            if postal.notes:
                notes.append(postal.notes)
            if not postal.valid:
                flags = (*flags, "postal_code_invalid")
            elif area.postal_start is not None and postal_code and not area.postal_start.match(postal_code):
                flags = (*flags, "postal_code_region_mismatch")
        cell = None
        if latitude is not None and longitude is not None:
            if latitude or longitude:
                cell = f"{_cell(latitude, longitude, self._resolution):x}"  # the usual form; h3's own text costs more
            else:
                flags = (*flags, "null_island")
        url = None
        if raw_url is not None:
            url, invalid = _url(raw_url, notes)
            if invalid:
                flags = (*flags, "url_invalid")
        if notes:
            if area.notes:
                notes.append(area.notes)
            derived = "{" + ",".join(notes) + "}"
        else:
            derived = area.derived
        return _new_item(
            Item,
            (
                record_id,
                name,
                kind,
                street,
                city,
                area.region,
                postal_code,
                area.country,
                latitude,
                longitude,
                cell,
                url,
                to_json(attributes).decode() if attributes else None,
                flags,
                derived,
                updated,
            ),
        )

    def _new_area(self, raw_country: str | None, raw_region: str | None) -> _Area:
        flags: list[str] = []
        notes: list[str] = []
        country = self._country(raw_country, flags, notes)
        rules = rules_of(country) if country is not None else None
        region, found = _region(raw_region, rules, flags, notes)
        known = rules.of_region(region) if rules is not None and region is not None and found else NO_REGION
        joined = ",".join(notes)
        area = _Area(
            country,
            region,
            tuple(flags),
            joined,
            "{" + joined + "}" if joined else None,
            known.cities,
            rules.postal if rules is not None else None,
            known.postal_start,
        )
        if len(self._areas) >= _AREAS:
            self._areas.clear()
        self._areas[raw_country, raw_region] = area
        return area

    def _country(self, raw: str | None, flags: list[str], notes: list[str]) -> str | None:
        if raw is None or not clean(raw):
            if self._default_country is not None:
                notes.append(note("country", None, "default", 0.5))
            return self._default_country
        code, method, confidence = countries.resolve(raw)
        if code is None:
            flags.append("country_unknown")
        if code != raw:
            notes.append(note("country", raw, method, confidence))
        return code

    def _new_postal(self, area: _Area, raw: str) -> _Postal:
        if area.postal is None:
            notes: list[str] = []
            postal = _Postal(_cleaned("postal_code", raw, notes), "".join(notes), valid=True)
        else:
            value, method, confidence, valid = area.postal.resolve(raw)
            postal = _Postal(value or None, note("postal_code", raw, method, confidence) if method else "", valid)
            if not value:  # nothing but invisible characters
                postal = postal._replace(valid=True)
        if len(self._postal_codes) >= _POSTAL_CODES:
            self._postal_codes.clear()
        self._postal_codes[area.country, raw] = postal
        return postal


def _region(raw: str | None, rules: CountryRules | None, flags: list[str], notes: list[str]) -> tuple[str | None, bool]:
    """The region, and whether the country's list has it."""
    if raw is None:
        return None, False
    text = clean(raw)
    if text and rules is not None and rules.regions is not None:
        found = rules.region(text)
        if found is not None:
            if found.value != raw:
                notes.append(note("region", raw, found.method or "cleaned", found.confidence))
            return found.value, True
        flags.append("region_unknown")
    if text != raw:
        notes.append(note("region", raw, "cleaned", 1.0))
    return text or None, False


def _city(raw: str, cities: Places, notes: list[str]) -> tuple[str | None, bool]:
    """The city, and whether the region's list lacks it."""
    text = clean(raw)
    found = cities.find(text)
    if found is None:
        return _cleaned("city", raw, notes), bool(text)
    if found.value != raw:
        notes.append(note("city", raw, found.method or "cleaned", found.confidence))
    return found.value, False


def _joined(street: str | None, street2: str, notes: list[str]) -> str | None:
    lines = [clean(line) for line in (street, street2) if line is not None]
    joined = ", ".join(line for line in lines if line)
    raw = [line for line in (street, street2) if line is not None]
    notes.append(f'"street":[{json.dumps(raw)},"joined",1.0]')
    return joined or None


def _url(raw: str, notes: list[str]) -> tuple[str | None, bool]:
    """The address, and whether it is to be flagged."""
    found = urls.resolve(raw)
    if found.url is None and not clean(raw):
        return None, False
    if found.method:
        kept = None if found is urls.WITH_CREDENTIALS else raw
        notes.append(note("url", kept, found.method, found.confidence))
    return found.url, found.url is None


def _cleaned(field: str, raw: str | None, notes: list[str]) -> str | None:
    if raw is None:
        return None
    text = clean(raw)
    if text != raw:
        notes.append(note(field, raw, "cleaned", 1.0))
    return text or None


def _clean_attributes(attributes: dict[str, Scalar]) -> dict[str, Scalar]:
    cleaned = {key: clean(value) if isinstance(value, str) else value for key, value in attributes.items()}
    return {key: value for key, value in cleaned.items() if value != ""}
