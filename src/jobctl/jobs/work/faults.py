"""What a handler's exception says about its task."""

from collections.abc import Callable

import psycopg

from jobctl.db.sqlstate import explain
from jobctl.queue import storable
from jobctl.queue.handler import NotRecoverable, Recoverable
from jobctl.queue.verdict import Fault

Redact = Callable[[str], str]


def fault_of(error: BaseException, redact: Redact) -> Fault:
    """Everything but NotRecoverable is worth another try, up to the type's number of tries: a conflict, a database that
    was away, a server that did not answer, and also what nobody foresaw."""
    said = storable.message_of(explain(error) if isinstance(error, psycopg.Error) else error)
    hint = getattr(error, "hint", "")
    if isinstance(hint, str) and hint:
        said = f"{said} ({hint})"
    return Fault(
        type(error).__name__,
        redact(said),
        is_recoverable=not isinstance(error, NotRecoverable),
        retry_after_s=_retry_after_s(error),
    )


def concerns_all(error: BaseException) -> bool:
    """Whether what a batch handler raised is about its surroundings and not about one of the tasks."""
    return isinstance(error, Recoverable | psycopg.OperationalError | ConnectionError | TimeoutError) or bool(
        getattr(error, "try_again", False)
    )


def _retry_after_s(error: BaseException) -> float:
    return (error.retry_after_s or 0.0) if isinstance(error, Recoverable) else 0.0
