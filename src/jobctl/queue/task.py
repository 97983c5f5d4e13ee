"""A task as its handler sees it, and how a try of it ended."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal, NamedTuple
from uuid import UUID


class Task(NamedTuple):
    """A claimed task. `attempt` counts from 1 and includes this try; `crashes` are earlier tries whose worker died."""

    task_id: int
    type: str
    fence: int
    user_id: str
    organization_id: str | None
    site_url: str | None
    payload: Mapping[str, Any]
    subject_id: int | None
    dedupe_key: str | None
    model_version: str
    content_hash: UUID | None
    attempt: int
    crashes: int
    checkpoint: Any
    due_at: datetime
    claimed_at: datetime


OutcomeOfTry = Literal["succeeded", "failed", "timeout", "crashed", "snoozed", "released"]
NextState = Literal["succeeded", "failed", "queued", "cancelled"]


class Ending(NamedTuple):
    """How a try ended and what becomes of its task. `scheduled_at` goes with the state `queued`."""

    task: Task
    outcome: OutcomeOfTry
    state: NextState
    scheduled_at: datetime | None = None
    error_class: str | None = None
    error_message: str | None = None
    is_recoverable: bool | None = None
    result: Mapping[str, Any] | None = None
    handler_version: str | None = None
    memory_bytes: int | None = None
