"""How fast does `jobctl work` embed, against the model alone on the same texts?

    python benchmarks/embed.py [--rounds 3] [--times 1] [--batch 512]

Real airports (28,298, each `--times` over under another name) are ingested once; each round makes all vectors anew, in
turn by the packaged model alone, in a process of its own and in its best batches, and by `jobctl work` from queued
tasks: claimed under all limits, read, embedded, written and completed with a row of history each. The rate of `work`
is told from its first vector to its last, and for the whole process with its start and the loading of the model.
"""

import argparse
import csv
import gzip
import io
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psycopg
from server import machine, scratch_server

from jobctl.db.connection import Database

AIRPORTS = Path(__file__).parent.parent / "examples"
MODEL_ALONE = """
import sys, time
from jobctl.db.connection import Database
from jobctl.embeddings import packaged, store
from jobctl.embeddings.text import text_of

conn = Database(sys.argv[1], "bench").connect()
ids = [row[0] for row in conn.execute("SELECT item_id FROM core.items ORDER BY item_id").fetchall()]
texts = [text_of(item.source) for item in store.read(conn, ids, model_version="none")]
model = packaged.load()._inference
rates = []
for size in (64, 256, 1024):
    started = time.perf_counter()
    for at in range(0, len(texts), size):
        model.embed(texts[at : at + size], batch_size=size)
    rates.append(len(texts) / (time.perf_counter() - started))
print(max(rates))
"""
SPAN = "SELECT count(*), extract(epoch FROM max(embedded_at) - min(embedded_at))::float8 FROM core.embeddings"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--times", type=int, default=1, help="so many of each airport")
    parser.add_argument("--batch", type=int, default=512)
    asked = parser.parse_args()
    with scratch_server() as (data_dir, database):
        os.environ |= {"JOBCTL_DATA_DIR": str(data_dir), "JOBCTL_RUN_AS_USER": "nobody"}
        measure(database, asked.rounds, asked.times, asked.batch)


def measure(database: Database, rounds: int, times: int, batch: int) -> None:
    fill(times)
    ratios: list[float] = []
    with database.connect() as conn:
        print(f"{machine()}; {count(conn):,} airports, {rounds} rounds, --batch {batch}")
        for _ in range(rounds):
            alone = float(run([sys.executable, "-c", MODEL_ALONE, database.dsn]))
            reset(conn)
            rate, whole, report = worked(conn, batch)
            ratios.append(rate / alone)
            memory = int(report["peak_memory_bytes"]) / 1e6
            print(
                f"  model alone {alone:,.0f} texts/s; work {rate:,.0f} tasks/s, ratio {ratios[-1]:.2f} "
                f"(whole process {whole:,.0f}/s); peak memory {memory:,.0f} MB"
            )
        print(f"  median ratio {statistics.median(ratios):.2f}")


def worked(conn: psycopg.Connection, batch: int) -> tuple[float, float, dict[str, Any]]:
    """Tasks a second from the first vector to the last, and in the whole process; and the run's report."""
    started = time.perf_counter()
    report = json.loads(jobctl("work", "--type", "embed", "--batch", str(batch), "--concurrency", str(batch), "--json"))
    whole_s = time.perf_counter() - started
    row = conn.execute(SPAN).fetchone()
    assert row is not None and row[0] == report["counts"]["succeeded"] == count(conn)
    return row[0] / row[1], row[0] / whole_s, report


def fill(times: int) -> None:
    jobctl("branch", "add", "bench", "--map-file", str(AIRPORTS / "airports.map.json"))
    rows = io.StringIO()
    with gzip.open(AIRPORTS / "airports.csv.gz", "rt", encoding="utf-8", newline="") as file:
        source = list(csv.DictReader(file))
    writer = csv.DictWriter(rows, source[0])
    writer.writeheader()
    for n in range(times):
        writer.writerows(
            {**row, "icao": f"{row['icao']}{n}", "name": f"{row['name']} {n}" if n else row["name"]} for row in source
        )
    jobctl("branch", "load", "bench", "-", "--format", "csv", "--full", stdin=rows.getvalue())
    jobctl("branch", "activate", "bench")
    jobctl("ingest-branch")


def reset(conn: psycopg.Connection) -> None:
    conn.execute("TRUNCATE core.embeddings, queue.tasks, queue.attempts")
    jobctl("embeddings", "reembed")
    conn.execute("VACUUM ANALYZE queue.tasks")
    conn.execute("CHECKPOINT")


def count(conn: psycopg.Connection) -> int:
    row = conn.execute("SELECT count(*) FROM core.items").fetchone()
    assert row is not None
    return row[0]


def jobctl(*words: str, stdin: str = "") -> str:
    return run([sys.executable, "-m", "jobctl", *words], stdin)


def run(words: list[str], stdin: str = "") -> str:
    done = subprocess.run(words, input=stdin, capture_output=True, check=False, text=True)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(words[:6])} failed with {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout


if __name__ == "__main__":
    main()
