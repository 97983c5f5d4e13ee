"""How long does the hourly `jobctl metrics` take, against the bare SQL of its facts?

    python benchmarks/metrics.py [--projects 10000] [--issues 1000000] [--rounds 3] [--growth]

Projects, labels, issues, pull requests, reviews and commits of three years are made in SQL, from a seed. The bare SQL
is each of the job's own questions, asked page by page as the job asks, its answers taken over the wire and not looked
at. The job is the installed command, whose own duration and peak memory are told, and its time as a process, with the
start. The first run writes all rows of the day; the further ones change few. `--growth` measures a quarter and a half
of it first.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
from server import machine, scratch_server

from jobctl import clock
from jobctl.db.connection import Database
from jobctl.jobs.metrics import job
from jobctl.jobs.metrics.definitions import definitions_of
from jobctl.service_levels import bugs, pauses, reading
from jobctl.service_levels.facts import Window
from jobctl.settings import Settings

LABELS = ("bug", "p0", "p1", "p2", "enhancement", "docs", "impact: 900", "duplicate", "on hold", "good first issue")
MAKE = (
    """INSERT INTO dev.projects (node_id, github_id, full_name, is_private, is_fork, is_archived, stars,
        created_on_github_at, team)
    SELECT 'R_' || n, n, 'octo/project-' || n, true, false, false, 0, now() - interval '4 years', 'team-' || n %% 40
    FROM generate_series(1, %(projects)s) AS n""",
    """INSERT INTO dev.labels (label_id, node_id, project_id, name)
    SELECT p.project_id * 10 + l.nth - 1, 'L_' || p.project_id * 10 + l.nth - 1, p.project_id, l.name
    FROM dev.projects AS p CROSS JOIN unnest(%(labels)s::text[]) WITH ORDINALITY AS l (name, nth)""",
    """INSERT INTO dev.issues (node_id, github_id, project_id, number, is_pull, title, body, state, author,
        author_is_bot, assignees, label_ids, created_at, updated_at, closed_at, first_response_at)
    SELECT 'I_' || n, n, project_id, n, is_pull, 'Title of ' || n,
        CASE WHEN n %% 20 = 0 THEN E'### Revenue impact per day\\n\\n$' || n %% 2000 || E'\\n\\n### What\\n\\n'
            ELSE '' END || repeat(md5(n::text), 12),
        CASE WHEN took IS NULL THEN 'open' ELSE 'closed' END, 'person-' || n %% 7000, n %% 12 = 0,
        CASE WHEN n %% 3 = 0 THEN '{}' ELSE ARRAY['person-' || n %% 50] END,
        CASE WHEN is_pull THEN '{}' WHEN n %% 2 = 0 THEN ARRAY[project_id * 10, project_id * 10 + 1 + n %% 9]
            ELSE ARRAY[project_id * 10 + 4 + n %% 5] END,
        opened, opened + coalesce(took, interval '1 day'), opened + took,
        CASE WHEN n %% 4 > 0 THEN opened + interval '1 hour' * (n %% 50) END
    FROM (
        SELECT n, p.project_id, n %% 10 < 3 AS is_pull,
            now() - interval '1 hour' - random() * interval '3 years' AS opened,
            CASE WHEN random() < 0.85 THEN interval '1 hour' + random() * interval '10 days' END AS took
        FROM generate_series(1, %(issues)s) AS n
        JOIN (SELECT project_id, row_number() OVER (ORDER BY project_id) - 1 AS nth FROM dev.projects) AS p
            ON p.nth = n * %(projects)s::bigint / (%(issues)s + 1)
    ) AS made""",
    """INSERT INTO dev.label_events (project_id, node_id, label_node_id, at, is_added)
    SELECT project_id, node_id, 'L_' || label_id, created_at + random() * interval '1 hour', true
    FROM dev.issues CROSS JOIN unnest(label_ids) AS label_id WHERE NOT is_pull""",
    """INSERT INTO dev.assignee_events (project_id, node_id, login, at, is_added)
    SELECT project_id, node_id, login, created_at + random() * interval '1 hour', true
    FROM dev.issues CROSS JOIN unnest(assignees) AS login WHERE NOT is_pull""",
    """INSERT INTO dev.pulls (node_id, project_id, is_draft, merged_at, base_branch, head_branch, additions, deletions,
        changed_files, commits, first_commit_at, ready_at)
    SELECT node_id, project_id, false, closed_at, 'main', 'topic', number %% 700, number %% 90, 3, 2,
        created_at - random() * interval '2 days', NULL
    FROM dev.issues WHERE is_pull""",
    """INSERT INTO dev.reviews (node_id, pull_node_id, project_id, author, state, submitted_at)
    SELECT 'V_' || i.number || '_' || k, i.node_id, i.project_id, 'person-' || (i.number + k) %% 7000, 'APPROVED',
        i.created_at + random() * coalesce(i.closed_at - i.created_at, interval '1 day')
    FROM dev.issues AS i CROSS JOIN generate_series(1, 2) AS k WHERE i.is_pull""",
    """INSERT INTO dev.commits (project_id, sha, author, author_name, subject, authored_at, committed_at)
    SELECT p.project_id, md5(p.project_id || '/' || k), 'person-' || (k * k) %% 9, 'Person', 'work', at, at
    FROM dev.projects AS p CROSS JOIN generate_series(1, 60) AS k
    CROSS JOIN LATERAL (SELECT now() - random() * interval '365 days' + 0 * k * interval '1 s' AS at) AS when_""",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--projects", type=int, default=10_000)
    parser.add_argument("--issues", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--growth", action="store_true", help="a quarter and a half first")
    asked = parser.parse_args()
    with scratch_server() as (data_dir, database):
        os.environ |= {"JOBCTL_DATA_DIR": str(data_dir), "JOBCTL_RUN_AS_USER": "nobody"}
        print(f"{machine()}; {asked.rounds} rounds", flush=True)
        for parts in (4, 2, 1) if asked.growth else (1,):
            make(database, asked.projects // parts, asked.issues // parts)
            measure(database, asked.rounds)


def make(database: Database, projects: int, issues: int) -> None:
    values = {"projects": projects, "issues": issues, "labels": list(LABELS)}
    with database.connect() as conn:
        conn.execute("TRUNCATE dev.projects, dev.metric_hours, dev.metric_rules RESTART IDENTITY CASCADE")
        with conn.transaction():
            conn.execute("SELECT setseed(0.5)")
            for statement in MAKE:
                conn.execute(statement.encode(), values)
        for statement in ("VACUUM ANALYZE", "CHECKPOINT"):
            conn.execute(statement)
    print(f"{projects:,} projects, {issues:,} issues and pull requests", flush=True)


def measure(database: Database, rounds: int) -> None:
    ratios: list[float] = []
    for nth in range(rounds + 1):
        bare = bare_s(database)
        started = time.perf_counter()
        report: dict[str, Any] = json.loads(jobctl("metrics", "--json"))
        process_s = time.perf_counter() - started
        took = report["duration_ms"] / 1_000
        told = f"  bare SQL {bare:.2f} s; job {took:.2f} s, {took / bare:.2f} x; process {process_s:.2f} s; "
        print(told + f"peak memory {report['peak_memory_bytes'] / 1e6:,.0f} MB; {report['counts']}", flush=True)
        if nth:
            ratios.append(took / bare)
    print(f"  median of the further runs: {statistics.median(ratios):.2f} x", flush=True)


def bare_s(database: Database) -> float:
    """Each question of each page, as the job asks."""
    settings = Settings(data_dir=Path("/nonexistent"))
    as_of = clock.utc_now()
    rulers = job.rulers_of(definitions_of(settings), as_of)
    window = Window(as_of, min(rulers.starts[0], as_of - timedelta(days=30)))
    meanings = {name: bugs.meaning(rulers.rules, name) for name in LABELS}
    meanings = {name: each for name, each in meanings.items() if each != bugs.NO_MEANING}
    pausing = [name for name, each in meanings.items() if each.pauses]
    total = 0.0
    with database.connect() as conn:
        known = reading.projects(conn)
        for start in range(0, len(known), job.PAGE):
            ids = [each.project_id for each in known[start : start + job.PAGE]]
            total += sum(
                asked_s(conn, statement, values)
                for statement, values in (
                    (reading.LABEL_NAMES.encode(), {"project_ids": ids}),
                    (reading.statement("bugs"), reading.bugs_values(ids, window, meanings, rulers.rules.impact_field)),
                    (reading.statement("flow"), reading.flow_values(ids, window)),
                    (reading.statement("pulls"), reading.merged_values(ids, window, (rulers.starts[-5], as_of))),
                    (reading.statement("people"), reading.people_values(ids, window)),
                    (pauses.OF_PROJECTS.encode(), {"project_ids": ids, "as_of": as_of}),
                    (pauses.CHANGES.encode(), {"project_ids": ids, "as_of": as_of, "labels": pausing}),
                )
            )
    return total


def asked_s(conn: psycopg.Connection, statement: bytes, values: dict[str, Any]) -> float:
    started = time.perf_counter()
    conn.execute(statement, values, prepare=True)
    return time.perf_counter() - started


def jobctl(*words: str) -> str:
    command = [str(Path(sys.executable).with_name("jobctl")), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"jobctl {' '.join(words)}: exit {done.returncode}: {done.stderr or done.stdout}")
    return done.stdout


if __name__ == "__main__":
    main()
