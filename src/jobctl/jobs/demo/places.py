"""The sample branch: its loads, records, items and rejects, judged by the code that judges real ones. Pure."""

import json
from datetime import timedelta
from hashlib import blake2b
from typing import Any, Final, NamedTuple
from uuid import UUID

from jobctl.items.copy_text import content_hash, item_text
from jobctl.items.item import COPY_COLUMNS
from jobctl.items.normalise.normaliser import NORMALISER_VERSION, Normaliser
from jobctl.items.record import Rejection, compile_field_map
from jobctl.jobs.demo.plan import BRANCH, Plan, Row

PLACES: Final = 300
BAD: Final = 14
FIELD_MAP: Final = {
    "record_id": "id",
    "name": "name",
    "kind": "kind",
    "street": "address.street",
    "city": "address.city",
    "postal_code": "address.postcode",
    "country": "address.country",
    "latitude": "lat",
    "longitude": "lon",
    "url": "web",
}
# City, country, postal code, latitude, longitude.
CITIES: Final = (
    ("Bern", "CH", "3011", 46.948, 7.447),
    ("Lyon", "FR", "69002", 45.758, 4.832),
    ("Graz", "AT", "8010", 47.071, 15.438),
    ("Bremen", "DE", "28195", 53.079, 8.802),
    ("Gent", "BE", "9000", 51.054, 3.725),
    ("Porto", "PT", "4000-322", 41.150, -8.611),
    ("Malmö", "SE", "211 20", 55.605, 13.004),
    ("Utrecht", "NL", "3511 AB", 52.091, 5.122),
)
KINDS: Final = ("workshop", "library", "bakery", "museum", "station")
COLUMNS: Final = {
    "branch.branches": (
        *("branch_id", "slug", "title", "field_map", "default_country", "active", "loaded_at", "created_at"),
        "updated_at",
    ),
    "branch.loads": (
        *("load_id", "branch_id", "source", "format", "full_load", "bytes", "rows", "inserted", "updated", "unchanged"),
        *("duplicates", "stale", "withdrawn", "loaded_at", "duration_ms"),
    ),
    "branch.records": (
        *("record_no", "branch_id", "record_key", "payload", "payload_hash", "source_version", "load_id"),
        *("first_loaded_at", "changed_at"),
    ),
    "branch.rejects": (
        *("reject_id", "branch_id", "record_no", "record_key", "run_id", "reason", "field", "detail", "payload"),
        *("payload_hash", "rules", "rejected_at"),
    ),
    "core.items": (
        *("item_id", "branch_id", "record_key", "source_version", "payload_hash", "content_hash", "rules", "run_id"),
        *("first_seen_at", "last_changed_at"),
        *COPY_COLUMNS,
    ),
}


class Ingested(NamedTuple):
    """By which run the items came in, and by which resolution their cells were made."""

    run_id: UUID
    h3_resolution: int
    largest_payload: int


def rows(plan: Plan, by: Ingested) -> dict[str, list[Row]]:
    made: dict[str, list[Row]] = {table: [] for table in COLUMNS}
    at = plan.ago(5)
    made["branch.branches"].append((
        1, BRANCH, "Sample places (demo)", json.dumps(FIELD_MAP), None, True, plan.as_of - timedelta(hours=2),
        plan.start, at,
    ))  # fmt: skip
    validator = compile_field_map(FIELD_MAP, max_payload_chars=by.largest_payload)
    normalise, rules = Normaliser(None, by.h3_resolution), f"{NORMALISER_VERSION}.1.{by.h3_resolution}"
    size = 0
    for nth in range(1, PLACES + 1):
        key = f"place-{nth:04d}"
        payload = json.dumps(_place(plan, nth, key))
        size += len(payload)
        digest = blake2b(payload.encode(), digest_size=16).hexdigest()
        made["branch.records"].append((nth, 1, key, payload, digest, 1, 1, plan.start, at))
        judged = validator.validate(payload)
        if isinstance(judged, Rejection):
            made["branch.rejects"].append((
                len(made["branch.rejects"]) + 1, 1, nth, key, by.run_id, judged.reason, judged.field, judged.detail,
                payload, digest, rules, at,
            ))  # fmt: skip
            continue
        item = normalise(judged)
        values: list[Any] = [list(value) or None if isinstance(value, tuple) else value for value in item[1:]]
        made["core.items"].append((
            nth, 1, key, 1, digest, content_hash(item_text(item)), rules, by.run_id, plan.start, at, *values,
        ))  # fmt: skip
    for nth in range(1, 13):
        inserted = PLACES if nth == 1 else 0
        updated = 0 if nth == 1 else 3 + nth
        made["branch.loads"].append((
            nth, 1, f"places-{nth:02d}.ndjson.gz", "ndjson", True, size, PLACES, inserted, updated,
            PLACES - inserted - updated, 0, 0, 0, plan.ago(30 * (12 - nth)) - timedelta(hours=2), 180 + 7 * nth,
        ))  # fmt: skip
    return made


def _place(plan: Plan, nth: int, key: str) -> dict[str, Any]:
    """One of so many is wrong: without a name, beyond the pole, or with a date for a number."""
    random = plan.random("place", nth)
    city, country, code, latitude, longitude = random.choice(CITIES)
    kind = random.choice(KINDS)
    place: dict[str, Any] = {
        "id": key,
        "name": f"{kind.title()} {nth}",
        "kind": kind,
        "address": {"street": f"Sample Street {1 + nth % 90}", "city": city, "postcode": code, "country": country},
        "lat": round(latitude + random.uniform(-0.04, 0.04), 5),
        "lon": round(longitude + random.uniform(-0.04, 0.04), 5),
        "web": f"https://www.example.com/places/{nth}",
    }
    if nth % (PLACES // BAD) == 0:
        place |= random.choice(({"name": ""}, {"lat": 123.4}, {"lon": "2024-02-30"}))
    return place
