"""What went wrong in the demo's year, and when: the runs, the slots and the incidents tell the same. Pure."""

from datetime import datetime, timedelta
from typing import Final, NamedTuple

from jobctl.jobs.demo.plan import Plan


class Trouble(NamedTuple):
    """It begins so many days before the end of the year and lasts so many hours; without `job` it meets all.

    `status` is the runs' status, or the verdict on the slots where nothing ran."""

    name: str
    days_ago: float
    hours: float
    job: str
    status: str
    error_class: str = ""
    message: str = ""
    hint: str = ""
    exit_code: int = 1

    def begins(self, plan: Plan) -> datetime:
        at = plan.ago(self.days_ago)
        return at.replace(hour=int(self.days_ago % 1 * 24), minute=0)

    def ends(self, plan: Plan) -> datetime:
        return self.begins(plan) + timedelta(hours=self.hours)


TROUBLES: Final = (
    Trouble("database", 203.1, 3, "", "failed", "DatabaseUnavailable", "PostgreSQL refuses connections",
            "look at the server; the next slot tries again", 75),
    Trouble("host", 151.2, 6, "", "missed"),
    Trouble("maintenance", 120.25, 4, "", "paused"),
    Trouble("github", 88, 30, "sync", "failed", "Limited", "GitHub's limit is reached until 03:00",
            "give it a token of its own, or a smaller budget"),
    Trouble("deploy", 44.4, 5, "ingest-branch", "failed", "ConfigurationError", "h3_resolution is 80, not 0 to 15",
            "jobctl config check", 78),
    Trouble("stuck", 30.5, 1, "ingest-branch", "timeout", "MaxRuntimeExceeded", "ended at its max runtime of 55m",
            "it goes on from its checkpoint", 124),
    Trouble("token", 1.9, 60, "sync", "failed", "CredentialsRefused", "GitHub does not accept the token: 401",
            "make a new one, and put it into GITHUB_TOKEN", 78),
)  # fmt: skip


def of_job(plan: Plan, job: str) -> list[tuple[datetime, datetime, Trouble]]:
    """From when until when each lasted."""
    return [(each.begins(plan), each.ends(plan), each) for each in TROUBLES if each.job in ("", job)]
