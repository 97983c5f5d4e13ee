"""What does a long history cost those who look at it, and what do their indexes cost those who write it?

    python benchmarks/monitor.py [--runs 1000000] [--events 10000000] [--days 365] [--rounds 7]

The whole process of `jobctl status`, on a database without any history and beside 1,000,000 runs and 10,000,000 events,
in turns (goal: 2 x at the most), and of `jobctl stats --since 90d` (goal: 2 s), beside the other questions of the
monitor, each asked in this process. Then what each index that the monitor asked for adds to the two statements that a
run writes its row by, and to an event: without the index, and with it, in turns on the same table.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo
from server import machine, scratch_server

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from bench_history import make_many
from jobctl.db.address import to_url
from jobctl.db.connection import Database
from jobctl.db.migrate import migrate
from jobctl.monitor.runs import events, faults, glance, slo_facts
from jobctl.monitor.runs import statistics as figures
from jobctl.runtime import history
from jobctl.runtime.identity import Identity
from jobctl.runtime.outcome import COMPLETED, ScopeReport
from jobctl.schedule.plan import PLAN
from jobctl.settings_alerts import AlertSettings
from jobctl.settings_monitor import SloSettings

WRITES = 2_000
INDEXES = {
    "job_history_by_start": ("ops.job_history", "run"),
    "sync_events_by_job": ("ops.sync_events", "event"),
    "sync_events_bad": ("ops.sync_events", "event"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1_000_000)
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--rounds", type=int, default=7)
    asked = parser.parse_args()
    with scratch_server() as (data_dir, database):
        os.environ |= {"JOBCTL_DATA_DIR": str(data_dir), "JOBCTL_RUN_AS_USER": "nobody"}
        print(f"{machine()}; {asked.rounds} rounds", flush=True)
        with database.connect() as conn:
            conn.execute(sql.SQL("CREATE DATABASE empty"))
            now = datetime.now(UTC)
            started = time.perf_counter()
            make_many(conn, runs=asked.runs, events=asked.events, until=now, span=timedelta(days=asked.days))
            conn.execute(sql.SQL("CHECKPOINT"))
            took = time.perf_counter() - started
            print(
                f"{asked.runs:,} runs and {asked.events:,} events of {asked.days} days, made in {took:.0f} s",
                flush=True,
            )
            empty = Database(make_conninfo(database.dsn, dbname="empty"), "jobctl-bench")
            migrate(empty)
            measure_processes(database.dsn, empty.dsn, asked.rounds)
            measure_questions(conn, now, asked.rounds)
            measure_indexes(conn, asked.rounds)


def measure_processes(long_dsn: str, empty_dsn: str, rounds: int) -> None:
    """The first round, which warms the caches, does not count."""
    took: dict[str, list[float]] = {}
    for _ in range(rounds + 1):
        for name, dsn, words in (
            ("status, empty", empty_dsn, ("status", "--json")),
            ("status, long", long_dsn, ("status", "--json")),
            ("stats of 90 days, empty", empty_dsn, ("stats", "--since", "90d", "--json")),
            ("stats of 90 days, long", long_dsn, ("stats", "--since", "90d", "--json")),
        ):
            took.setdefault(name, []).append(process_s(dsn, *words))
    medians = {name: statistics.median(each[1:]) for name, each in took.items()}
    for name, each in took.items():
        print(
            f"  {name}: {medians[name] * 1e3:.0f} ms ({min(each[1:]) * 1e3:.0f}-{max(each[1:]) * 1e3:.0f})", flush=True
        )
    ratios = [long / empty for long, empty in zip(took["status, long"][1:], took["status, empty"][1:], strict=True)]
    print(f"  status: {statistics.median(ratios):.2f} x ({min(ratios):.2f}-{max(ratios):.2f})", flush=True)


def process_s(dsn: str, *words: str) -> float:
    command = [str(Path(sys.executable).with_name("jobctl")), *words]
    started = time.perf_counter()
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env=os.environ | {"DATABASE_URL": to_url(dsn)}
    )
    took = time.perf_counter() - started
    if done.returncode:
        raise SystemExit(f"jobctl {' '.join(words)}: exit {done.returncode}: {done.stderr or done.stdout}")
    json.loads(done.stdout)
    return took


def measure_questions(conn: psycopg.Connection, now: datetime, rounds: int) -> None:
    def since(days: float) -> datetime:
        return now - timedelta(days=days)

    questions: dict[str, Callable[[], object]] = {
        "glance": lambda: glance.gather(conn, AlertSettings().conditions, host="vm1", now=now),
        "statistics of 90 days": lambda: figures.statistics(conn, since=since(90), until=now, zone="UTC"),
        "statistics of 7 days": lambda: figures.statistics(conn, since=since(7), until=now, zone="UTC"),
        "slow runs of 90 days": lambda: faults.slow(conn, since=since(90), until=now, default_s=300, limits_s={}),
        "promises over 30 days": lambda: slo_facts.levels(conn, SloSettings(), (), PLAN, "UTC", now),
        "events of a day": lambda: events.page(conn, since=since(1)),
        "events of a job, 30 days": lambda: events.page(conn, since=since(30), job="report"),
        "errors of a job, 30 days": lambda: events.page(conn, since=since(30), job="sync", level="error"),
    }
    for name, question in questions.items():
        spent = [cost(conn, question) for _ in range(rounds)]
        first, rest = (each * 1e3 for each in (spent[0].s, statistics.median(each.s for each in spent)))
        cpu = statistics.median(each.cpu_s for each in spent) * 1e3
        print(f"  {name}: first {first:.0f} ms, then {rest:.0f} ms, of which processor {cpu:.0f} ms", flush=True)


class Cost(NamedTuple):
    """`cpu_s` is the processor time of the server's side, which tells more where other work runs beside."""

    s: float
    cpu_s: float


