"""What a record holds for us, between its judgement and its normalisation."""

from datetime import datetime
from typing import NamedTuple

Scalar = str | int | float | bool


class Valid(NamedTuple):
    """A record's mapped values, typed, trimmed, absent ones None; not yet normalised.

    `plain` says that every text in it is clean already, so that nobody need look again."""

    record_id: str
    name: str
    kind: str | None
    street: str | None
    street2: str | None
    city: str | None
    region: str | None
    postal_code: str | None
    country: str | None
    latitude: float | None
    longitude: float | None
    url: str | None
    source_updated_at: datetime | None
    attributes: dict[str, Scalar] | None
    plain: bool
