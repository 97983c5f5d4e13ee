"""What the tests of embeddings share: a model that is quick and knows every text, tasks that are done in this process,
and an endpoint on the loopback that speaks OpenAI's `/v1/embeddings`.
"""

import json
import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import blake2b
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

import psycopg
import pytest

from jobctl.db.connection import Database
from jobctl.embeddings.provider import NoVector
from jobctl.embeddings.vector import Vector, unit
from jobctl.jobs.work import embed as handler
from jobctl.queue.handler import Result, Snooze
from jobctl.queue.task import Task
from jobctl.settings import Settings

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def vector_for(text: str, dimensions: int = 8) -> Vector:
    """One of the text's own, the same whenever it is asked for."""
    return unit([byte - 127.5 for byte in blake2b(text.encode(), digest_size=dimensions).digest()])


@dataclass
class Model:
    """A provider. `while_embedding` is called once a call, when the texts are read and nothing is written yet."""

    model: str = "test/hash"
    dimensions: int = 8
    asked: list[list[str]] = field(default_factory=list[list[str]])
    while_embedding: Callable[[], None] = lambda: None
    refused: set[str] = field(default_factory=set[str])
    error: Exception | None = None

    def embed(self, texts: Sequence[str], check: Callable[[], None] = lambda: None) -> list[Vector | NoVector]:
        check()
        self.asked.append(list(texts))
        if self.error is not None:
            raise self.error
        vectors: list[Vector | NoVector] = [
            NoVector("it is refused") if text in self.refused else vector_for(text, self.dimensions) for text in texts
        ]
        self.while_embedding()
        return vectors


class Context:
    """A context without a lease: whoever made it holds the tasks."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self.settings = settings
        self.deadline = NOW
        self._database = database

    def seconds_left(self) -> float:
        return 60.0

    def should_stop(self) -> bool:
        return False

    def check(self) -> None: ...

    @contextmanager
    def effect(self) -> Generator[psycopg.Connection, None, None]:
        with self._database.connect() as conn, self._database.transaction(conn):
            yield conn

    reading = effect

    def save_checkpoint(self, value: Any) -> None: ...

    def event(self, event: str, /, **fields: object) -> None: ...


CLAIM = """
UPDATE queue.tasks SET state = 'running', attempts = attempts + 1 WHERE task_id IN (
    SELECT task_id FROM queue.tasks WHERE type = 'embed' AND state = 'queued' ORDER BY random() LIMIT %(limit)s)
RETURNING task_id, subject_id, model_version, content_hash
"""
END = "UPDATE queue.tasks SET state = %(state)s, finished_at = clock_timestamp() WHERE task_id = %(task_id)s"


@dataclass
class Embedding:
    """Does waiting tasks as a worker would, with `model` for a model."""

    database: Database
    conn: psycopg.Connection
    monkeypatch: pytest.MonkeyPatch
    model: Model = field(default_factory=Model)
    model_version: str = "m1"

    def __call__(self, limit: int | None = None) -> dict[int, Result | Exception]:
        """One batch of what waits; what became of each item."""
        self.monkeypatch.setattr(handler, "provider_of", self._model_of)
        settings = Settings(data_dir=Path("/nonexistent"), embed_model_version=self.model_version)
        tasks = self.claim(limit)
        if not tasks:
            return {}
        results = handler.embed(tasks, Context(self.database, settings))
        for task, result in zip(tasks, results, strict=True):
            state = (
                "queued" if isinstance(result, Snooze) else "failed" if isinstance(result, Exception) else "succeeded"
            )
            self.conn.execute(END, {"task_id": task.task_id, "state": state})
        return {task.subject_id or 0: result for task, result in zip(tasks, results, strict=True)}

    def _model_of(self, _settings: Settings) -> Model:
        return self.model

    def claim(self, limit: int | None = None) -> list[Task]:
        rows = self.conn.execute(CLAIM, {"limit": limit}).fetchall()
        return [task_of(*row) for row in rows]

    def vectors(self) -> dict[tuple[str, str], tuple[float, ...]]:
        """By record key and model version, rounded to five digits, whatever the column's type."""
        rows = self.conn.execute(
            "SELECT i.record_key, e.model_version, translate(e.vector::text, '[]', '{}')::real[]"
            " FROM core.embeddings AS e LEFT JOIN core.items AS i ON i.item_id = e.item_id"
        ).fetchall()
        return {(row[0], row[1]): tuple(round(x, 5) for x in row[2]) for row in rows}

    def statuses(self) -> dict[tuple[str, str], str]:
        rows = self.conn.execute(
            "SELECT i.record_key, s.model_version, s.status FROM core.embedding_status AS s"
            " JOIN core.items AS i ON i.item_id = s.item_id"
        ).fetchall()
        return {(row[0], row[1]): row[2] for row in rows}


def task_of(task_id: int, subject_id: int | None, model_version: str, content_hash: Any = None) -> Task:
    return Task(
        *(task_id, "embed", 1, "", None, None, {}, subject_id, None),
        *(model_version, content_hash, 1, 0, None, NOW, NOW),
    )


def plain_arrays(conn: psycopg.Connection) -> None:
    """As where PostgreSQL has no pgvector."""
    conn.execute("ALTER TABLE core.embeddings ALTER COLUMN vector TYPE real[] USING vector::real[]")


def has_pgvector(conn: psycopg.Connection) -> bool:
    return conn.execute("SELECT FROM pg_available_extensions WHERE name = 'vector'").fetchone() is not None


# An endpoint -------------------------------------------------------------------------------------------------------

Reply = tuple[int, Mapping[str, str], bytes]
Behaviour = Callable[[list[str]], Reply]


def vectors_reply(texts: list[str], dimensions: int = 8, **changes: object) -> Reply:
    """A right answer, in any order; `changes` go into its object."""
    from jobctl.embeddings.vector import floats

    data = [{"index": n, "embedding": floats(vector_for(text, dimensions))} for n, text in enumerate(texts)]
    return 200, {}, json.dumps({"object": "list", "data": data[::-1], **changes}).encode()


def error_reply(status: int, message: str = "no", **headers: str) -> Reply:
    told = {name.replace("_", "-"): value for name, value in headers.items()}
    return status, told, json.dumps({"error": {"message": message, "type": "x"}}).encode()


class FakeEndpoint:
    """Listens from `with` on and keeps what it was asked."""

    def __init__(self, behaviour: Behaviour = vectors_reply) -> None:
        self.behaviour = behaviour
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[Mapping[str, str]] = []
        self.paths: list[str] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.bodies.append(body)
                outer.headers.append(dict(self.headers))
                outer.paths.append(self.path)
                status, headers, answer = outer.behaviour(body["input"])
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, format: str, *args: object) -> None: ...  # noqa: A002 - the base class calls it so

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/v1"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
