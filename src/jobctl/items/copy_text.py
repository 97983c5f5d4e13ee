"""An item as a line of PostgreSQL's COPY text format, and the hash of its content.

Both come from one rendering: the line's text says unambiguously what the item holds (tabs part the columns and are
escaped within them, null is told from empty), so hashing it costs no second serialisation.
"""

# hashlib's blake2b is this very class; taking it directly spares nothing but is typed the same.
from hashlib import blake2b

from jobctl.items.item import COPY_COLUMNS, Item

_TABS = len(COPY_COLUMNS) - 1
_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r", "\b": "\\b", "\f": "\\f", "\v": "\\v"})
# Stands for null until backslashes are escaped. No text that PostgreSQL can store has a NUL in it.
_NULL = "\0"


def copy_field(value: str | None) -> str:
    """One text value, escaped; null is backslash-N."""
    return "\\N" if value is None else value.translate(_ESCAPES)


def item_text(item: Item) -> str:
    """The columns of COPY_COLUMNS, escaped and separated by tabs, without the line's end. The item has no NUL in it."""
    (
        _,
        name,
        kind,
        street,
        city,
        region,
        postal_code,
        country,
        latitude,
        longitude,
        geo_cell,
        url,
        attributes,
        flags,
        derived,
        updated,
    ) = item
    columns = (
        name,
        _NULL if kind is None else kind,
        _NULL if street is None else street,
        _NULL if city is None else city,
        _NULL if region is None else region,
        _NULL if postal_code is None else postal_code,
        _NULL if country is None else country,
        _NULL if latitude is None else repr(latitude),
        _NULL if longitude is None else repr(longitude),
        _NULL if geo_cell is None else geo_cell,
        _NULL if url is None else url,
        _NULL if attributes is None else attributes,
        "{" + ",".join(flags) + "}" if flags else _NULL,
        _NULL if derived is None else derived,
        _NULL if updated is None else updated.isoformat(),
    )
    text = "\t".join(columns)
    if "\n" in text or "\r" in text or text.count("\t") != _TABS:
        text = "\t".join([column.translate(_ESCAPES) for column in columns])
    elif "\\" in text:
        text = text.replace("\\", "\\\\")
    return text.replace(_NULL, "\\N")


def content_hash(text: str) -> str:
    """128 bits over what `item_text` rendered, as the 32 hex digits that PostgreSQL reads as a uuid."""
    return blake2b(text.encode(), digest_size=16).hexdigest()
