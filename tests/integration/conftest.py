"""The fixtures of the tests that ingest in this process: a branch of their own, and the job over it; and of those that
sync: a GitHub, a project, and the job over it; and receivers of what alerts send."""

from collections.abc import Callable, Generator, Mapping
from contextlib import ExitStack

import psycopg
import pytest
from psycopg.types.json import Jsonb

from bench_github import GitHub
from bench_github_truth import Repo
from bench_ingest import FIELD_MAP, Ingest, NewSource, Source
from bench_sync import Sync
from bench_webhook import Receiver
from jobctl.db.connection import Database


@pytest.fixture
def make_source(conn: psycopg.Connection) -> NewSource:
    def make(slug: str = "places", field_map: Mapping[str, str] = FIELD_MAP) -> Source:
        row = conn.execute(
            "INSERT INTO branch.branches (slug, title, field_map, active, loaded_at)"
            " VALUES (%s, %s, %s, true, now()) RETURNING branch_id",
            (slug, slug.title(), Jsonb(dict(field_map))),
        ).fetchone()
        assert row is not None
        return Source(conn, row[0], slug)

    return make


@pytest.fixture
def source(make_source: NewSource) -> Source:
    return make_source()


@pytest.fixture
def ingest(database: Database, conn: psycopg.Connection) -> Ingest:
    return Ingest(database, conn)


@pytest.fixture
def github() -> Generator[GitHub, None, None]:
    with GitHub() as made:
        made.truth.repo("octo/cat")
        yield made


@pytest.fixture
def sync(database: Database, conn: psycopg.Connection, github: GitHub) -> Sync:
    """The job over the project octo/cat."""
    made = Sync(database, conn, github, github.token())
    made.follow("octo/cat")
    return made


@pytest.fixture
def cat(github: GitHub) -> Repo:
    repo = github.truth.named("octo/cat")
    assert repo is not None
    return repo


@pytest.fixture
def receive() -> Generator[Callable[..., Receiver], None, None]:
    """Makes them; each is given how it behaves."""
    with ExitStack() as stack:
        yield lambda *behaviours: stack.enter_context(Receiver(*behaviours))
