"""How long does `jobctl report` take over a year of 1,000 projects, how much memory, and how large is the mail?

    python benchmarks/report.py [--projects 1000] [--issues 200000] [--days 365] [--rounds 5]

Projects, issues and what hangs on them are those of `benchmarks/metrics.py`; the installed `jobctl metrics` makes this
hour's figures of them. A year is made of these in SQL: a row an hour of all, a row a day of each project, the runs of
all jobs by the plan, the queue's tries, slots and incidents. Then the installed command makes the report of the last
full week as a dry run, which reads, draws and renders all of it and sends nothing.
"""

import argparse
import json
import os
import resource
import statistics
import time

from metrics import jobctl, make
from server import machine, scratch_server

from jobctl.db.connection import Database

YEAR = (
    """INSERT INTO dev.metric_hours (hour, computed_at, run_id, rules_version, figures)
    SELECT h.hour - n * interval '1 hour', h.computed_at, h.run_id, h.rules_version,
        jsonb_set(h.figures, '{revenue_at_risk,per_day}', to_jsonb(round(random()::numeric * 100000, 2)))
    FROM dev.metric_hours AS h CROSS JOIN generate_series(1, %(days)s * 24) AS n ON CONFLICT DO NOTHING""",
    """INSERT INTO dev.project_days (project_id, day, computed_at, rules_version, facts, health_version, health, band)
    SELECT d.project_id, d.day - n, d.computed_at, d.rules_version, d.facts, d.health_version, made.health,
        CASE WHEN made.health >= 75 THEN 'healthy' WHEN made.health >= 50 THEN 'warning' ELSE 'critical' END
    FROM dev.project_days AS d CROSS JOIN generate_series(1, %(days)s) AS n
    CROSS JOIN LATERAL (SELECT round((random() * 100)::numeric + 0 * d.project_id, 1) AS health) AS made
    ON CONFLICT DO NOTHING""",
    """INSERT INTO branch.branches (slug, title, field_map, active, expected_freshness)
    SELECT 'branch-' || n, 'Branch', '{"record_id": "id"}', true, interval '1 day' FROM generate_series(1, 10) AS n""",
    """INSERT INTO ops.job_history (run_id, job, scope, correlation_id, status, exit_code, host, os_user,
        supervisor_pid, version, command, started_at, finished_at, duration_ms, counts)
    SELECT gen_random_uuid(), made.job, made.scope, 'c',
        CASE WHEN random() < 0.003 THEN 'failed' ELSE 'completed' END, 0, 'h', 'u', 1, '1', 'jobctl ' || made.job,
        made.at, made.at + interval '2 s', (random() * 60000)::bigint,
        '{"read": 5000, "inserted": 20, "updated": 30, "rejected": 2}'
    FROM (
        SELECT 'work' AS job, '' AS scope, now() - n * interval '5 min' AS at
            FROM generate_series(1, %(days)s * 288) AS n
        UNION ALL SELECT j, '', now() - n * interval '1 hour'
            FROM generate_series(1, %(days)s * 24) AS n CROSS JOIN unnest('{metrics,retry-failed}'::text[]) AS j
        UNION ALL SELECT 'ingest-branch', 'branch-' || k, now() - n * interval '1 hour'
            FROM generate_series(1, %(days)s * 24) AS n CROSS JOIN generate_series(1, 10) AS k
        UNION ALL SELECT 'sync', '', now() - n * interval '1 day' FROM generate_series(1, %(days)s) AS n
    ) AS made""",
    """INSERT INTO queue.attempts (task_id, fence, type, user_id, attempt, host, worker, due_at, claimed_at,
        finished_at, outcome)
    SELECT n, n, 'embed', '', 1, 'h', 'w', at, at, at, CASE WHEN n %% 50 = 0 THEN 'failed' ELSE 'succeeded' END
    FROM generate_series(1, %(days)s * 1000) AS n
    CROSS JOIN LATERAL (SELECT now() - (%(days)s * 1000 - n) * interval '86.4 s' AS at) AS when_""",
    """INSERT INTO ops.incidents (cause, state, severity, title, opened_at, last_seen_at, realert_every_s, resolved_at)
    SELECT 'cause ' || n, 'resolved', CASE WHEN n %% 3 = 0 THEN 'critical' ELSE 'warning' END, 'Incident ' || n,
        now() - n * interval '12 hours', now() - n * interval '12 hours', 3600, now() - n * interval '11 hours'
    FROM generate_series(1, %(days)s * 2) AS n""",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--projects", type=int, default=1_000)
    parser.add_argument("--issues", type=int, default=200_000)
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    with scratch_server() as (data_dir, database):
        os.environ |= {
            "JOBCTL_DATA_DIR": str(data_dir),
            "JOBCTL_RUN_AS_USER": "nobody",
            "EMAIL_FROM": "reports@example.org",
        }
        print(f"{machine()}; {asked.rounds} rounds", flush=True)
        make(database, asked.projects, asked.issues)
        jobctl("metrics")
        make_year(database, asked.days)
        measure(asked.rounds)


def make_year(database: Database, days: int) -> None:
    with database.connect() as conn:
        with conn.transaction():
            conn.execute("SELECT setseed(0.5)")
            for statement in YEAR:
                conn.execute(statement.encode(), {"days": days})
        for statement in ("VACUUM ANALYZE", "CHECKPOINT"):
            conn.execute(statement)
    print(f"{days} days of history", flush=True)


def measure(rounds: int) -> None:
    """The page as a look has it: read, drawn and rendered; then, once, the mail as a dry run has it."""
    took: list[float] = []
    for _ in range(rounds):
        started, cpu_before = time.perf_counter(), cpu_s()
        report = json.loads(jobctl("report", "--html", os.devnull, "--json"))
        process_s = time.perf_counter() - started
        took.append(report["duration_ms"] / 1_000)
        memory = report["peak_memory_bytes"] / 1e6
        told = f"job {took[-1]:.2f} s, process {process_s:.2f} s with {cpu_s() - cpu_before:.2f} s of processor time"
        print(f"  {told}; peak memory {memory:,.0f} MB", flush=True)
    print(f"  median: {statistics.median(took):.2f} s", flush=True)
    report = json.loads(jobctl("report", "--dry-run", "--json", "--to", "ann@example.org"))
    letter = report["letter"]
    images = sum(each["bytes"] for each in letter["images"])
    attached = sum(each["bytes"] for each in letter["attachments"])
    print(
        f"  page {letter['html'] / 1e3:.1f} kB, text {letter['text'] / 1e3:.1f} kB, tables {attached / 1e3:.1f} kB, "
        f"pictures {images / 1e3:.1f} kB; the mail as it is sent {letter['mail'] / 1e3:.1f} kB, of these about "
        f"{images * 1.37 / 1e3:.1f} kB pictures; {report['counts']}; peak {report['peak_memory_bytes'] / 1e6:,.0f} MB"
    )


def cpu_s() -> float:
    """Of all commands so far; the server's is not in it."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