def cost(conn: psycopg.Connection, work: Callable[[], object]) -> Cost:
    started, began_with = time.perf_counter(), cpu_s(conn.info.backend_pid)
    work()
    return Cost(time.perf_counter() - started, cpu_s(conn.info.backend_pid) - began_with)


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(int(field) for field in fields[11:13]) / os.sysconf("SC_CLK_TCK")


def measure_indexes(conn: psycopg.Connection, rounds: int) -> None:
    """The disk is not waited for, so that the index is what differs."""
    conn.execute(sql.SQL("SET synchronous_commit TO off"))
    for name, (table, what) in INDEXES.items():
        write = write_run if what == "run" else write_event
        made = conn.execute("SELECT pg_catalog.pg_get_indexdef(%s::regclass)", (f"ops.{name}",)).fetchone()
        size = conn.execute("SELECT pg_catalog.pg_relation_size(%s::regclass)", (f"ops.{name}",)).fetchone()
        assert made is not None and size is not None
        found: dict[bool, list[Cost]] = {True: [], False: []}
        for nth in range(2 * (rounds // 2 + 1)):  # who goes first writes whole pages to the log
            for is_there in (nth % 2 == 0, nth % 2 == 1):
                with conn.transaction(force_rollback=True):
                    if not is_there:
                        conn.execute(sql.SQL("DROP INDEX ops.{}").format(sql.Identifier(name)))
                    found[is_there].append(cost(conn, partial(written, conn, write)))
        told = (
            f"{statistics.median(each.s for each in of) / WRITES * 1e6:.0f} us (processor "
            f"{statistics.median(each.cpu_s for each in of) / WRITES * 1e6:.0f})"
            for of in (found[True], found[False])
        )
        with_it, without = told
        print(f"  {name} ({size[0] / 1e6:,.0f} MB of {table}): {with_it} a {what}, without it {without}", flush=True)


def written(conn: psycopg.Connection, write: Callable[[psycopg.Connection], None]) -> None:
    for _ in range(WRITES):
        write(conn)


def write_run(conn: psycopg.Connection) -> None:
    """Its row when it begins, and its end."""
    run_id = uuid4()
    who = Identity(run_id, "sync", "c", "vm1", "jobctl", 1, "0.1", "jobctl sync")
    started_at = history.start(conn, who, "", lock_key=1, fence=1, worker_pid=1, guard_backend_pid=1, lease_s=60)
    report = ScopeReport("", COMPLETED, started_at, started_at, 1_000, counts={"projects": 5})
    history.finish(conn, run_id, report, dropped_log_lines=0)


EVENT = """
INSERT INTO ops.sync_events (run_id, job, level, event, fields) VALUES (%s, 'sync', 'warning', 'page_read', '{}')
"""


def write_event(conn: psycopg.Connection) -> None:
    conn.execute(EVENT, (uuid4(),))


if __name__ == "__main__":
    main()
