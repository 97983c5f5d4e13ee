"""What do alerts add to the end of a run, and how long do their commands take beside 100,000 incidents?

    python benchmarks/alerts.py [--rounds 15] [--ends 300] [--incidents 100000]

The end: a row of history is written in a transaction, alone and with its judgement, in turn, by one connection; the job
has run each minute of twelve weeks. A run of two minutes is compared with its like, a short one is not. As whole
processes: `jobctl run` around a command that fails and one that does not, in turn, so that each run has something to
tell; without alerts, with them, with a channel that takes each message, and with one that takes the connection and
never answers. The commands are whole processes, too, before and after the incidents are there.
"""

import argparse
import os
import statistics
import subprocess
import sys
import sysconfig
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import psycopg
from server import machine, scratch_server

from jobctl import clock
from jobctl.alerts import delivery, judging, store
from jobctl.alerts.judging import Ended
from jobctl.db.connection import Database
from jobctl.redact import Redactor
from jobctl.settings import Settings
from jobctl.settings_alerts import read_alerts

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from bench_webhook import Receiver, answer, hang

JOB = "work"
ROW = """
INSERT INTO ops.job_history (run_id, job, scope, correlation_id, status, exit_code, host, os_user, supervisor_pid,
    version, command, started_at, finished_at, duration_ms, counts, error_class, error_message)
VALUES (%(run_id)s, %(job)s, '', 'c', %(status)s, 0, 'vm1', 'u', 1, '0', 'x', clock_timestamp(), clock_timestamp(),
    %(took_ms)s, '{"claimed": 100}', %(error)s, 'away')
"""
HISTORY = """
INSERT INTO ops.job_history (run_id, job, scope, correlation_id, status, exit_code, host, os_user, supervisor_pid,
    version, command, started_at, finished_at, duration_ms, counts)
SELECT gen_random_uuid(), %(job)s, '', 'c', 'completed', 0, 'vm1', 'u', 1, '0', 'x', at, at, 120000, '{"claimed": 100}'
FROM generate_series(now() - interval '12 weeks', now() - interval '1 minute', interval '1 minute') AS at
"""
INCIDENTS = (
    """INSERT INTO ops.incidents (cause, state, severity, title, facts, opened_at, last_seen_at, told_at,
        realert_every_s, occurrences, notices, resolved_at)
    SELECT 'run/sync/' || n %% 500, 'resolved', 'warning', 'sync failed: SourceError',
        '[["status", "failed, exit code 1"], ["error", "SourceError: it is gone"]]', at, at, at, 21600, 3, 2,
        at + interval '1 hour'
    FROM generate_series(1, %(incidents)s) AS n
    CROSS JOIN LATERAL (SELECT now() - n * interval '5 minutes' AS at) AS opened""",
    """INSERT INTO ops.alerts (incident_id, condition, subject, title, job, occurrences, first_seen_at, last_seen_at,
        cleared_at)
    SELECT incident_id, condition, 'sync', title, 'sync', 3, opened_at, opened_at, resolved_at
    FROM ops.incidents CROSS JOIN unnest(ARRAY['run-failed', 'consecutive-failures']) AS condition""",
    """INSERT INTO ops.incident_events (incident_id, at, event, said)
    SELECT incident_id, opened_at, event, title
    FROM ops.incidents CROSS JOIN unnest(ARRAY['opened', 'again', 'resolved']) AS event ORDER BY opened_at""",
)
SCRIPT = str(Path(sysconfig.get_path("scripts")) / "jobctl")
COMPARED = {
    "conditions": {"anomaly-duration": {"jobs": {"work": 5}, "least_s": 100}, "unusual-run": {"enabled": False}}
}
# Neither is it flapping, nor is failing again and again told as an incident of its own.
TOLD_EACH_TIME = """
[alerts]
flaps = 100
[alerts.conditions.consecutive-failures]
enabled = false
[alerts.conditions.failure-rate]
enabled = false
"""
COMMANDS = (
    ("list", ["list"]),
    ("list --all", ["list", "--all", "--since", "3650d"]),
    ("list --all --job, none has it", ["list", "--all", "--job", "metrics"]),
    ("show", ["show", "1"]),
    ("history", ["history"]),
    ("rules", ["rules"]),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15, help="of whole processes; 0: only questions")
    parser.add_argument("--ends", type=int, default=300)
    parser.add_argument("--incidents", type=int, default=100_000)
    asked = parser.parse_args()
    with scratch_server() as (data_dir, database):
        print(f"{machine()}; {asked.rounds} rounds, {asked.ends} ends", flush=True)
        with database.connect() as conn:
            conn.execute(HISTORY, {"job": JOB})
            conn.execute("VACUUM ANALYZE ops.job_history")
        ends(database, data_dir, asked.ends)
        if asked.rounds:
            processes(database, data_dir, asked.rounds)
        with database.connect() as conn:
            conn.execute("TRUNCATE ops.incidents, ops.outbox RESTART IDENTITY CASCADE")
            conn.execute(INCIDENTS[0].encode(), {"incidents": 1})
        questions(database)
        few = commands(data_dir, asked.rounds)
        with database.connect() as conn:
            conn.execute("TRUNCATE ops.incidents RESTART IDENTITY CASCADE")
            for statement in INCIDENTS:
                conn.execute(statement.encode(), {"incidents": asked.incidents})
            conn.execute("VACUUM ANALYZE ops.incidents, ops.alerts, ops.incident_events")
        print(f"{asked.incidents:,} incidents", flush=True)
        questions(database)
        many = commands(data_dir, asked.rounds)
        for name, took_s in many.items():
            print(f"  jobctl alerts {name:30} {took_s * 1000:6.0f} ms, of one incident {few[name] * 1000:6.0f} ms")
        ends(database, data_dir, asked.ends)


