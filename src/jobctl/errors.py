"""Every error jobctl raises on purpose, and what becomes of the work.

    JobctlError                     1    the run failed; look at the message
    |-- UsageError                  2    the command line is wrong; nothing was done
    |-- ConfigurationError          78   settings, schema or privileges are wrong; nothing was done
    |   |-- InvalidSettings         78   all faults of the settings at once (settings_reading/fault.py)
    |   `-- SchemaError             78   the database's schema is not the one this code knows
    |-- DependencyUnavailable       75   a server cannot be reached; the next slot tries again
    |   `-- DatabaseUnavailable     75   PostgreSQL is down, starting, full or cut us off
    |-- UnknownOutcome              75   the answer to a COMMIT was lost: look before doing it again
    |-- LockLost                    1    another run holds the lock or a newer fence; this one wrote nothing since
    |-- SourceError                 1    a branch cannot be read as it stands (missing, inactive, stale, unmapped)
    |-- OutboundError           1    a request to the outside was refused or failed (outbound/failures.py)
    |-- CommandFailed               n    a wrapped command failed; n is its own exit code, 128+n if a signal ended it
    |-- DataError                   1    a record or file is unreadable; what was there before is unchanged
    |-- ArchiveError                1    an archive cannot be written, read or taken back (archives/failures.py)
    |-- GitHubError                 1    GitHub said no, or nothing of use; some are 75 or 78 (github/failures.py)
    |-- MaxRuntimeExceeded          124  the run was ended at its max runtime; the checkpoint is kept
    `-- Interrupted                 128+n  a signal ended the run; the checkpoint is kept

Exit 0 is done, or rightly nothing to do; exit 3 is done but degraded. Neither is an error.
The numbers 75 and 78 are EX_TEMPFAIL and EX_CONFIG of sysexits(3), 124 is that of timeout(1).
"""

from typing import ClassVar

EXIT_DONE = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_DEGRADED = 3
EXIT_UNAVAILABLE = 75
EXIT_CONFIGURATION = 78
EXIT_MAX_RUNTIME = 124


class JobctlError(Exception):
    """The run failed. `hint` is the way out in one sentence, for the operator; it may be empty."""

    exit_code: ClassVar[int] = EXIT_FAILED
    try_again: ClassVar[bool] = False

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(JobctlError):
    exit_code = EXIT_USAGE


class ConfigurationError(JobctlError):
    exit_code = EXIT_CONFIGURATION


class SchemaError(ConfigurationError):
    pass


class DependencyUnavailable(JobctlError):
    exit_code = EXIT_UNAVAILABLE
    try_again = True


class DatabaseUnavailable(DependencyUnavailable):
    pass


class UnknownOutcome(JobctlError):
    exit_code = EXIT_UNAVAILABLE


class LockLost(JobctlError):
    pass


class SourceError(JobctlError):
    pass


class DataError(JobctlError):
    pass


class CommandFailed(JobctlError):
    """A wrapped command did not succeed; its exit code is passed on."""

    def __init__(self, message: str, *, command_exit_code: int, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.command_exit_code = command_exit_code


class MaxRuntimeExceeded(JobctlError):
    exit_code = EXIT_MAX_RUNTIME


class Interrupted(JobctlError):
    """A signal ended the run; its number decides the exit code."""

    def __init__(self, message: str, *, signal_number: int, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.signal_number = signal_number


def exit_code_of(error: BaseException) -> int:
    """The exit code that tells cron what became of the work."""
    if isinstance(error, Interrupted):
        return 128 + error.signal_number
    if isinstance(error, CommandFailed):
        return error.command_exit_code
    if isinstance(error, JobctlError):
        return error.exit_code
    return EXIT_FAILED
