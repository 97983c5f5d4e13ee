"""An item as a line of COPY text, read back by a decoder of PostgreSQL's documented rules."""

import json
from datetime import UTC, datetime

from hypothesis import given, settings
from hypothesis import strategies as st

from jobctl.items.copy_text import content_hash, copy_field, item_text
from jobctl.items.item import COPY_COLUMNS, Item

PLAIN = Item("1", "Café", None, None, None, None, None, None, None, None, None, None, None, (), None, None)
UNESCAPED = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


def decoded(line: str) -> list[str | None]:
    """The columns of one line, as COPY FROM reads them."""
    assert line.endswith("\n")
    body = line[:-1]
    assert "\n" not in body
    assert "\r" not in body
    return [None if column == "\\N" else _unescaped(column) for column in body.split("\t")]


def _unescaped(column: str) -> str:
    signs, out = iter(column), ""
    for sign in signs:
        if sign == "\\":
            escaped = next(signs)
            out += UNESCAPED.get(escaped, escaped)
        else:
            out += sign
    return out


nasty = st.text(
    st.sampled_from("\\\t\n\r\b\f\vN.n{},\"' aé日😀") | st.characters(exclude_characters="\0", codec="utf-8")
)
maybe = st.none() | nasty
items = st.builds(
    Item,
    record_id=nasty,
    name=nasty,
    kind=maybe,
    street=maybe,
    city=maybe,
    region=maybe,
    postal_code=maybe,
    country=maybe,
    latitude=st.none() | st.floats(allow_nan=False, allow_infinity=False),
    longitude=st.none() | st.floats(allow_nan=False, allow_infinity=False),
    geo_cell=maybe,
    url=maybe,
    attributes_json=st.none() | st.dictionaries(nasty, nasty).map(json.dumps),
    flags=st.lists(st.sampled_from(["null_island", "url_invalid"])).map(tuple),
    derived_json=maybe,
    source_updated_at=st.none() | st.datetimes(timezones=st.just(UTC)),
)


@given(items)
@settings(max_examples=250, deadline=None, print_blob=True)
def test_every_column_comes_back_as_it_was(item: Item) -> None:
    columns = decoded("\t".join(("7", copy_field(item.record_id), copy_field(None), item_text(item))) + "\n")
    assert columns[:3] == ["7", item.record_id, None]
    values = dict(zip(COPY_COLUMNS, columns[3:], strict=True))
    for column in ("name", "kind", "street", "city", "region", "postal_code", "country", "geo_cell", "url"):
        assert values[column] == getattr(item, column)
    for column in ("latitude", "longitude"):
        text = values[column]
        assert (None if text is None else float(text)) == getattr(item, column)
    assert values["attributes"] == item.attributes_json
    assert values["derived"] == item.derived_json
    assert values["flags"] == ("{" + ",".join(item.flags) + "}" if item.flags else None)
    updated = values["source_updated_at"]
    assert (None if updated is None else datetime.fromisoformat(updated)) == item.source_updated_at


@given(items, items)
@settings(max_examples=200, deadline=None, print_blob=True)
def test_items_of_other_content_have_other_hashes(one: Item, other: Item) -> None:
    same = repr(one[1:]) == repr(other[1:])
    assert (content_hash(item_text(one)) == content_hash(item_text(other))) == same


def test_the_hash_sees_every_column_and_tells_null_from_empty_and_neighbours_apart() -> None:
    changed = {
        "name": "x",
        "kind": "",
        "street": "",
        "city": "",
        "region": "",
        "postal_code": "",
        "country": "",
        "latitude": 0.0,
        "longitude": 0.0,
        "geo_cell": "",
        "url": "",
        "attributes_json": "{}",
        "flags": ("a",),
        "derived_json": "{}",
        "source_updated_at": datetime(2026, 1, 1, tzinfo=UTC),
    }
    hashes = {content_hash(item_text(PLAIN._replace(**{field: value}))) for field, value in changed.items()}
    assert len(hashes | {content_hash(item_text(PLAIN))}) == len(changed) + 1 == len(COPY_COLUMNS) + 1


def test_the_hash_is_128_bits_in_hexadecimal_and_does_not_see_the_key() -> None:
    digest = content_hash(item_text(PLAIN))
    assert len(bytes.fromhex(digest)) == 16
    assert digest == content_hash(item_text(PLAIN._replace(record_id="2")))
    # Stored hashes are compared with new ones: they must not change from one version to the next unawares.
    assert digest == "928cb0cc13080f28d2be594882d49b4f"


def test_a_name_that_looks_like_null_or_the_end_of_data_is_not_taken_for_it() -> None:
    for name in ("\\N", "\\.", "N", ""):
        assert decoded(item_text(PLAIN._replace(name=name)) + "\n")[0] == name