class Way(NamedTuple):
    """How a run ended, and whether that is judged."""

    name: str
    is_judged: bool = True
    status: str = "completed"
    took_ms: int = 10


ALONE = Way("row alone", is_judged=False)
WAYS = (
    (ALONE, Way("it went well"), Way("and is compared with its like", took_ms=120_000)),
    (ALONE, Way("it failed once more", status="failed")),
)


def ends(database: Database, data_dir: Path, number: int) -> None:
    settings, redactor = Settings(data_dir=data_dir), Redactor([])
    settings = settings.model_copy(update={"alerts": read_alerts(COMPARED)})
    with database.connect() as conn:
        for ways in WAYS:
            taken: dict[str, list[float]] = {way.name: [] for way in ways}
            for nth in range(number + 20):
                for way in ways:
                    started = time.perf_counter()
                    end(conn, settings, redactor, way)
                    if nth >= 20:  # the first ones prepare the statements, and open the incident
                        taken[way.name].append(time.perf_counter() - started)
            alone = statistics.median(taken[ALONE.name])
            for name, times in taken.items():
                took, best = statistics.median(times), min(times)
                told = f"  {name:29} {took * 1000:6.2f} ms, {took / alone:4.1f} x the row alone"
                print(f"{told}; at best {best * 1000:.2f} ms", flush=True)
        end(conn, settings, redactor, Way("it is well again"))


def end(conn: psycopg.Connection, settings: Settings, redactor: Redactor, way: Way) -> None:
    error = "Boom" if way.status == "failed" else None
    values = {"run_id": uuid.uuid4(), "job": JOB, "status": way.status, "took_ms": way.took_ms, "error": error}
    with conn.transaction():
        conn.execute(ROW, values)
        if way.is_judged:
            judging.runs_ended(conn, settings, redactor, [Ended(JOB, "")])


