"""A planned quiet time, in which a job does not start. One without scope is for all scopes of its job. Pure."""

from datetime import datetime
from typing import NamedTuple


class Pause(NamedTuple):
    pause_id: int
    job: str
    scope: str
    from_at: datetime
    until_at: datetime
    reason: str
    paused_by: str
    ended_at: datetime | None
    ended_by: str | None

    def covers(self, job: str, scope: str, moment: datetime) -> bool:
        until = self.until_at if self.ended_at is None else min(self.until_at, self.ended_at)
        return self.job == job and self.scope in ("", scope) and self.from_at <= moment < until

    def __str__(self) -> str:
        return f"paused until {self.until_at:%Y-%m-%d %H:%M} UTC by {self.paused_by}: {self.reason}"


class Refusal(NamedTuple):
    """Why a start has nothing to do, for the row `skipped`."""

    why: str
    evidence: dict[str, object]
