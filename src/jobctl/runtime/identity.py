"""Who runs."""

from datetime import datetime
from typing import NamedTuple
from uuid import UUID


class Identity(NamedTuple):
    """Who runs: the same in every row, log line and database session of a run."""

    run_id: UUID
    job: str
    correlation_id: str
    host: str
    os_user: str
    supervisor_pid: int
    version: str
    command: str
    slot_at: datetime | None = None

    @property
    def session_name(self) -> str:
        """What its database sessions are called; the run id stands first, since a successor looks for it there."""
        if self.correlation_id == str(self.run_id):
            return f"jobctl:{self.job}:{self.run_id}"
        return f"jobctl:{self.job}:{str(self.run_id)[:13]}:{self.correlation_id[:20]}"


class Who(NamedTuple):
    """Whose run it was, where it is not the caller's own."""

    job: str
    run_id: UUID
    host: str
