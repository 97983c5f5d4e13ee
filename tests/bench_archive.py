"""The archive in this process: rows that are past, a run over them, and where each row is afterwards."""

import gzip
import uuid
from collections import Counter
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from bench_guarded import guarded
from jobctl.archives import store
from jobctl.archives.lines import columns_of, line_of, name_of
from jobctl.archives.rows import prepare
from jobctl.archives.sources import SOURCES
from jobctl.archives.store import Archive
from jobctl.db.connection import Database
from jobctl.jobs.report import archiving
from jobctl.jobs.report.archiving import Archived, Options
from jobctl.runtime.run import Run
from jobctl.runtime.stop import Stop
from jobctl.settings import Settings
from jobctl.settings_archive import KINDS, read_archive

SMALL = {"takes": list(KINDS), "keep_events": 100, "keep_runs": 10}


@dataclass
class Archiver:
    """`events` are those of the last run."""

    database: Database
    conn: psycopg.Connection
    directory: Path
    settings: Mapping[str, Any] = field(default_factory=lambda: dict(SMALL))
    stop: Stop = field(default_factory=Stop)
    events: list[tuple[str, dict[str, object]]] = field(default_factory=list[tuple[str, dict[str, object]]])

    def __call__(self, *, dry_run: bool = False, now: datetime | None = None, **options: Any) -> Archived:
        with self.run(dry_run=dry_run, now=now) as run:
            return archiving.archive(run, self.options(**options))

    def options(self, **options: Any) -> Options:
        table = read_archive({"directory": str(self.directory), **self.settings})
        return Options(Settings(data_dir=Path("/nonexistent"), archive=table), **options)

    @contextmanager
    def run(
        self, *, dry_run: bool = False, now: datetime | None = None, job: str = "report"
    ) -> Generator[Run, None, None]:
        self.events.clear()
        with guarded(
            self.database, self.conn, job, dry_run=dry_run, stop=self.stop, now=now, on_event=self._note
        ) as run:
            yield run

    def _note(self, level: str, event: str, fields: dict[str, object]) -> None:
        self.events.append((event, fields))

    def archives(self) -> list[Archive]:
        return store.listed(self.conn, limit=1_000)

    def files(self) -> list[str]:
        return sorted(each.name for each in self.directory.iterdir()) if self.directory.exists() else []

    def file_rows(self) -> "Counter[str]":
        """The lines of all files that stand under their names, with their table."""
        rows: Counter[str] = Counter()
        for path in self.directory.glob("*.ndjson.gz"):
            table = path.name.split("-")[0].rpartition(".")[0]
            rows.update(f"{table} {line}" for line in gzip.decompress(path.read_bytes()).decode().splitlines())
        return rows

    def table_rows(self) -> "Counter[str]":
        """The lines of all rows of the tables that are archived, with their table."""
        rows: Counter[str] = Counter()
        with self.conn.transaction():
            prepare(self.conn)
            for source in SOURCES:
                columns = columns_of(self.conn, source.table)
                statement = sql.SQL("SELECT {} FROM {} AS t").format(line_of(columns), name_of(source.table))
                rows.update(f"{source.table} {row[0]}" for row in self.conn.execute(statement).fetchall())
        return rows


def as_text(conn: psycopg.Connection, table: str) -> list[str]:
    """Each row with all its columns, as the server writes it."""
    statement = sql.SQL("SELECT t::text FROM {} AS t ORDER BY 1").format(name_of(table))
    return [row[0] for row in conn.execute(statement).fetchall()]


def seed(conn: psycopg.Connection, *, events: int = 250, runs: int = 30) -> None:
    """Of each kind some are past and some not: with SMALL, events - 100, runs - 10, and 3 of each other."""
    with conn.transaction():
        for statement in SEED:
            conn.execute(statement.encode(), {"events": events, "runs": runs})


