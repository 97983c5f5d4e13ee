"""PostgreSQL itself reads the lines that `copy_text` renders: nothing it refuses, nothing it reads otherwise."""

import json
from datetime import UTC, datetime

import psycopg

from jobctl.items.copy_text import content_hash, item_text
from jobctl.items.item import COPY_COLUMNS, Item
from jobctl.items.normalise.normaliser import Normaliser
from jobctl.items.record import Valid, compile_field_map

COPY = f"COPY pg_temp.landed (n, content_hash, {', '.join(COPY_COLUMNS)}) FROM STDIN"
TABLE = """
CREATE TEMPORARY TABLE landed AS
SELECT 0 AS n, content_hash, name, kind, street, city, region, postal_code, country, latitude, longitude, geo_cell, url,
       attributes, flags, derived, source_updated_at
FROM core.items WITH NO DATA
"""
READ = """
SELECT name, kind, street, city, region, postal_code, country, latitude, longitude, geo_cell, url,
       attributes, flags, derived, source_updated_at
FROM pg_temp.landed ORDER BY n
"""


def landed(conn: psycopg.Connection, items: list[Item]) -> list[tuple[object, ...]]:
    conn.execute(TABLE)
    texts = [item_text(item) for item in items]
    with conn.cursor() as cursor, cursor.copy(COPY.encode()) as copy:
        copy.write("".join(f"{n}\t{content_hash(text)}\t{text}\n" for n, text in enumerate(texts)))
    return conn.execute(READ).fetchall()


def as_stored(item: Item) -> tuple[object, ...]:
    values = item._asdict()
    del values["record_id"]
    values["attributes_json"] = item.attributes_json and json.loads(item.attributes_json)
    values["derived_json"] = item.derived_json and json.loads(item.derived_json)
    values["flags"] = list(item.flags) or None
    return tuple(values.values())


def test_nasty_items_arrive_as_they_are(conn: psycopg.Connection) -> None:
    nasty = ["\\N", "\\.", "a\tb\nc\rd\\e", "", "'\"{},", "日本😀", "\b\f\v", "\\x41", "NULL"]
    long_ago = datetime(1, 1, 1, tzinfo=UTC)
    flags = ("null_island", "url_invalid")
    items = [
        Item(
            "1",
            text,
            text,
            None,
            text,
            None,
            text,
            None,
            5e-324,
            -179.12345678901,
            text,
            None,
            json.dumps({"a": text}),
            flags,
            None,
            long_ago,
        )
        for text in nasty
    ]
    assert landed(conn, items) == [as_stored(item) for item in items]


def test_normalised_records_arrive_as_they_are(conn: psycopg.Connection) -> None:
    validator = compile_field_map(
        {"record_id": "id", "name": "name", "city": "city", "country": "country", "url": "url", "latitude": "lat",
         "longitude": "lon", "updated_at": "at", "attributes.a": "a"}
    )  # fmt: skip
    records = [
        {
            "id": 1,
            "name": 'a\\b "q"\u0007\t',
            "city": "\u200bRome\x7f",
            "country": "Deutschland",
            "a": 'x\\"y\n\u0001z',
        },
        {
            "id": 2,
            "name": "\U0001f600",
            "country": "\\N",
            "url": "https://x.org/?a\\b",
            "lat": 0,
            "lon": 0,
            "a": 10**300,
        },
        {"id": 3, "name": "x", "lat": "1e-300", "lon": "-0.0", "at": "9999-12-31T23:59:59.999999Z", "a": 1.25e-10},
        {"id": 4, "name": "x", "at": "0001-01-01", "a": False},
    ]
    normalise = Normaliser("GB", 8)
    valid = [validator.validate(json.dumps(record)) for record in records]
    items = [normalise(record) for record in valid if isinstance(record, Valid)]
    assert len(items) == len(records)
    assert landed(conn, items) == [as_stored(item) for item in items]
