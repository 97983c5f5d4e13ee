"""What a handler is given, without a worker: a task, and a context over real settings that a test can end."""

import threading
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg

from jobctl import clock
from jobctl.queue.task import Task
from jobctl.settings import Settings
from jobctl.settings_reading.load import load


class GaveBack(Exception):
    """What `check` raises once the try must end."""


@dataclass
class TryContext:
    """A context whose try ends at `deadline`, or when the test says so by `stop`."""

    settings: Settings
    timeout_s: float = 60.0
    stop: threading.Event = field(default_factory=threading.Event)
    events: list[tuple[str, dict[str, object]]] = field(default_factory=list[tuple[str, dict[str, object]]])
    checkpoint: Any = None

    def __post_init__(self) -> None:
        self._until = time.monotonic() + self.timeout_s

    @property
    def deadline(self) -> datetime:
        return clock.utc_now() + timedelta(seconds=self.seconds_left())

    def seconds_left(self) -> float:
        return max(0.0, self._until - time.monotonic())

    def should_stop(self) -> bool:
        return self.stop.is_set() or self.seconds_left() == 0

    def check(self) -> None:
        if self.should_stop():
            raise GaveBack

    @contextmanager
    def effect(self) -> Generator[psycopg.Connection, None, None]:
        raise NotImplementedError
        yield

    reading = effect

    def save_checkpoint(self, value: Any) -> None:
        self.checkpoint = value

    def event(self, event: str, /, **fields: object) -> None:
        self.events.append((event, fields))


def a_task(type_: str, payload: Mapping[str, Any], *, task_id: int = 7, attempt: int = 1) -> Task:
    now = datetime(2026, 11, 21, tzinfo=UTC)
    return Task(
        task_id=task_id,
        type=type_,
        fence=1,
        user_id="user-1",
        organization_id=None,
        site_url=None,
        payload=payload,
        subject_id=None,
        dedupe_key=None,
        model_version="",
        content_hash=None,
        attempt=attempt,
        crashes=0,
        checkpoint=None,
        due_at=now,
        claimed_at=now,
    )


def settings_of(directory: Path, toml: str, **environ: str) -> Settings:
    """As an operator would have written them."""
    path = directory / "jobctl.toml"
    path.write_text(toml)
    path.chmod(0o600)
    return load(environ={"HOME": str(directory), **environ}, config_file=path).settings
