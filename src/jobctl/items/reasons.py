"""Why a record is refused.

reason                    the record is refused because
invalid_json              the text is not JSON
not_an_object             it is JSON, but not an object
too_large                 the whole text is longer than a record may be
nested_too_deep           objects and lists in it are nested deeper than 200 levels
missing_field             the source has no member for a required field
empty_field               a required field is null, empty, or of nothing visible
wrong_type                a value is of a type that the field cannot be (a list for a name, true for a number)
too_long                  a text is longer than the field may be
nul_character             a text has a NUL in it, which PostgreSQL cannot store
lone_surrogate            a text has half of a surrogate pair in it, which is no character
not_finite                a number is NaN or infinite, as a token or as text, or too large for a double
number_too_large          a whole number has more digits than the field may have
coordinate_out_of_range   latitude is beyond 90 or longitude beyond 180 degrees
coordinates_swapped       latitude can only be a longitude, and longitude could be the latitude
coordinates_incomplete    there is one of latitude and longitude, but not the other
not_a_date                updated_at is not an ISO 8601 date or date and time
no_such_date              updated_at looks like one, but the calendar or the clock does not have it
"""

from enum import StrEnum
from functools import cache
from typing import Final, NamedTuple

from jobctl.redact import Redactor

_DETAIL_CHARS: Final = 300
_SHOWN_CHARS: Final = 60


class Reason(StrEnum):
    INVALID_JSON = "invalid_json"
    NOT_AN_OBJECT = "not_an_object"
    TOO_LARGE = "too_large"
    NESTED_TOO_DEEP = "nested_too_deep"
    MISSING_FIELD = "missing_field"
    EMPTY_FIELD = "empty_field"
    WRONG_TYPE = "wrong_type"
    TOO_LONG = "too_long"
    NUL_CHARACTER = "nul_character"
    LONE_SURROGATE = "lone_surrogate"
    NOT_FINITE = "not_finite"
    NUMBER_TOO_LARGE = "number_too_large"
    COORDINATE_OUT_OF_RANGE = "coordinate_out_of_range"
    COORDINATES_SWAPPED = "coordinates_swapped"
    COORDINATES_INCOMPLETE = "coordinates_incomplete"
    NOT_A_DATE = "not_a_date"
    NO_SUCH_DATE = "no_such_date"


class Rejection(NamedTuple):
    """Why a record is refused; `field` is ours, '' for the whole record; `detail` is short, printable ASCII."""

    reason: Reason
    field: str
    detail: str


class Refused(Exception):
    """Carries a rejection out of the depths of a judgement; never leaves the validator."""

    def __init__(self, reason: Reason, field: str, detail: str) -> None:
        super().__init__(detail)
        self.rejection = Rejection(reason, field, detail[:_DETAIL_CHARS])


@cache
def _redactor() -> Redactor:
    return Redactor()


def shown(text: str) -> str:
    """The start of a text as printable ASCII, for the detail of a rejection; what looks like a secret is taken out."""
    return ascii(_redactor().text(text[:_SHOWN_CHARS])) + ("..." if len(text) > _SHOWN_CHARS else "")


def called(value: object) -> str:
    """A value's type as JSON calls it, never the value itself: it may be huge."""
    match value:
        case None:
            return "null"
        case bool():
            return "true or false"
        case int():
            return "a whole number"
        case str():
            return "text"
        case list():
            return "a list"
        case dict():
            return "an object"
        case _:
            return "a number"
