"""What a database error means for the work, decided by SQLSTATE and never by message text.

Errors without a SQLSTATE come from the client library: the connection could not be made or was lost.
"""

from collections.abc import Generator
from contextlib import contextmanager

import psycopg

from jobctl.errors import ConfigurationError, DatabaseUnavailable, DataError, JobctlError

# Worth another try at once, in the same run: the statement left nothing behind.
CONFLICT = frozenset({"40001", "40P01", "55P03"})
# The server went away, is coming up, is full or sent us off: try again, soon or at the next slot.
AWAY_CLASSES = ("08", "53", "57P", "58", "25P03")
# Settings, privileges, an address that is not a PostgreSQL: nothing gets better by trying.
REFUSED_CLASSES = ("28", "3D", "3F", "42", "0A", "25006")

REFUSED_AT_LOG_IN = ("password authentication", "does not exist", "no pg_hba.conf entry", "permission denied for")


def is_conflict(error: BaseException) -> bool:
    return isinstance(error, psycopg.Error) and error.sqlstate in CONFLICT


def is_connection_lost(error: BaseException) -> bool:
    """The connection is gone, so whatever was in flight may or may not have been committed."""
    if not isinstance(error, psycopg.Error):
        return False
    if error.sqlstate is None:
        return isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
    return error.sqlstate.startswith(("08", "57P", "25P03"))


def explain(error: psycopg.Error) -> JobctlError:
    """The error of the house for one of PostgreSQL."""
    state = error.sqlstate
    text = error.diag.message_primary or str(error).strip() or type(error).__name__
    if state is None:
        if isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
            refused = "FATAL:" in text and any(words in text for words in REFUSED_AT_LOG_IN)
            if refused or "no password supplied" in text:
                # The client library gives no SQLSTATE for a refused log-in; the server's own words are all there is.
                return ConfigurationError(f"PostgreSQL refused the log-in: {text}", hint="check DATABASE_URL")
            return DatabaseUnavailable(
                f"PostgreSQL cannot be reached: {text}", hint="check that it runs: jobctl db status"
            )
        if isinstance(error, psycopg.ProgrammingError):
            # Its words quote parts of the address, and a part may be the password.
            return ConfigurationError("the database address is not usable", hint="check DATABASE_URL")
        return JobctlError(f"PostgreSQL client error: {text}")
    if state == "57014":
        # Not by the run itself: what a run cancels has a reason of its own, which outranks this.
        hint = "cancelled by somebody, or longer than JOBCTL_STATEMENT_TIMEOUT_MS; run it again"
        return JobctlError(f"a statement was ended: {text}", hint=hint)
    if state.startswith(AWAY_CLASSES):
        return DatabaseUnavailable(
            f"PostgreSQL went away ({state}): {text}", hint="the next run continues from the checkpoint"
        )
    if state.startswith(REFUSED_CLASSES):
        hint = (
            "run: jobctl db migrate"
            if state in ("42P01", "3F000", "42703")
            else "check DATABASE_URL and: jobctl db grants"
        )
        return ConfigurationError(f"PostgreSQL refused ({state}): {text}", hint=hint)
    if state.startswith(("22", "23")):
        return DataError(f"PostgreSQL refused the data ({state}): {text}")
    return JobctlError(f"PostgreSQL error {state}: {text}")


@contextmanager
def translated() -> Generator[None, None, None]:
    """Raise the house's error for PostgreSQL's, which stays as its cause."""
    try:
        yield
    except psycopg.Error as error:
        raise explain(error) from error
