"""What is known of a task and of what it may wait for: the facts that `why` judges. Pure."""

from collections.abc import Set as AbstractSet
from datetime import datetime
from typing import NamedTuple


class TaskFacts(NamedTuple):
    task_id: int
    type: str
    state: str
    user_id: str
    attempts: int
    crashes: int
    scheduled_at: datetime
    created_at: datetime
    updated_at: datetime
    finished_at: datetime | None
    claimed_at: datetime | None
    lease_until: datetime | None
    worker: str | None
    error_class: str | None
    error_message: str | None
    is_recoverable: bool | None


class Try(NamedTuple):
    """The latest try of the task that has ended."""

    attempt: int
    outcome: str
    worker: str
    claimed_at: datetime
    finished_at: datetime
    error_class: str | None
    error_message: str | None


class Limit(NamedTuple):
    """How many may run at the same time (None: as many as will), and how many do."""

    allowed: int | None
    running: int

    @property
    def is_reached(self) -> bool:
        return self.allowed is not None and self.running >= self.allowed


class Running(NamedTuple):
    """A task of the same user that runs now."""

    task_id: int
    type: str
    worker: str | None
    claimed_at: datetime | None


class Turn(NamedTuple):
    """`before` are due tasks of the same user that come earlier, `users` how many have tasks that wait. Counting stops
    at a bound, and then there are at least so many."""

    before: int
    users: int


class Workers(NamedTuple):
    """Runs of the job `work`: how many run, the latest that began; its pause; where a crontab or timer starts it."""

    running: int
    last_started_at: datetime | None = None
    last_status: str = ""
    last_host: str = ""
    pause: str = ""
    lines: int = 0


class Policy(NamedTuple):
    """What this host's settings say of the type."""

    max_attempts: int
    crash_limit: int


class Facts(NamedTuple):
    """`handlers` are the types that have one on this host; `twin` is a waiting task for the same subject or key."""

    now: datetime
    host: str
    task: TaskFacts
    policy: Policy
    last_try: Try | None
    in_all: Limit
    of_type: Limit
    of_user: Limit
    runs_of_user: tuple[Running, ...]
    next_start_at: datetime | None
    rate_per_minute: float | None
    turn: Turn | None
    twin: int | None
    handlers: AbstractSet[str]
    workers: Workers
