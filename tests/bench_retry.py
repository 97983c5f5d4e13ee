"""Tasks as they are after a bad night, with the rows of their tries, so that the queue's books are in order."""

import random
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from bench_guarded import guarded
from jobctl import clock
from jobctl.alerts.verdict import Verdict
from jobctl.db.connection import Database
from jobctl.jobs.retry_failed import job
from jobctl.jobs.retry_failed.job import Options
from jobctl.redact import Redactor
from jobctl.runtime.outcome import Outcome
from jobctl.runtime.stop import Stop
from jobctl.settings import Settings
from jobctl.settings_queue import read_queue

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)

INSERT_TRY = """
INSERT INTO queue.attempts (task_id, fence, type, user_id, attempt, host, worker, due_at, claimed_at, finished_at,
    outcome, error_class, is_recoverable)
SELECT %(task_id)s, nextval('queue.fences'), t.type, t.user_id, 1, 'vm1', 'vm1/1', now() - interval '1 year',
    now() - %(ago)s, now() - %(ago)s, %(outcome)s, %(error_class)s, true
FROM queue.tasks AS t WHERE t.task_id = %(task_id)s
"""


@dataclass(frozen=True)
class Queue:
    conn: psycopg.Connection

    def task(
        self, *, state: str = "queued", ago: timedelta | None = None, outcomes: tuple[str, ...] = (), **columns: Any
    ) -> int:
        """A task, and a try for each outcome. `ago` is when it ended, or was created if it has not."""
        crashes = outcomes.count("crashed")
        values: dict[str, object] = {
            "type": "crawl",
            "state": state,
            "attempts": len(outcomes) + (state == "running"),
            "crashes": crashes,
            **columns,
        }
        statement = sql.SQL("INSERT INTO queue.tasks ({}) VALUES ({}) RETURNING task_id").format(
            sql.SQL(", ").join(map(sql.Identifier, values)), sql.SQL(", ").join(map(sql.Placeholder, values))
        )
        task_id = self.value(statement, values)
        ended = state in ("succeeded", "failed", "cancelled")
        self.conn.execute(
            "UPDATE queue.tasks SET created_at = now() - %(ago)s, updated_at = now() - %(ago)s,"
            " finished_at = CASE WHEN %(ended)s THEN now() - %(ago)s END WHERE task_id = %(task_id)s",
            {"ago": ago or timedelta(0), "ended": ended, "task_id": task_id},
        )
        for outcome in outcomes:
            self.attempt(task_id, outcome, ago=ago or timedelta(0))
        return task_id

    def failed(
        self,
        *,
        tries: int = 5,
        ago: timedelta = timedelta(minutes=30),
        is_recoverable: bool | None = True,
        **columns: Any,
    ) -> int:
        """A task that has spent its tries."""
        rest: dict[str, Any] = {"error_class": "ConnectionError", "error_message": "refused", **columns}
        return self.task(state="failed", ago=ago, outcomes=("failed",) * tries, is_recoverable=is_recoverable, **rest)

    def stuck(self, *, lease_ended: timedelta = HOUR, outcomes: tuple[str, ...] = (), **columns: Any) -> int:
        """A task whose worker was killed: the lease has ended, and nobody has said a word."""
        before = max(lease_ended, timedelta(0)) + timedelta(minutes=2)
        task_id = self.task(state="running", outcomes=outcomes, ago=before, **columns)
        self.conn.execute(
            "UPDATE queue.tasks SET fence = nextval('queue.fences'), claimed_at = now() - %s - interval '1 minute',"
            " lease_until = now() - %s, worker = 'vm9/4711', worker_run_id = %s WHERE task_id = %s",
            (lease_ended, lease_ended, uuid.uuid4(), task_id),
        )
        return task_id

    def attempt(self, task_id: int, outcome: str, *, ago: timedelta = timedelta(0)) -> None:
        error_class = None if outcome == "succeeded" else "ConnectionError"
        self.conn.execute(INSERT_TRY, {"task_id": task_id, "ago": ago, "outcome": outcome, "error_class": error_class})

    def tries(self, type_: str, *, failed: int = 0, succeeded: int = 0, ago: timedelta = timedelta(minutes=10)) -> None:
        """Tasks of which each had one try."""
        for outcome, state, number in (("failed", "failed", failed), ("succeeded", "succeeded", succeeded)):
            for _ in range(number):
                self.task(type=type_, state=state, ago=ago, outcomes=(outcome,), is_recoverable=False)

    def item(self, item_id: int, content_hash: uuid.UUID, *, withdrawn: bool = False) -> None:
        self.conn.execute(
            "INSERT INTO core.items (item_id, branch_id, record_key, name, source_version, payload_hash, content_hash,"
            " rules, run_id, withdrawn_at) VALUES (%(id)s, 1, %(id)s::text, 'x', 1, %(hash)s, %(hash)s, 'r', %(run)s,"
            " CASE WHEN %(withdrawn)s THEN now() END)",
            {"id": item_id, "hash": content_hash, "run": uuid.uuid4(), "withdrawn": withdrawn},
        )

    def row(self, task_id: int) -> Mapping[str, Any]:
        with self.conn.cursor(row_factory=dict_row) as cursor:
            row = cursor.execute("SELECT * FROM queue.tasks WHERE task_id = %s", (task_id,)).fetchone()
        assert row is not None
        return row

    def states(self, *task_ids: int) -> list[str | None]:
        """In this order; None: it is gone."""
        rows = self.conn.execute("SELECT task_id, state FROM queue.tasks WHERE task_id = ANY (%s)", (list(task_ids),))
        found = dict(rows.fetchall())
        return [found.get(task_id) for task_id in task_ids]

    def value(self, question: str | sql.Composed, parameters: Mapping[str, object] | None = None) -> Any:
        statement = question.encode() if isinstance(question, str) else question
        row = self.conn.execute(statement, parameters).fetchone()
        assert row is not None
        return row[0]

    def assert_books_are_in_order(self) -> None:
        for view in ("attempts_add_up", "no_task_twice", "limits_held", "no_stuck_past_lease"):
            found = self.conn.execute(sql.SQL("SELECT * FROM queue.{}").format(sql.Identifier(view))).fetchall()
            assert found == [], f"{view}: {found}"


