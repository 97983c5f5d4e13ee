"""A JSON text read against a schema, and the reason where that fails.

The usual text is read by pydantic-core, in one pass and strictly. What it refuses is looked at again with Python's own
reader, which takes lone surrogates and long numbers: pydantic's refuses them anywhere, and we only where they are
mapped. No text makes either of them raise anything but `Refused`.
"""

import json
import math
import re
from typing import Any, Final, cast

from pydantic_core import ErrorDetails, SchemaValidator, ValidationError

from jobctl.items.reasons import Reason, Refused, called, shown

MAX_DEPTH: Final = 200  # pydantic-core's own limit
_SURE_DIGITS: Final = 640  # every Python turns so many into an int, however it is set


class _HugeNumber:
    """Stands for a whole number of more digits than Python would turn into an int."""


def read(schema: SchemaValidator, payload: str) -> dict[str, Any]:
    try:
        return schema.validate_json(payload)
    except ValidationError as error:
        return second_look(schema, payload, error)


def second_look(schema: SchemaValidator, payload: str, error: ValidationError) -> dict[str, Any]:
    """For a text that pydantic refused: its values after all, or the reason."""
    if not any(detail["loc"] for detail in error.errors(include_url=False, include_context=False)):
        try:
            return schema.validate_python(read_with_care(payload))
        except ValidationError as second:
            error = second
    raise _refusal(error.errors(include_url=False, include_context=False)) from None


def read_with_care(payload: str) -> dict[str, Any]:
    """The object in this text, also where it holds what pydantic's reader refuses."""
    if _is_too_deep(payload):
        raise Refused(Reason.NESTED_TOO_DEEP, "", f"nested deeper than {MAX_DEPTH} levels")
    try:
        record = json.loads(payload, parse_int=_int)
    except RecursionError:
        raise Refused(Reason.NESTED_TOO_DEEP, "", "nested too deep to be read") from None
    except ValueError as error:
        raise Refused(Reason.INVALID_JSON, "", ascii(str(error))[1:-1]) from None
    if not isinstance(record, dict):
        raise Refused(Reason.NOT_AN_OBJECT, "", f"the record is {called(record)}")
    return cast("dict[str, Any]", record)


def _int(digits: str) -> int | _HugeNumber:
    return int(digits) if len(digits) <= _SURE_DIGITS else _HugeNumber()


_SIGNS = re.compile(r'\\.|["\[{\]}]', re.DOTALL)  # an escape is taken whole, so that its quote ends no string


def _is_too_deep(payload: str) -> bool:
    """Whether objects and lists are nested deeper than may be, brackets inside strings not counted."""
    if payload.count("[") + payload.count("{") <= MAX_DEPTH:
        return False
    depth = 0
    in_string = False
    for token in _SIGNS.finditer(payload):
        sign = token[0]
        if sign == '"':
            in_string = not in_string
        elif in_string:
            continue
        elif sign in "[{":
            depth += 1
            if depth > MAX_DEPTH:
                return True
        elif sign in "]}":
            depth -= 1
    return False


def _refusal(errors: list[ErrorDetails]) -> Refused:
    """The reason behind pydantic's errors: of the first field that has any, in the order of the field map."""
    field = errors[0]["loc"][0]
    types = {error["type"] for error in errors if error["loc"][0] == field}
    value = errors[0]["input"]
    field = str(field)
    if "missing" in types:
        return Refused(Reason.MISSING_FIELD, field, "the source has no such member")
    if value is None or "string_too_short" in types:
        return Refused(Reason.EMPTY_FIELD, field, "null" if value is None else "empty")
    if isinstance(value, _HugeNumber) or types & {"less_than", "greater_than", "int_parsing_size"}:
        return Refused(Reason.NUMBER_TOO_LARGE, field, "a whole number of too many digits")
    if "finite_number" in types or (isinstance(value, float) and not math.isfinite(value)):
        return Refused(Reason.NOT_FINITE, field, "NaN, infinite, or beyond what a double holds")
    if "string_unicode" in types:
        return Refused(Reason.LONE_SURROGATE, field, f"in {shown(str(value))}")
    if "string_too_long" in types and isinstance(value, str):
        return Refused(Reason.TOO_LONG, field, f"{len(value)} characters: {shown(value)}")
    return Refused(Reason.WRONG_TYPE, field, f"the value is {called(value)}")
