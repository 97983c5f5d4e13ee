"""Whether a source's record can become an item, and what our fields of it are.

A source may be a CSV file: numbers may come as text, an empty text means absent. Only mapped values are judged; what
else the record holds may be as broken as it likes, as long as the text can be read as JSON. `field_map` says how fields
are mapped, `reasons` for what a record is refused.
"""

import math
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from operator import itemgetter
from typing import Any, NoReturn, cast

from pydantic_core import ValidationError

from jobctl.errors import DataError
from jobctl.items.field_map import FIELDS, REQUIRED, faults_of, has_path, schema_of
from jobctl.items.normalise.coordinates import fault_of
from jobctl.items.normalise.text import clean, is_clean
from jobctl.items.reading import read, read_with_care, second_look
from jobctl.items.reasons import Reason, Refused, Rejection, shown
from jobctl.items.valid import Scalar, Valid

# A call of the class itself would unpack and pack the values once more.
_new_valid = cast(
    "Callable[[type[Valid], tuple[Any, ...]], Valid]",
    tuple.__new__,
)
_pick = itemgetter(*FIELDS)


class Validator:
    """Judges the records of one branch. Made by `compile_field_map`; holds no state but its schema."""

    def __init__(self, sources: Mapping[str, str], constants: Mapping[str, str], max_payload_chars: int) -> None:
        self.source_fields: tuple[str, ...] = tuple(dict.fromkeys(path.partition(".")[0] for path in sources.values()))
        self._sources = dict(sources)
        self._max_chars = max_payload_chars
        self._schema = schema_of(sources)
        self._key_schema = schema_of({"record_id": sources["record_id"]})
        self._fill = {field: constants.get(field) for field in FIELDS if field not in sources}
        self._attributes = sorted(
            (field.removeprefix("attributes."), field) for field in (*sources, *constants) if field not in FIELDS
        )
        self._fill |= {field: value for field, value in constants.items() if field not in FIELDS}
        self._plain_constants = all(is_clean(value) and "\\" not in value for value in constants.values())

    def validate(self, payload: str) -> Valid | Rejection:
        """The record's values, or why it is refused. Raises for no text at all."""
        try:
            return self._validate(payload)
        except Refused as refused:
            return refused.rejection

    def key_of(self, payload: str) -> str | None:
        """The record's id as `validate` would give it; None where it would refuse the record for it."""
        try:
            self._check_size(payload)
            record_id = read(self._key_schema, payload)["record_id"]
            record_id = record_id if isinstance(record_id, str) else str(record_id)
            _check_texts({"record_id": record_id}, payload)
        except Refused:
            return None
        return record_id if clean(record_id) else None

    def missing_in(self, payloads: Iterable[str]) -> tuple[str, ...]:
        """The mapped source paths that no record of a sample has; a branch whose source changed its names shows so."""
        missing = set(self._sources.values())
        for payload in payloads:
            if not missing:
                break
            try:
                record = read_with_care(payload)
            except Refused:
                continue
            missing = {path for path in missing if not has_path(record, path)}
        return tuple(path for path in dict.fromkeys(self._sources.values()) if path in missing)

    # One pass without further calls: on this path a call costs more than a branch is hard to read.
    def _validate(self, payload: str) -> Valid:  # noqa: C901
        if len(payload) > self._max_chars:
            self._check_size(payload)
        try:
            row: dict[str, Any] = self._schema.validate_json(payload)
        except ValidationError as error:
            row = second_look(self._schema, payload, error)
        # With no escape in the JSON text no string in it can hold a control character; then one look at the whole text
        # says what a look at each string would. In ASCII that leaves one sign that is not to be seen, DEL.
        plain = (
            "\\" not in payload
            and (("\x7f" not in payload and "  " not in payload) if payload.isascii() else is_clean(payload))
            and self._plain_constants
        )
        if not plain:
            _check_texts(row, payload)
        row.update(self._fill)
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
            url,
            latitude,
            longitude,
            updated,
        ) = _pick(row)
        if record_id.__class__ is int:
            record_id = str(record_id)
        if postal_code.__class__ is int:
            postal_code = str(postal_code)
        if country.__class__ is int:
            country = str(country)
        if not plain:
            _check_visible("record_id", record_id)
            _check_visible("name", name)
        if latitude.__class__ is str:
            latitude = _number("latitude", latitude)
        if longitude.__class__ is str:
            longitude = _number("longitude", longitude)
        if latitude is None or longitude is None:
            if latitude is not longitude:
                _refuse_incomplete("latitude" if latitude is None else "longitude")
        elif not (-90.0 <= latitude <= 90.0 and -180.0 <= longitude <= 180.0):
            _refuse_coordinates(latitude, longitude)
        attributes: dict[str, Scalar] | None = None
        if self._attributes:
            attributes = {
                key: value for key, field in self._attributes if (value := row[field]) is not None and value != ""
            }
        return _new_valid(
            Valid,
            (
                record_id,
                name,
                kind or None,
                street or None,
                street2 or None,
                city or None,
                region or None,
                postal_code or None,
                country or None,
                latitude,
                longitude,
                url or None,
                _moment(updated) if updated else None,
                attributes or None,
                plain,
            ),
        )

    def _check_size(self, payload: str) -> None:
        if len(payload) > self._max_chars:
            raise Refused(Reason.TOO_LARGE, "", f"{len(payload)} characters, where a record may have {self._max_chars}")