TABLES = """
SELECT format('SELECT %L || coalesce(md5(string_agg(t::text, chr(10) ORDER BY t::text)), '''') FROM %I.%I AS t',
    schemaname || '.' || tablename || ' ', schemaname, tablename)
FROM pg_catalog.pg_tables WHERE schemaname IN ('branch', 'core', 'ops', 'queue') ORDER BY schemaname, tablename
"""


def content_hash(conn: psycopg.Connection) -> list[str]:
    """What all tables hold, each by its hash."""
    questions = [question for (question,) in conn.execute(TABLES.encode())]
    rows = [conn.execute(question.encode()).fetchone() for question in questions]
    assert len(rows) > 10
    return [row[0] for row in rows if row is not None]


@dataclass
class RetryFailed:
    """Runs the job itself, guarded but not supervised; what is kept is of the last run."""

    database: Database
    conn: psycopg.Connection
    queue: Mapping[str, object] = field(default_factory=dict[str, object])
    stop: Stop = field(default_factory=Stop)
    events: list[tuple[str, dict[str, object]]] = field(default_factory=list[tuple[str, dict[str, object]]])
    on_event: dict[str, Callable[[], None]] = field(default_factory=dict[str, Callable[[], None]])
    verdicts: list[Verdict] = field(default_factory=list[Verdict])

    def __call__(self, *, dry_run: bool = False, seed: int = 0, **options: Any) -> Outcome:
        self.events.clear()
        self.verdicts.clear()
        settings = Settings(data_dir=Path("/nonexistent"), embed_model_version="m2", queue=read_queue(self.queue))
        asked = Options(settings, Redactor(()), ends_at=clock.monotonic() + 60, draw=random.Random(seed).random)
        with guarded(
            self.database,
            self.conn,
            "retry-failed",
            dry_run=dry_run,
            stop=self.stop,
            on_event=self._note,
            on_verdicts=self._keep,
        ) as run:
            return job.retry_failed(run, replace(asked, **options))

    def _note(self, level: str, event: str, fields: dict[str, object]) -> None:
        self.events.append((event, fields))
        self.on_event.get(event, lambda: None)()

    def _keep(self, conn: psycopg.Connection, verdicts: Sequence[Verdict], looked_at: Collection[str]) -> None:
        self.verdicts += verdicts

    def firing(self, *conditions: str) -> list[Verdict]:
        return [each for each in self.verdicts if each.is_firing and each.condition in conditions]

    def fields_of(self, event: str) -> list[dict[str, object]]:
        return [fields for name, fields in self.events if name == event]
