"""Where a branch's records hold our fields.

    {"record_id": "icao", "name": "name", "city": "address.city", "attributes.iata": "iata", "country": "=US"}

`address.city` is the member `city` of the object `address`; a member literally called `address.city`, as CSV headers
have them, goes before. `=US` is a constant. Fields: record_id and name (required), kind, street, street2, city, region,
postal_code, country, latitude, longitude, url, updated_at, and attributes.* for whatever else is to be kept.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, cast

from pydantic_core import CoreConfig, SchemaValidator, core_schema

_ATTRIBUTE_CHARS: Final = 2_000
_ATTRIBUTE: Final = re.compile(r"attributes\.[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}")

_UNSTORABLE: Final = re.compile("[\0\ud800-\udfff]")

# Texts by the most characters they may have.
_TEXTS: Final = {
    "name": 500,
    "kind": 200,
    "street": 500,
    "street2": 500,
    "city": 200,
    "region": 200,
    "postal_code": 40,
    "country": 200,
    "url": 2_000,
}
_RECORD_ID_CHARS: Final = 200
_NUMBER_CHARS: Final = 64
_DATE_CHARS: Final = 64
_NUMBERS_TOO = ("postal_code", "country")  # texts that sources also give as whole numbers
COORDINATES = ("latitude", "longitude")
REQUIRED = ("record_id", "name")
_NEVER_CONSTANT = (*REQUIRED, *COORDINATES, "updated_at")
FIELDS: Final = ("record_id", *_TEXTS, *COORDINATES, "updated_at")


def faults_of(field: str, source: object) -> Iterator[str]:
    """What is wrong with one line of a field map, in words."""
    if field not in FIELDS and not _ATTRIBUTE.fullmatch(field):
        yield f"{field!r:.80} is not a field of ours"
        return
    if not isinstance(source, str) or not source:
        yield f"the source of {field} is not the name of a member"
    elif _UNSTORABLE.search(source):
        yield f"the source of {field} has a NUL or a lone surrogate in it"
    elif not source.startswith("="):
        if not all(source.split(".")):
            yield f"the source of {field} is a path with an empty part: {source!r:.80}"
    elif field in _NEVER_CONSTANT:
        yield f"{field} cannot be a constant"
    elif not source[1:].strip():
        yield f"the constant of {field} is empty"
    elif len(source) - 1 > _TEXTS.get(field, _ATTRIBUTE_CHARS):
        yield f"the constant of {field} is too long"


def schema_of(sources: Mapping[str, str]) -> SchemaValidator:
    """Strict, with our fields as keys; every mapped field is in the result, absent ones as None."""
    fields = {field: _field(field, source) for field, source in sources.items()}
    return SchemaValidator(
        core_schema.typed_dict_schema(fields, extra_behavior="ignore", config=CoreConfig(loc_by_alias=False))
    )


def _field(field: str, source: str) -> core_schema.TypedDictField:
    alias: list[str | int] | list[list[str | int]] | str = source
    if "." in source:
        alias = [[source], list(source.split("."))]
    kind = _kind(field)
    if field in REQUIRED:
        return core_schema.typed_dict_field(kind, validation_alias=alias, required=True)
    absent = core_schema.with_default_schema(core_schema.nullable_schema(kind), default=None)
    return core_schema.typed_dict_field(absent, validation_alias=alias, required=False)


def _kind(field: str) -> core_schema.CoreSchema:
    """What a field's value may be. The first of a union that fits is taken."""
    real = core_schema.float_schema(strict=True, allow_inf_nan=False)
    if field == "record_id":
        return _either(_text(_RECORD_ID_CHARS, required=True), _whole(_RECORD_ID_CHARS))
    if field in COORDINATES:
        return _either(real, _text(_NUMBER_CHARS))
    if field == "updated_at":
        return _text(_DATE_CHARS)
    if field in _NUMBERS_TOO:
        return _either(_text(_TEXTS[field]), _whole(_TEXTS[field]))
    if field in _TEXTS:
        return _text(_TEXTS[field], required=field in REQUIRED)
    # Beyond 309 digits no double could take it either, so it is refused and never rounded to one.
    return _either(_text(_ATTRIBUTE_CHARS), _whole(309), real, core_schema.bool_schema(strict=True))


def _either(*choices: core_schema.CoreSchema) -> core_schema.CoreSchema:
    return core_schema.union_schema(list(choices), mode="left_to_right")


def _text(chars: int, *, required: bool = False) -> core_schema.CoreSchema:
    return core_schema.str_schema(
        strict=True, strip_whitespace=True, max_length=chars, min_length=1 if required else None
    )


def _whole(digits: int) -> core_schema.CoreSchema:
    return core_schema.int_schema(strict=True, lt=10**digits, gt=-(10**digits))


def has_path(record: Mapping[str, Any], path: str) -> bool:
    """Whether a source path leads to a member of this record, be it null."""
    if path in record:
        return True
    value: Any = record
    for name in path.split("."):
        if not isinstance(value, dict) or name not in value:
            return False
        value = cast("dict[str, Any]", value)[name]
    return True
