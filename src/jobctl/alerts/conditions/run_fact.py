"""A run as the conditions know it. Pure."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

from jobctl.alerts.verdict import Facts

BAD: Final = frozenset({"failed", "timeout", "abandoned"})
# Somebody wanted the run to end: a person at a terminal, a deploy, a shutdown (INT, TERM, HUP). Others are accidents.
ASKED_FOR: Final = frozenset({130, 143, 129})


def ended_badly(status: str, exit_code: int) -> bool:
    return status in BAD or (status == "interrupted" and exit_code not in ASKED_FOR)


class RunFact(NamedTuple):
    """A finished run of one job and scope."""

    run_id: UUID
    status: str
    degraded: bool
    exit_code: int
    host: str
    started_at: datetime
    finished_at: datetime
    duration_ms: int
    counts: Mapping[str, int]
    notes: Sequence[str]
    error_class: str | None = None
    error_message: str | None = None
    error_hint: str | None = None
    holder_run_id: str | None = None

    @property
    def is_bad(self) -> bool:
        return ended_badly(self.status, self.exit_code)

    @property
    def is_good(self) -> bool:
        return self.status == "completed"


def told_of(run: RunFact) -> Facts:
    """What people are told of it, whatever fires."""
    facts = [("status", f"{run.status}, exit code {run.exit_code}")]
    if run.error_class is not None or run.error_message is not None:
        facts.append(("error", f"{run.error_class}: {run.error_message}"))
        if run.error_hint:
            facts.append(("hint", run.error_hint))
    elif run.notes:
        facts.append(("notes", "; ".join(run.notes)))
    return (*facts, ("host", run.host), ("run", str(run.run_id)))
