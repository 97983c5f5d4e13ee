"""What lies behind a failure, and is behind others, too: all that has one cause is one incident. Pure.

A cause that is nobody's own names no job, so that five jobs that cannot reach PostgreSQL are one incident. Any other
failure is its job's, scope's and error's own. Error classes decide, and exit codes; never a message's text.
"""

from typing import Final

DATABASE: Final = "database"
GITHUB: Final = "github"
DISK: Final = "disk"
DEPLOY: Final = "deploy"
SHARED: Final = frozenset({DATABASE, GITHUB, DISK, DEPLOY})

TITLES: Final = {
    DATABASE: "PostgreSQL cannot be reached",
    GITHUB: "GitHub's limit is near or reached, or GitHub does not answer",
    DISK: "a disk is full",
    DEPLOY: "settings, schema or program are not right after a change",
}

_CLASSES: Final = {
    "DatabaseUnavailable": DATABASE,
    "Limited": GITHUB,
    "BudgetSpent": GITHUB,
    "ServerTrouble": GITHUB,
    "DiskFull": DISK,
    "SchemaError": DEPLOY,
    "ConfigurationError": DEPLOY,
    "InvalidSettings": DEPLOY,
    "ImportError": DEPLOY,
    "ModuleNotFoundError": DEPLOY,
    "SyntaxError": DEPLOY,
    "AttributeError": DEPLOY,
}


def cause_of(error_class: str | None, job: str, scope: str) -> str:
    """The cause's name. A shared one is a word, any other has the job in it."""
    shared = _CLASSES.get(error_class or "")
    return shared or own("run", job, scope, error_class or "Degraded")


def own(kind: str, *parts: str) -> str:
    """The cause of what has nothing to do with others. Parts are told apart whatever stands in them."""
    return "/".join([kind, *(part.replace("%", "%25").replace("/", "%2F") for part in parts)])


def is_over_by(cause: str, *, job_completed: bool) -> bool:
    """Whether any job that completed shows that a shared cause is over: the database was reached."""
    return cause == DATABASE and job_completed
