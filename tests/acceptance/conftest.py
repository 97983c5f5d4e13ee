"""What the tests that run the command as real processes have in common."""

import os
import random
import secrets
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from bench_postgres import Bench
from bench_runs import SOURCE, Base, NewBase, NewRunner, Runner
from bench_wire import Proxy

TEMPLATE = "jobctl_template"
_numbers = count(1)


@pytest.fixture
def new_base(server: Bench) -> Generator[NewBase, None, None]:
    """Makes databases: with the schema, or as a copy of another (to which nobody may be connected)."""
    with ExitStack() as stack:

        def make(template: str = TEMPLATE) -> Base:
            return stack.enter_context(_base(server, template))

        yield make


@pytest.fixture
def base(new_base: NewBase) -> Base:
    return new_base()


@contextmanager
def _base(server: Bench, template: str) -> Generator[Base, None, None]:
    name = f"torture_{next(_numbers)}"
    with psycopg.connect(server.dsn("postgres"), autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template)))
    conn: psycopg.Connection | None = None
    try:
        conn = psycopg.connect(server.dsn(name), autocommit=True)
        yield Base(name, server.url(name), server.dsn(name), conn)
    finally:
        if conn is not None:
            conn.close()
        server.start()
        with psycopg.connect(server.dsn("postgres"), autocommit=True) as admin:
            admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture
def new_runner(tmp_path: Path) -> Generator[NewRunner, None, None]:
    """Makes runners; whatever they started is gone at the end."""
    runners: list[Runner] = []

    def make(url: str, code: Path = SOURCE, **settings: str) -> Runner:
        directory = tmp_path / f"runner{len(runners)}"
        directory.mkdir()
        runners.append(Runner(directory, url, code, dict(settings)))
        return runners[-1]

    yield make
    for runner in runners:
        runner.end_all()


@pytest.fixture
def runner(base: Base, new_runner: NewRunner) -> Runner:
    return new_runner(base.url)


@pytest.fixture
def proxy(base: Base) -> Generator[Proxy, None, None]:
    with Proxy(base.dsn) as made:
        yield made


@pytest.fixture
def rng() -> random.Random:
    """Seeded by JOBCTL_TORTURE_SEED, else anew; the seed is printed, and shown when the test fails."""
    seed = int(os.environ.get("JOBCTL_TORTURE_SEED") or secrets.randbelow(1 << 32))
    print(f"seed {seed} (repeat with JOBCTL_TORTURE_SEED={seed})")
    return random.Random(seed)


@pytest.fixture
def ledger(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Notes lines for the ledger that scripts/torture prints."""

    def note(line: str) -> None:
        print(line)
        where = os.environ.get("JOBCTL_TORTURE_LEDGER")
        if where:
            with Path(where).open("a", encoding="utf-8") as file:
                file.write(f"{request.node.name}: {line}\n")

    return note
