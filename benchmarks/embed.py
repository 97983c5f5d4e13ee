"""How fast does `jobctl work` embed, against the model alone on the same texts?

    python benchmarks/embed.py [--rounds 3] [--times 1]
    python benchmarks/embed.py --endpoint 1000

Real airports (28,298, each `--times` over under another name) are ingested once; each round makes all vectors anew, in
turn by the packaged model alone, in a process of its own and in its best batches, and by `jobctl work` from queued
tasks: claimed under all limits, read, embedded, written and completed with a row of history each. The rate of `work`
is told from its first vector to its last, and for the whole process with its start and the loading of the model.
Processor time is told besides, which a busy machine changes less: of the model, of the worker and of PostgreSQL.

With `--endpoint N` the model is an HTTP endpoint on the loopback that makes N vectors a second, one request after the
other, as a larger model on a server does.
"""

import argparse
import csv
import gzip
import io
import json
import os
import resource
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psycopg
from server import machine, scratch_server

from jobctl.db import embedded
from jobctl.db.connection import Database

AIRPORTS = Path(__file__).parent.parent / "examples"
MODEL_ALONE = """
import sys, time
from jobctl.db.connection import Database
from jobctl.embeddings import packaged, store
from jobctl.embeddings.text import text_of

conn = Database(sys.argv[1], "bench").connect()
ids = [row[0] for row in conn.execute("SELECT item_id FROM core.items ORDER BY item_id").fetchall()]
batches = [store.read(conn, ids[at : at + 256], model_version="none") for at in range(0, len(ids), 256)]
texts = [text_of(item.source) for batch in batches for item in batch]
model = packaged.load()._inference
rates, cpu = [], []
for size in (64, 256, 1024):
    started, used = time.perf_counter(), time.process_time()
    for at in range(0, len(texts), size):
        model.embed(texts[at : at + size], batch_size=size)
    rates.append(len(texts) / (time.perf_counter() - started))
    cpu.append((time.process_time() - used) / len(texts))
print(max(rates), min(cpu))
"""
VECTOR = json.dumps({"embedding": [0.0123456789 * (n % 7 - 3) for n in range(256)]})
SPAN = "SELECT count(*), extract(epoch FROM max(embedded_at) - min(embedded_at))::float8 FROM core.embeddings"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--times", type=int, default=1, help="so many of each airport")
    parser.add_argument("--endpoint", type=int, help="vectors a second of an endpoint")
    asked = parser.parse_args()
    with scratch_server() as (data_dir, database):
        os.environ |= {"JOBCTL_DATA_DIR": str(data_dir), "JOBCTL_RUN_AS_USER": "nobody"}
        fill(asked.times)
        if asked.endpoint:
            with endpoint(asked.endpoint, data_dir):
                measure_endpoint(database, data_dir, asked.rounds, asked.endpoint)
        else:
            measure(database, data_dir, asked.rounds)


def measure_endpoint(database: Database, data_dir: Path, rounds: int, alone: int) -> None:
    with database.connect() as conn:
        print(f"{machine()}; {count(conn):,} airports, {rounds} rounds, endpoint {alone:,} texts/s")
        for _ in range(rounds):
            reset(conn)
            rate, _, cpu, report = worked(conn, data_dir)
            print(
                f"  work {rate:,.0f} tasks/s, ratio {rate / alone:.2f}; peak memory "
                f"{int(report['peak_memory_bytes']) / 1e6:,.0f} MB; us of processor a task: worker {cpu[0] * 1e6:.0f}"
            )


@contextmanager
def endpoint(rate: int, data_dir: Path) -> Generator[None, None, None]:
    """Listens meanwhile, and has the settings name it."""
    turn = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            texts = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["input"]
            with turn:
                time.sleep(len(texts) / rate)
            answer = f'{{"data": [{", ".join([VECTOR] * len(texts))}]}}'.encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: object) -> None: ...  # noqa: A002 - the base class calls it so

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    config = data_dir.parent / "jobctl.toml"
    url = f"http://127.0.0.1:{server.server_port}/v1"
    config.write_text(f'[embeddings]\nprovider = "http"\nurl = "{url}"\nmodel = "bench"\n')
    config.chmod(0o600)
    os.environ |= {"JOBCTL_CONFIG": str(config), "JOBCTL_EMBED_MODEL_VERSION": "bench"}
    yield
    server.shutdown()


def measure(database: Database, data_dir: Path, rounds: int) -> None:
    ratios: list[float] = []
    with database.connect() as conn:
        print(f"{machine()}; {count(conn):,} airports, {rounds} rounds")
        for _ in range(rounds):
            alone, alone_cpu = map(float, run([sys.executable, "-c", MODEL_ALONE, database.dsn]).split())
            reset(conn)
            rate, whole, cpu, report = worked(conn, data_dir)
            ratios.append(rate / alone)
            memory = int(report["peak_memory_bytes"]) / 1e6
            print(
                f"  model alone {alone:,.0f} texts/s; work {rate:,.0f} tasks/s, ratio {ratios[-1]:.2f} "
                f"(whole process {whole:,.0f}/s); peak memory {memory:,.0f} MB; us of processor a task: "
                f"model {alone_cpu * 1e6:.0f}, worker with it {cpu[0] * 1e6:.0f}, PostgreSQL {cpu[1] * 1e6:.0f}"
            )
        print(f"  median ratio {statistics.median(ratios):.2f}")


def worked(conn: psycopg.Connection, data_dir: Path) -> tuple[float, float, tuple[float, float], dict[str, Any]]:
    """Tasks a second from the first vector to the last, and in the whole process; seconds of processor that worker and
    server used for a task; and the run's report."""
    started = time.perf_counter()
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime, server_cpu_s(data_dir)
    report = json.loads(jobctl("work", "--type", "embed", "--json"))
    whole_s = time.perf_counter() - started
    row = conn.execute(SPAN).fetchone()
    assert row is not None and row[0] == report["counts"]["succeeded"] == count(conn)
    after = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime, server_cpu_s(data_dir)
    cpu = (after[0] - before[0]) / row[0], (after[1] - before[1]) / row[0]
    return row[0] / row[1], row[0] / whole_s, cpu, report


def server_cpu_s(data_dir: Path) -> float:
    """Of all processes of the server, also those that have ended."""
    postmaster = embedded.status(data_dir).pid
    total = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_bytes().rpartition(b")")[2].split()
        except OSError:
            continue
        if stat.parent.name == str(postmaster):
            total += sum(map(int, fields[11:15]))
        elif int(fields[1]) == postmaster:
            total += sum(map(int, fields[11:13]))
    return total / os.sysconf("SC_CLK_TCK")


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
