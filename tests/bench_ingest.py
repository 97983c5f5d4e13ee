"""A branch whose records a test writes, and the ingest run over it in this process."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import psycopg
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from bench_guarded import guarded
from jobctl.db.connection import Database
from jobctl.jobs.ingest_branch import job
from jobctl.jobs.ingest_branch.job import Options
from jobctl.runtime.outcome import Outcome
from jobctl.runtime.stop import Stop

FIELD_MAP = {
    "record_id": "id",
    "name": "name",
    "city": "city",
    "country": "country",
    "latitude": "lat",
    "longitude": "lon",
}


@dataclass
class Source:
    """One branch of the test's own making."""

    conn: psycopg.Connection
    branch_id: int
    slug: str

    def put(self, key: str, payload: Mapping[str, object] | str, *, version: int = 1) -> None:
        """Write or rewrite a record, as a load does."""
        text = payload if isinstance(payload, str) else json.dumps(payload)
        self.conn.execute(
            "INSERT INTO branch.records AS r (branch_id, record_key, payload, payload_hash, source_version, load_id)"
            " VALUES (%(branch_id)s, %(key)s, %(text)s, %(hash)s, %(version)s, 1)"
            " ON CONFLICT (branch_id, record_key) DO UPDATE SET payload = excluded.payload,"
            " payload_hash = excluded.payload_hash, source_version = excluded.source_version,"
            " changed_xid = pg_current_xact_id(), changed_at = clock_timestamp(), withdrawn_at = NULL",
            {
                "branch_id": self.branch_id,
                "key": key,
                "text": text,
                "hash": hashlib.blake2b(text.encode(), digest_size=16).hexdigest(),
                "version": version,
            },
        )

    def place(self, key: str, *, version: int = 1, **changes: object) -> None:
        """A record that is right, but for `changes`."""
        right = {"id": key, "name": f"Place {key}", "city": "Bern", "country": "CH", "lat": 46.9, "lon": 7.4}
        self.put(key, {**right, **changes}, version=version)

    def withdraw(self, key: str) -> None:
        self.conn.execute(
            "UPDATE branch.records SET withdrawn_at = now(), changed_xid = pg_current_xact_id()"
            " WHERE branch_id = %s AND record_key = %s",
            (self.branch_id, key),
        )

    def items(self) -> dict[str, dict[str, object]]:
        with self.conn.cursor(row_factory=dict_row) as cursor:
            rows = cursor.execute("SELECT * FROM core.items WHERE branch_id = %s", (self.branch_id,)).fetchall()
        return {row["record_key"]: row for row in rows}

    def open_rejects(self) -> dict[str, str]:
        rows = self.conn.execute(
            "SELECT record_key, reason FROM branch.rejects WHERE branch_id = %s AND resolved_at IS NULL",
            (self.branch_id,),
        ).fetchall()
        return dict(rows)

    def waiting_tasks(self) -> dict[str, object]:
        """Record key -> content hash the waiting embedding was queued for."""
        rows = self.conn.execute(
            "SELECT i.record_key, t.content_hash FROM queue.tasks AS t JOIN core.items AS i ON i.item_id = t.subject_id"
            " WHERE t.state = 'queued' AND t.type = 'embed' AND i.branch_id = %s",
            (self.branch_id,),
        ).fetchall()
        assert len(rows) == len(dict(rows)), "an item has two waiting tasks"
        return dict(rows)

    def remap(self, field_map: Mapping[str, str]) -> None:
        self.conn.execute(
            "UPDATE branch.branches SET field_map = %s, schema_version = schema_version + 1 WHERE branch_id = %s",
            (Jsonb(dict(field_map)), self.branch_id),
        )


NewSource = Callable[..., Source]


@dataclass
class Ingest:
    """Runs the job itself, guarded but not supervised; `stop` and `events` are those of the last run."""

    database: Database
    conn: psycopg.Connection

    def __call__(self, scope: str = "places", *, dry_run: bool = False, **options: object) -> Outcome:
        self.stop = Stop()
        self.events: list[str] = []
        with guarded(
            self.database, self.conn, "ingest-branch", scope, dry_run=dry_run, stop=self.stop, on_event=self._note
        ) as run:
            return job.ingest_branch(run, replace(Options(model_version="m1"), **options))

    def _note(self, level: str, event: str, fields: dict[str, object]) -> None:
        self.events.append(event)


def brief(outcome: Outcome) -> dict[str, int]:
    """The counts that are not zero, without the bytes."""
    return {name: number for name, number in outcome.counts.items() if number and name != "bytes"}