def add_run(conn: psycopg.Connection, job: str, started_at: datetime, *, status: str = "completed") -> uuid.UUID:
    run_id = uuid.uuid4()
    is_over = status not in ("running", "pending")
    conn.execute(
        "INSERT INTO ops.job_history (run_id, job, correlation_id, status, host, os_user, supervisor_pid, version,"
        " command, started_at, finished_at) VALUES (%s, %s, '', %s, 'h', 'u', 1, '0', 'jobctl', %s, %s)",
        (run_id, job, status, started_at, started_at if is_over else None),
    )
    return run_id


SEED = (
    """INSERT INTO ops.sync_events (run_id, job, at, level, event, fields)
    SELECT gen_random_uuid(), 'sync', now() - interval '100 days' + n * interval '1 minute', 'info', 'noted ' || n,
        jsonb_build_object('nth', n, 'said', 'zwölf' || chr(10) || '"quoted"')
    FROM generate_series(1, %(events)s) AS n""",
    """INSERT INTO ops.job_history (run_id, scope, job, correlation_id, status, host, os_user, supervisor_pid, version,
        command, started_at, finished_at, duration_ms, counts, metrics, evidence)
    SELECT gen_random_uuid(), 'odd %%(x)s ''"\\', 'metrics', 'c', 'completed', 'h', 'u', 1, '0', 'jobctl metrics',
        now() - interval '200 days' + n / 2 * interval '1 hour', now() - interval '199 days', n, '{"read": 1}',
        '{"rate": 0.1}', CASE n %% 3 WHEN 0 THEN 'null'::jsonb WHEN 1 THEN '{"$jsonb": 1}' END
    FROM generate_series(1, %(runs)s) AS n""",
    """INSERT INTO branch.branches (slug, title, field_map) VALUES ('a', 'A', '{}'), ('b', 'B', '{}')""",
    """INSERT INTO branch.loads (branch_id, source, format, full_load, bytes, rows, inserted, updated, unchanged,
        duplicates, stale, withdrawn, loaded_at, duration_ms)
    SELECT branch_id, 'x', 'csv', true, 1, 1, 1, 0, 0, 0, 0, 0, now() - n * interval '91 days', 5
    FROM branch.branches CROSS JOIN generate_series(2, 1, -1) AS n
    UNION ALL SELECT branch_id, 'y', 'csv', true, 1, 1, 1, 0, 0, 0, 0, 0, now(), 5
    FROM branch.branches WHERE slug = 'a'""",
    """INSERT INTO branch.rejects (branch_id, record_no, record_key, run_id, reason, payload, payload_hash, rules,
        rejected_at, resolved_at, resolution)
    SELECT 1, n, n, gen_random_uuid(), 'bad', E'tab\\tand \\\\ back', gen_random_uuid(), '1',
        now() - interval '120 days',
        CASE WHEN n <> 5 THEN now() - CASE WHEN n < 3 THEN 80 ELSE 100 END * interval '1 day' END,
        CASE WHEN n <> 5 THEN 'accepted' END
    FROM generate_series(1, 6) AS n""",
    """INSERT INTO ops.incidents (cause, state, severity, title, opened_at, last_seen_at, realert_every_s, resolved_at)
    VALUES ('x', 'resolved', 'warning', 'X', now() - interval '120 days', now(), 60, now() - interval '100 days'),
        ('y', 'open', 'warning', 'Y', now() - interval '120 days', now(), 60, NULL)""",
    """INSERT INTO ops.incident_events (incident_id, at, event)
    SELECT incident_id, now() - interval '101 days', 'told' FROM ops.incidents CROSS JOIN generate_series(1, 3)""",
    """INSERT INTO dev.projects (node_id, github_id, full_name, is_private, is_fork, is_archived, stars,
        created_on_github_at) VALUES ('R_1', 1, 'octo/cat', false, false, false, 0, now())""",
    """INSERT INTO dev.payloads (node_id, part, project_id, payload, fetched_at)
    SELECT 'I_' || n, 'issue', project_id, decode(repeat('00ff', n), 'hex'), now() - n * interval '100 days'
    FROM dev.projects CROSS JOIN generate_series(0, 4) AS n""",
)