def compile_field_map(field_map: Mapping[str, str], *, max_payload_chars: int = 1_000_000) -> Validator:
    """A validator for the records that this field map describes. Raises DataError that names every fault of the map."""
    faults = [fault for field, source in field_map.items() for fault in faults_of(field, source)]
    faults += [f"{field} is required and not mapped" for field in REQUIRED if field not in field_map]
    if faults:
        raise DataError(
            f"the field map is wrong: {'; '.join(faults)}",
            hint=f"fields are {', '.join(FIELDS)} and attributes.<name>; a source is a member's name, "
            "a path such as address.city, or a constant such as =US",
        )
    constants = {field: source[1:].strip() for field, source in field_map.items() if source.startswith("=")}
    sources = {field: source for field, source in field_map.items() if field not in constants}
    return Validator(sources, constants, max_payload_chars)


def _check_texts(row: Mapping[str, Any], payload: str) -> None:
    if "\\u0000" not in payload:  # the only way to write it in JSON
        return
    for field, value in row.items():
        if isinstance(value, str) and "\0" in value:
            raise Refused(Reason.NUL_CHARACTER, field, f"in {shown(value)}")


def _check_visible(field: str, text: str) -> None:
    if not clean(text):
        raise Refused(Reason.EMPTY_FIELD, field, f"nothing visible: {shown(text)}")


def _number(field: str, text: str) -> float | None:
    if not text:
        return None
    try:
        # float() also takes digits of all scripts and underscores, which no CSV file means.
        number = float(text) if text.isascii() and "_" not in text else None
    except ValueError:
        number = None
    if number is None:
        raise Refused(Reason.WRONG_TYPE, field, f"not a number: {shown(text)}")
    if not math.isfinite(number):
        raise Refused(Reason.NOT_FINITE, field, f"not finite: {shown(text)}")
    return number


def _refuse_incomplete(field: str) -> NoReturn:
    raise Refused(Reason.COORDINATES_INCOMPLETE, field, "absent, while the other coordinate is there")


def _refuse_coordinates(latitude: float, longitude: float) -> NoReturn:
    fault = fault_of(latitude, longitude)
    if fault is None:
        raise AssertionError("these coordinates are on Earth")
    field = "latitude" if abs(latitude) > 90.0 else "longitude"
    raise Refused(Reason(fault.value), field, f"latitude {latitude!r}, longitude {longitude!r}")


_DATE_LIKE = re.compile(r"\d{4}-?\d\d-?\d\d(?:[T ]\d\d.*)?|\d{4}-?W\d\d.*", re.ASCII | re.DOTALL)


def _moment(text: str) -> datetime:
    """The moment in UTC; what has no zone is taken for UTC, a date for its first moment."""
    try:
        moment = datetime.fromisoformat(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        reason = Reason.NO_SUCH_DATE if _DATE_LIKE.fullmatch(text) else Reason.NOT_A_DATE
        raise Refused(reason, "updated_at", shown(text)) from None
