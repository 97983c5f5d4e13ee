"""One project's sync: whom it asks, where it writes, and what it has counted.

Nothing is asked inside a transaction. What a page said, its ETag and the cursor commit together, so that after any
death the next run goes on at the right page and no ETag speaks of rows that are not there.

A dry run does a project in one transaction, which is rolled back: each step meets what those before it have done. It
waits for GitHub inside of it, which is why that transaction alone may be idle.
"""

from collections import Counter
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, NamedTuple

import psycopg

from jobctl.errors import JobctlError
from jobctl.github.client import Client
from jobctl.github.page import GraphQL, Page
from jobctl.jobs.sync.watching import Nobody, Watch
from jobctl.projects.objects import cursors
from jobctl.projects.objects.upsert import Written
from jobctl.projects.project import Project
from jobctl.runtime.run import Run
from jobctl.settings_sync import SyncSettings


class OutOfTime(JobctlError):
    """The run's time is nearly up. What was written stays, and the next run goes on from there."""


class Choice(NamedTuple):
    """What all projects of a run are synced by. `since` is where a first load begins, and from where others are read
    again. `has_token`: GraphQL answers nobody without one."""

    settings: SyncSettings
    full: bool = False
    since: datetime | None = None
    has_token: bool = True
    watch: Watch = Nobody()


class Session:
    def __init__(self, run: Run, conn: psycopg.Connection, client: Client, project: Project, choice: Choice) -> None:
        self.run = run
        self.conn = conn
        self.client = client
        self.project = project
        self.was = project.full_name  # when the run began
        self.choice = choice
        self.counts: Counter[str] = Counter()
        self.processed: Counter[str] = Counter()  # rows, by step
        self.failed: Counter[str] = Counter()
        self.notes: list[str] = []
        self.step = ""

    # Asking ----------------------------------------------------------------------------------------------------------

    @property
    def path(self) -> str:
        """By its number, as GitHub's own links and redirects have it: somebody else may take the name at any moment,
        and would answer in its place."""
        return f"/repositories/{self.project.github_id}"

    def get(self, path: str, endpoint: str, *, conditional: bool = False, whole: bool = False) -> Page:
        return self.client.get(
            path, project=self.project.full_name, endpoint=endpoint, conditional=conditional, whole=whole
        )

    def ask(self, query: str, variables: Mapping[str, object], endpoint: str) -> GraphQL:
        return self.client.graphql(query, variables, project=self.project.full_name, endpoint=endpoint)

    # Writing ---------------------------------------------------------------------------------------------------------

    @contextmanager
    def rehearsing(self) -> Generator[None, None, None]:
        """In a dry run: around all of the project's work."""
        if not self.run.dry_run:
            yield
            return
        with self.run.database.transaction(self.conn):
            self.conn.execute("SET LOCAL idle_in_transaction_session_timeout TO 0")
            yield
            raise psycopg.Rollback

    @contextmanager
    def writing(self) -> Generator["Made", None, None]:
        """A transaction, and what it has made; that counts when it has committed."""
        made = Made()
        if self.run.dry_run:
            with self.conn.transaction():
                yield made
        else:
            with self.run.effect(self.conn, wait_for_disk=False):
                yield made
        self.counts.update(made.counts)
        self.processed[self.step] += made.rows
        self.choice.watch.step(self.was, self.step, self.processed[self.step])

    def cursor(self, stream: str) -> Mapping[str, Any]:
        return cursors.get(self.conn, self.project.project_id, stream)

    def save_cursor(self, stream: str, position: Mapping[str, Any]) -> None:
        """In the transaction of what it speaks of."""
        cursors.save(self.conn, self.project.project_id, stream, position)

    def note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)

    @property
    def has_changed(self) -> bool:
        return any(number for name, number in self.counts.items() if not name.endswith("_unchanged"))


class Made:
    """What a transaction has made."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.rows = 0

    def add(self, table: str, written: Written) -> None:
        self.rows += written.inserted + written.updated + written.unchanged + written.removed
        for name, number in written._asdict().items():
            if number and (name != "unchanged" or table == "issues"):
                self.counts[f"{table}_{name}"] += number


def stamp(moment: datetime | None) -> str | None:
    """As GitHub writes it, and cursors keep it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if moment is not None else None


def moment_of(text: object) -> datetime | None:
    """Of a cursor."""
    return datetime.fromisoformat(text) if isinstance(text, str) else None
