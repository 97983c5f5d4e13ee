"""The job sync itself in this process, guarded but not supervised, against the test server."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from pydantic import SecretStr

from bench_github import GitHub
from bench_guarded import guarded
from bench_sync_truth import differences
from jobctl import clock
from jobctl.alerts.verdict import Verdict
from jobctl.db.connection import Database
from jobctl.github.waiting import Waiting
from jobctl.jobs.sync import job
from jobctl.jobs.sync.job import Options
from jobctl.jobs.sync.repository import facts_of
from jobctl.projects import store
from jobctl.runtime.outcome import Outcome
from jobctl.runtime.stop import Stop
from jobctl.settings import Settings
from jobctl.settings_archive import read_archive
from jobctl.settings_sync import read_sync


@dataclass
class Sync:
    """What is kept is of the last run."""

    database: Database
    conn: psycopg.Connection
    github: GitHub
    token: str
    sync: Mapping[str, object] = field(default_factory=dict[str, object])
    archive: Mapping[str, object] = field(default_factory=dict[str, object])
    stop: Stop = field(default_factory=Stop)
    events: list[tuple[str, dict[str, object]]] = field(default_factory=list[tuple[str, dict[str, object]]])
    told: list[Verdict] = field(default_factory=list[Verdict])
    asked: list[str] = field(default_factory=list[str])

    def follow(self, *names: str) -> None:
        """As `jobctl project add` does it."""
        import bench_github_shapes as shapes

        with self.database.connect() as conn, conn.transaction():
            for name in names:
                repo = self.github.truth.named(name)
                assert repo is not None
                store.save(conn, facts_of(shapes.repository(self.github.url, repo, full=True), name))

    def __call__(self, *, dry_run: bool = False, within_s: float = 60.0, **options: Any) -> Outcome:
        self.events.clear()
        self.told.clear()
        before = len(self.github.requests)
        settings = Settings(
            data_dir=Path("/nonexistent"),
            github_api_url=self.github.url,
            github_token=SecretStr(self.token) if self.token else None,
            sync=read_sync(self.sync),
            archive=read_archive(self.archive),
        )
        try:
            with guarded(
                self.database,
                self.conn,
                "sync",
                dry_run=dry_run,
                stop=self.stop,
                on_event=self._note,
                on_verdicts=self._keep,
            ) as run:
                return job.sync(run, Options(settings, clock.monotonic() + within_s, **options))
        finally:
            self.asked = [f"{each.method} {each.path} {each.status}" for each in self.github.requests[before:]]

    def _note(self, level: str, event: str, fields: dict[str, object]) -> None:
        self.events.append((event, fields))

    def _keep(self, _conn: psycopg.Connection, verdicts: Sequence[Verdict], _looked_at: Collection[str]) -> None:
        self.told += verdicts

    def differences(self) -> list[str]:
        return differences(self.conn, self.github.truth)

    def outcomes(self) -> dict[str, str]:
        rows = self.conn.execute("SELECT full_name, sync_outcome FROM dev.projects").fetchall()
        return dict(rows)

    def rows(self, table: str) -> int:
        row = self.conn.execute(f"SELECT count(*) FROM dev.{table}".encode()).fetchone()
        assert row is not None
        return row[0]


def no_pause(waiting: Waiting, seconds: float) -> None:
    """In place of Waiting.pause: nobody waits."""


def counted(outcome: Outcome) -> dict[str, int]:
    return {name: number for name, number in outcome.counts.items() if number}
