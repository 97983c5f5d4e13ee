"""What is known of runs, as everything that shows them uses it. Pure."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

from jobctl.monitor.runs import states
from jobctl.monitor.runs.states import State

# How many records a run worked on is the first of these that it counted (as `statistics` has it in SQL).
RECORDS: Final = ("read", "claimed", "projects", "requeued")


def records(counts: Mapping[str, Any]) -> int | None:
    """None for a run that counts none, as a wrapped command."""
    return next((counts[name] for name in RECORDS if counts.get(name) is not None), None)


class Unfinished(NamedTuple):
    """A row that says it is not finished. `progress` are the counts of what it has committed so far, where it has a
    checkpoint; ages are by the database's clock."""

    run_id: UUID
    scope: str
    job: str
    correlation_id: str
    status: str
    host: str
    os_user: str
    supervisor_pid: int
    worker_pid: int | None
    guard_backend_pid: int | None
    version: str
    command: str
    slot_at: datetime | None
    started_at: datetime
    heartbeat_at: datetime
    elapsed_s: float
    silent_s: float
    lease_s: int | None
    is_lock_held: bool
    progress: Mapping[str, int] | None
    progress_at: datetime | None

    @property
    def state(self) -> State:
        return states.of(self.status, pulse=self)

    @property
    def why(self) -> str:
        """The evidence, in words; empty for one that just runs."""
        if self.state == "dead":
            return f"its lock is free, and it was last heard {self.silent_s:.0f} s ago"
        if self.state == "frozen":
            return f"it has its lock and has been silent for {self.silent_s:.0f} s"
        return ""


class Ran(NamedTuple):
    """A run of one job and scope; of its error's message only the beginning."""

    run_id: UUID
    status: str
    degraded: bool
    exit_code: int | None
    host: str
    version: str
    slot_at: datetime | None
    started_at: datetime
    finished_at: datetime | None
    duration_ms: int | None
    error_class: str | None
    error_message: str | None


class Place(NamedTuple):
    """A job and scope with its last runs, the newest first: one at least."""

    job: str
    scope: str
    runs: tuple[Ran, ...]


class Missed(NamedTuple):
    """Slots of a job and scope that nobody answered for, and no run since: `slots` of them, the latest at `slot_at`.
    `is_judged`: the ledger says so; else it will, as soon as anything starts."""

    job: str
    scope: str
    host: str
    slot_at: datetime
    slot_local: str
    slots: int
    reason: str
    is_judged: bool
