"""The normalised row: what a record becomes in `core.items`."""

from datetime import datetime
from typing import NamedTuple


class Item(NamedTuple):
    """One row of `core.items` as far as the record decides it. No text in it has NUL, tabs or line ends, except perhaps
    `record_id`, which is the source's own and stays as it came. Absent is None, never an empty text."""

    record_id: str
    name: str
    kind: str | None
    street: str | None
    city: str | None
    region: str | None
    postal_code: str | None
    country: str | None
    latitude: float | None
    longitude: float | None
    geo_cell: str | None
    url: str | None
    attributes_json: str | None
    flags: tuple[str, ...]
    derived_json: str | None
    source_updated_at: datetime | None


# The columns of core.items that an Item fills, in the order in which it holds them; the record's key is not among them.
COPY_COLUMNS = (
    "name",
    "kind",
    "street",
    "city",
    "region",
    "postal_code",
    "country",
    "latitude",
    "longitude",
    "geo_cell",
    "url",
    "attributes",
    "flags",
    "derived",
    "source_updated_at",
)
