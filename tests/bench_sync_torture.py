"""The sync itself in this process, guarded but not supervised, against a GitHub of the test's.

Limits are waited out by a clock that server and client share and that goes on when somebody sleeps; what is changed has
the wall's moments, as what the database writes.
"""

import math
import random
import threading
import time
from collections.abc import Callable, Generator, Iterable
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

import bench_github_shapes as shapes
from bench_github import GitHub
from bench_github_truth import Repo
from bench_guarded import guarded
from jobctl.db.connection import Database
from jobctl.errors import Interrupted
from jobctl.github.address import api_at
from jobctl.github.budget import Budget
from jobctl.github.client import Client
from jobctl.github.credentials import Keyring, Token
from jobctl.github.etags import Etags
from jobctl.github.pace import Pace
from jobctl.github.wire import Wire
from jobctl.jobs.sync import job
from jobctl.jobs.sync.repository import facts_of
from jobctl.projects import store
from jobctl.runtime.outcome import Outcome
from jobctl.runtime.stop import Stop
from jobctl.settings import Settings
from jobctl.settings_sync import read_sync

EMPTY = "TRUNCATE dev.projects, dev.etags, ops.sync_events CASCADE"
TABLES = """
SELECT format('SELECT %L || coalesce(md5(string_agg(t::text, chr(10) ORDER BY t::text)), '''') FROM %I.%I AS t',
    tablename || ' ', schemaname, tablename)
FROM pg_catalog.pg_tables WHERE schemaname = 'dev' OR tablename = 'sync_events' ORDER BY schemaname, tablename
"""
CUT = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name ~ 'sync|etags'
"""


class FastClock:
    """The wall's, and what was slept meanwhile, which takes no time."""

    def __init__(self) -> None:
        self._slept_s = 0.0
        self._lock = threading.Lock()

    def now(self) -> float:
        return time.time() + self._slept_s

    def utc_now(self) -> datetime:
        return datetime.fromtimestamp(self.now(), UTC)

    def sleep(self, seconds: float) -> None:
        with self._lock:
            self._slept_s += seconds


class _Impatient(threading.Event):
    """Pauses before the database is asked again need not be as long as they are for others."""

    def wait(self, timeout: float | None = None) -> bool:
        return super().wait(timeout if timeout is None else min(timeout, 0.05))


def follow(conn: psycopg.Connection, github: GitHub, repos: Iterable[Repo]) -> None:
    for repo in repos:
        store.save(conn, facts_of(shapes.repository(github.url, repo, full=True), repo.full_name))


@dataclass
class FastSync:
    """`stop` and `events` are the last run's."""

    database: Database
    conn: psycopg.Connection
    github: GitHub
    clock: FastClock
    tokens: tuple[str, ...]
    at_once: int = 5
    stop: Stop = field(default_factory=Stop)
    events: list[tuple[str, dict[str, object]]] = field(default_factory=list[tuple[str, dict[str, object]]])
    most_wait_s: float = math.inf

    def __call__(
        self, *, dry_run: bool = False, full: bool = False, budget: int | None = None, names: tuple[str, ...] = ()
    ) -> Outcome:
        self.stop = Stop()
        self.stop.event = _Impatient()
        self.events = []
        settings = Settings.model_validate(
            {
                "data_dir": Path("/nonexistent"),
                "github_token": self.tokens[0],
                "sync": read_sync({"projects_at_once": self.at_once}),
            }
        )
        options = job.Options(settings, until=math.inf, full=full, budget=budget, names=names)
        with (
            guarded(self.database, self.conn, "sync", dry_run=dry_run, stop=self.stop, on_event=self._note) as run,
            pytest.MonkeyPatch.context() as patched,
        ):
            patched.setattr(job, "open_client", self._open_client)
            return job.sync(run, options)

    @contextmanager
    def _open_client(
        self,
        _settings: Settings,
        *,
        until: float,
        sleep: Callable[[float], object],
        check: Callable[[], object],
        etags: Etags | None,
        budget: Budget | None,
    ) -> Generator[Client, None, None]:
        del until, sleep
        api = api_at(self.github.url)
        wire = Wire(api.origin, check=check, timeout_s=10.0)
        keyring = Keyring([Token(f"token {number}", token) for number, token in enumerate(self.tokens)])
        client = Client(
            api,
            keyring,
            wire,
            until=self.clock.now() + self.most_wait_s,
            etags=etags,
            budget=budget,
            pace=Pace(burst=1e12),
            sleep=self.clock.sleep,
            check=check,
            now=self.clock.now,
            utc_now=self.clock.utc_now,
        )
        with closing(wire):
            yield client

    def _note(self, _level: str, event: str, fields: dict[str, object]) -> None:
        self.events.append((event, fields))

    def cut(self) -> None:
        """All connections of a run under way break."""
        with self.database.connect(purpose="killer") as killer:
            killer.execute(CUT.encode())

    def end(self) -> None:
        """A run under way is to stop at once."""
        self.stop.request(Interrupted("stopped by the test", signal_number=15), now=True)


def content_hash(conn: psycopg.Connection) -> list[str]:
    """Of each table that sync writes."""
    questions = [question for (question,) in conn.execute(TABLES.encode())]
    rows = [conn.execute(question.encode()).fetchone() for question in questions]
    assert len(rows) > 10
    return [row[0] for row in rows if row is not None]


def untyped(outcome: Outcome) -> list[str]:
    """What a project met that nobody had thought of."""
    evidence: Any = outcome.evidence or {}
    errors = [(each["scope"], each["error"]) for each in evidence.get("projects", []) if each["error"] is not None]
    return [f"{scope}: {error['message']}" for scope, error in errors if error["class"] == "JobctlError"]


def seeds(rng: random.Random, count: int) -> list[int]:
    return [rng.randrange(1 << 32) for _ in range(count)]
