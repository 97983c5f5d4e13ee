"""Projects, issues and pull requests as a sync leaves them, and the job `metrics` over them in this process."""

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import psycopg
from psycopg import sql

from bench_guarded import guarded
from jobctl.alerts.verdict import Verdict
from jobctl.db.connection import Database
from jobctl.jobs.metrics import job
from jobctl.jobs.metrics.job import Options
from jobctl.runtime.outcome import Outcome
from jobctl.runtime.stop import Stop
from jobctl.settings import Settings
from jobctl.settings_metrics import read_metrics, read_service_levels

NOW: Final = datetime(2026, 6, 10, 12, 30, tzinfo=UTC)  # a Wednesday
HOUR: Final = timedelta(hours=1)
DAY: Final = timedelta(days=1)


@dataclass
class Repositories:
    """Writes rows of dev.*."""

    conn: psycopg.Connection
    _next: int = 0

    def project(self, name: str = "octo/cat", *, team: str | None = None, active: bool = True, **columns: Any) -> int:
        number = self._number()
        values = {
            "node_id": f"R_{number}",
            "github_id": number,
            "full_name": name,
            "is_private": False,
            "is_fork": False,
            "is_archived": False,
            "stars": 0,
            "created_on_github_at": NOW - 1_000 * DAY,
            "team": team,
            "active": active,
            **columns,
        }
        project_id: int = self._insert("projects", values, "project_id")
        self._insert("project_aliases", {"name": name.lower(), "project_id": project_id}, "project_id")
        return project_id

    def issue(
        self, project_id: int, *, labels: Sequence[str] = (), created_at: datetime = NOW - DAY, **columns: Any
    ) -> int:
        """Its number. `closed_at` closes it."""
        number = self._number()
        values = {
            "node_id": f"I_{number}",
            "github_id": number,
            "project_id": project_id,
            "number": number,
            "is_pull": False,
            "title": f"Issue {number}",
            "state": "closed" if columns.get("closed_at") else "open",
            "author": "ann",
            "label_ids": sorted(self.label(project_id, name) for name in labels),
            "created_at": created_at,
            "updated_at": created_at,
            **columns,
        }
        self._insert("issues", values, "node_id")
        return number

    def bug(self, project_id: int, *labels: str, **columns: Any) -> int:
        return self.issue(project_id, labels=("bug", *labels), **columns)

    def pull(
        self,
        project_id: int,
        *,
        opened_at: datetime,
        merged_at: datetime | None = None,
        first_commit_at: datetime | None = None,
        ready_at: datetime | None = None,
        first_review_at: datetime | None = None,
        lines: int = 10,
        **columns: Any,
    ) -> int:
        number = self.issue(project_id, created_at=opened_at, is_pull=True, closed_at=merged_at, **columns)
        values = {
            "node_id": f"I_{number}",
            "project_id": project_id,
            "is_draft": False,
            "merged_at": merged_at,
            "base_branch": "main",
            "head_branch": "topic",
            "additions": lines,
            "deletions": 0,
            "changed_files": 1,
            "commits": 1,
            "first_commit_at": first_commit_at,
            "ready_at": ready_at,
        }
        self._insert("pulls", values, "node_id")
        if first_review_at is not None:
            self.review(project_id, number, "rob", first_review_at)
        return number

    def review(self, project_id: int, number: int, author: str, at: datetime, *, is_bot: bool = False) -> None:
        values = {
            "node_id": f"V_{self._number()}",
            "pull_node_id": f"I_{number}",
            "project_id": project_id,
            "author": author,
            "author_is_bot": is_bot,
            "state": "COMMENTED",
            "submitted_at": at,
        }
        self._insert("reviews", values, "node_id")

    def commits(self, project_id: int, author: str, count: int, *, at: datetime = NOW - DAY, **columns: Any) -> None:
        for _ in range(count):
            values = {
                "project_id": project_id,
                "sha": uuid.uuid4().hex,
                "author": author,
                "author_name": author,
                "subject": "work",
                "authored_at": at,
                "committed_at": at,
                **columns,
            }
            self._insert("commits", values, "sha")

    def label(self, project_id: int, name: str) -> int:
        found = self.conn.execute(
            "SELECT label_id FROM dev.labels WHERE project_id = %s AND name = %s", (project_id, name)
        ).fetchone()
        if found is not None:
            return found[0]
        return self._insert("labels", {"label_id": self._number(), "project_id": project_id, "name": name}, "label_id")

    def change(self, number: int, **columns: Any) -> None:
        """Of an issue, by its number."""
        parts = [sql.SQL("{} = {}").format(sql.Identifier(name), sql.Placeholder(name)) for name in columns]
        statement = sql.SQL("UPDATE dev.issues SET {} WHERE number = %(number)s").format(sql.SQL(", ").join(parts))
        assert self.conn.execute(statement, {**columns, "number": number}).rowcount == 1

    def rows(self, question: str) -> list[tuple[Any, ...]]:
        return self.conn.execute(question.encode()).fetchall()

    def _number(self) -> int:
        self._next += 1
        return self._next

    def _insert(self, table: str, values: dict[str, Any], returning: str) -> Any:
        statement = sql.SQL("INSERT INTO dev.{} ({}) VALUES ({}) RETURNING {}").format(
            sql.Identifier(table),
            sql.SQL(", ").join(map(sql.Identifier, values)),
            sql.SQL(", ").join(map(sql.Placeholder, values)),
            sql.Identifier(returning),
        )
        row = self.conn.execute(statement, values).fetchone()
        assert row is not None
        return row[0]


@dataclass
class Metrics:
    """Runs the job itself, guarded but not supervised."""

    database: Database
    conn: psycopg.Connection
    now: datetime = NOW
    metrics: dict[str, Any] = field(default_factory=dict[str, Any])
    service_levels: dict[str, Any] = field(default_factory=dict[str, Any])
    timezone: str = "UTC"
    told: list[Verdict] = field(default_factory=list[Verdict])  # of the last run

    @property
    def settings(self) -> Settings:
        return Settings(
            data_dir=Path("/nonexistent"),
            timezone=self.timezone,
            metrics=read_metrics(self.metrics),
            service_levels=read_service_levels(self.service_levels),
        )

    def __call__(self, *, dry_run: bool = False, stop: Stop | None = None, **options: Any) -> Outcome:
        self.told.clear()
        with guarded(
            self.database, self.conn, "metrics", dry_run=dry_run, stop=stop, now=self.now, on_verdicts=self._keep
        ) as run:
            return job.metrics(run, Options(self.settings, **options))

    def _keep(self, _conn: psycopg.Connection, verdicts: Sequence[Verdict], looked_at: Collection[str]) -> None:
        assert {each.condition for each in verdicts} <= set(looked_at)
        self.told += verdicts

    def firing(self) -> dict[tuple[str, str], str]:
        """The titles of what somebody is to hear of, by condition and subject."""
        return {(each.condition, each.subject): each.title for each in self.told if each.is_firing}

    def figures(self, **options: Any) -> Any:
        found = self(**options).evidence
        assert found is not None
        return found
