"""Does archiving a million rows keep a concurrent job's insert waiting, and how fast is it?

    python benchmarks/archive.py [--rows 1000000] [--rounds 3]

A session inserts one event at a time into ops.sync_events and ops.job_history, each in a transaction of its own that
waits for the disk, at a steady pace as jobs do: first alone for as long as the archive takes at least (`alone`), then
while the installed command archives as many rows of the same two tables (`beside`). Of each: the median, the 99th
percentile and the slowest insert. Nothing else is left out: the slowest one counts checkpoints and the machine, too,
which is why it is told beside what inserting alone saw.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from server import machine, scratch_server

from jobctl.db.connection import Database

PAUSE_S = 0.005
EVENTS = """
INSERT INTO ops.sync_events (run_id, job, at, level, event, fields)
SELECT gen_random_uuid(), 'sync', now() - interval '400 days' + n * interval '1 second', 'info', 'project_synced',
    jsonb_build_object('project', 'octo/project-' || n % 1000, 'outcome', 'ok', 'requests', n % 7, 'note', md5(n::text))
FROM generate_series(1, {rows}) AS n
"""
RUNS = """
INSERT INTO ops.job_history (run_id, job, correlation_id, status, host, os_user, supervisor_pid, version, command,
    started_at, finished_at, duration_ms, counts, metrics, notes)
SELECT gen_random_uuid(), 'ingest-branch', n::text, 'completed', 'host', 'jobctl', 4711, '0.1', 'jobctl ingest-branch',
    now() - interval '400 days' + n * interval '1 minute', now() - interval '399 days', 1000, '{{"read": 5000}}',
    '{{"rows_per_s": 4000.5}}', '["fine"]'
FROM generate_series(1, {rows}) AS n
"""
ADD_EVENT = """
INSERT INTO ops.sync_events (run_id, job, level, event, fields) VALUES (gen_random_uuid(), 'metrics', 'info', 'x', '{}')
"""
ADD_RUN = """
INSERT INTO ops.job_history (run_id, job, correlation_id, status, host, os_user, supervisor_pid, version, command,
    finished_at)
VALUES (gen_random_uuid(), 'other', '', 'completed', 'h', 'u', 1, '0', 'jobctl', clock_timestamp())
"""


class Waits(NamedTuple):
    inserts: int
    median_ms: float
    p99_ms: float
    slowest_ms: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    with scratch_server() as (data_dir, database):
        os.environ |= {"JOBCTL_DATA_DIR": str(data_dir), "JOBCTL_RUN_AS_USER": "nobody"}
        print(f"{machine()}; {asked.rounds} rounds; load {os.getloadavg()[0]:.1f}", flush=True)
        for _ in range(asked.rounds):
            make(database, asked.rows)
            measure(database, data_dir)


def make(database: Database, rows: int) -> None:
    """Nine events for each run."""
    with database.connect() as conn:
        conn.execute("TRUNCATE ops.sync_events, ops.job_history, ops.archives")
        conn.execute(EVENTS.format(rows=rows * 9 // 10 + 10_000).encode())
        conn.execute(RUNS.format(rows=rows // 10 + 1_000).encode())
        for statement in ("VACUUM ANALYZE", "CHECKPOINT"):
            conn.execute(statement)


def measure(database: Database, data_dir: Path) -> None:
    alone = inserting(database, lambda: time.sleep(30))
    report: dict[str, Any] = {}

    def archive() -> None:
        words = [str(Path(sys.executable).with_name("jobctl")), "archive", "run", "--json"]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"exit {done.returncode}: {done.stderr or done.stdout}")
        report.update(json.loads(done.stdout))

    beside = inserting(database, archive)
    counts = report["counts"]
    took_s = report["duration_ms"] / 1_000
    print(
        f"{counts['archived']:,} rows in {took_s:.1f} s, {counts['archived'] / took_s:,.0f} rows/s,"
        f" {counts['archive_files']} files of {counts['archive_bytes'] / 1e6:.1f} MB,"
        f" peak memory {report['peak_memory_bytes'] / 1e6:.0f} MB; load {os.getloadavg()[0]:.1f}"
    )
    for name, waits in (("alone", alone), ("beside", beside)):
        print(f"  {name}: {waits.inserts:,} inserts, median {waits.median_ms:.1f} ms, p99 {waits.p99_ms:.1f} ms,"
              f" slowest {waits.slowest_ms:.1f} ms")  # fmt: skip
    print(f"  ratio: median {beside.median_ms / alone.median_ms:.2f}, p99 {beside.p99_ms / alone.p99_ms:.2f},"
          f" slowest {beside.slowest_ms / alone.slowest_ms:.2f}", flush=True)  # fmt: skip
    sizes = sum(each.stat().st_size for each in (data_dir / "archive").glob("*.ndjson.gz"))
    assert sizes >= counts["archive_bytes"]


def inserting(database: Database, meanwhile: Callable[[], None]) -> Waits:
    """What the inserts waited while `meanwhile` ran."""
    over = threading.Event()
    waits: list[float] = []

    def insert() -> None:
        with database.connect() as conn:
            while not over.is_set():
                for statement in (ADD_EVENT, ADD_RUN):
                    started = time.perf_counter()
                    conn.execute(statement.encode())
                    waits.append((time.perf_counter() - started) * 1_000)
                over.wait(PAUSE_S)

    thread = threading.Thread(target=insert)
    thread.start()
    try:
        meanwhile()
    finally:
        over.set()
        thread.join()
    waits.sort()
    return Waits(len(waits), statistics.median(waits), waits[int(len(waits) * 0.99)], waits[-1])


if __name__ == "__main__":
    main()