def processes(database: Database, data_dir: Path, rounds: int) -> None:
    """Each round has a run that opens an incident and one that ends it. What the dead channel left undelivered goes, or
    the next run would send it through the other one."""
    off, on = data_dir.parent / "off.toml", data_dir.parent / "on.toml"
    off.write_text("[alerts]\nenabled = false\n")
    on.write_text(TOLD_EACH_TIME)
    with Receiver(answer(200)) as well, Receiver(hang) as dead, database.connect() as conn:
        variants = {
            "without alerts": {"JOBCTL_CONFIG": str(off)},
            "no channel": {"JOBCTL_CONFIG": str(on)},
            "a channel": {"JOBCTL_CONFIG": str(on), **slack(well.url)},
            "a dead channel": {"JOBCTL_CONFIG": str(on), **slack(dead.url)},
        }
        taken: dict[str, list[float]] = {name: [] for name in variants}
        for number in range(rounds + 1):
            for name, variables in variants.items():
                for word, code in (("false", 1), ("true", 0)):
                    took_s = timed([SCRIPT, "run", name.replace(" ", "-"), "--", word], data_dir, variables, code)
                    conn.execute("TRUNCATE ops.outbox")
                    if number:
                        taken[name].append(took_s)
        arrived = len(well.bodies)
    without = statistics.median(taken["without alerts"])
    for name, times in taken.items():
        median, most = statistics.median(times), max(times)
        told = f"  jobctl run, {name:14} {median * 1000:6.0f} ms, {median / without:4.2f} x without alerts; "
        print(f"{told}{(median - without) * 1000:+.0f} ms, at most {(most - without) * 1000:+.0f}", flush=True)
    if arrived != (due := 2 * (rounds + 1)):
        raise SystemExit(f"{arrived} messages arrived where {due} are due: one for each opening and each end")
    print(f"  {arrived} messages arrived; a channel may cost {delivery.BUDGET_S:.0f} s", flush=True)


def slack(url: str) -> dict[str, str]:
    return {"ENABLE_SLACK_ALERTS": "true", "SLACK_WEBHOOK_URL": url}


def questions(database: Database) -> None:
    """What the commands ask, at best, which a busy machine changes least."""
    ever, week = datetime(1970, 1, 1, tzinfo=UTC), clock.utc_now() - timedelta(days=7)
    with database.connect() as conn:
        asked: dict[str, Callable[[], object]] = {
            "list": lambda: store.rows(conn, since=ever, state="open"),
            "list --all": lambda: store.rows(conn, since=ever),
            "list --all --job, none has it": lambda: store.rows(conn, since=ever, job="metrics"),
            "show": lambda: [store.rows(conn, since=ever, incident_id=1), store.alerts_of(conn, 1)],
            "history": lambda: store.events(conn, since=week),
            "history, none so young": lambda: store.events(conn, since=clock.utc_now()),
        }
        for name, ask in asked.items():
            best = float("inf")
            for _ in range(20):
                started = time.perf_counter()
                ask()
                best = min(best, time.perf_counter() - started)
            print(f"  its questions: {name:30} {best * 1000:7.2f} ms", flush=True)


def commands(data_dir: Path, rounds: int) -> dict[str, float]:
    if not rounds:
        return {}
    taken: dict[str, list[float]] = {name: [] for name, _ in COMMANDS}
    for number in range(rounds + 1):
        for name, words in COMMANDS:
            took_s = timed([SCRIPT, "alerts", *words], data_dir, {}, 0)
            if number:
                taken[name].append(took_s)
    return {name: statistics.median(times) for name, times in taken.items() if times}


def timed(command: list[str], data_dir: Path, variables: dict[str, str], code: int) -> float:
    environment = os.environ | {"JOBCTL_DATA_DIR": str(data_dir), "JOBCTL_RUN_AS_USER": "nobody"} | variables
    started = time.perf_counter()
    done = subprocess.run(command, capture_output=True, check=False, env=environment)
    if done.returncode != code:
        raise SystemExit(f"{command} ended with {done.returncode}: {done.stderr.decode()}")
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
