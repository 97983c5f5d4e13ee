"""What can go wrong between jobctl and GitHub, and which outcome of a project each of them is.

    GitHubError               outcome    again
    |-- Limited               limited    yes    a limit holds for longer than the caller waits; `until` says how long
    |-- BudgetSpent           limited    no     the requests that the run may make are used up
    |-- Forbidden             forbidden  no     403 of access, never of a limit
    |-- CredentialsRefused    forbidden  no     401: the token itself is not accepted (exit 78)
    |-- Gone                  gone       no     404, 410 or 451; GitHub also says 404 of what a token may not see
    |-- ForeignHost           failed     no     a redirect or a Link leads to another host, which gets no token
    |-- BadAnswer             failed     no     an answer that is not what the API documents
    |-- NotAccepted           failed     no     another 4xx: the request is at fault
    |-- ServerTrouble         failed     yes    5xx
    `-- NoAnswer              failed     yes    no connection, or none that lasted for a whole answer

Texts name the path and never a header; what GitHub said is quoted in one line, cut to 200 characters.
"""

from datetime import datetime
from enum import StrEnum
from typing import ClassVar

from jobctl.errors import EXIT_CONFIGURATION, EXIT_UNAVAILABLE, JobctlError


class Outcome(StrEnum):
    """What became of one project."""

    OK = "ok"
    UNCHANGED = "unchanged"
    LIMITED = "limited"
    FORBIDDEN = "forbidden"
    GONE = "gone"
    MOVED = "moved"
    FAILED = "failed"


class GitHubError(JobctlError):
    outcome: ClassVar[Outcome] = Outcome.FAILED


class Limited(GitHubError):
    outcome = Outcome.LIMITED
    exit_code = EXIT_UNAVAILABLE
    try_again = True

    def __init__(self, message: str, *, until: datetime, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.until = until


class BudgetSpent(GitHubError):
    outcome = Outcome.LIMITED


class Forbidden(GitHubError):
    outcome = Outcome.FORBIDDEN


class CredentialsRefused(GitHubError):
    outcome = Outcome.FORBIDDEN
    exit_code = EXIT_CONFIGURATION


class Gone(GitHubError):
    outcome = Outcome.GONE

    def __init__(self, message: str, *, status: int, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.status = status


class ForeignHost(GitHubError):
    pass


class BadAnswer(GitHubError):
    pass


class NotAccepted(GitHubError):
    def __init__(self, message: str, *, status: int, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.status = status


class ServerTrouble(GitHubError):
    exit_code = EXIT_UNAVAILABLE
    try_again = True


class NoAnswer(GitHubError):
    exit_code = EXIT_UNAVAILABLE
    try_again = True
