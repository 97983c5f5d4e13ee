"""What a command needs to begin: the settings, read once, and the database they name.

Every command's module imports this one, so it loads nothing heavy itself: `--help` needs neither settings nor psycopg.
"""

from functools import cache
from typing import TYPE_CHECKING

from jobctl.errors import JobctlError

if TYPE_CHECKING:
    from jobctl.db.connection import Database
    from jobctl.redact import Redactor
    from jobctl.settings import Settings


@cache
def current_settings() -> "Settings":
    from jobctl.settings_reading.load import load

    return load().settings


def redactor() -> "Redactor":
    """Takes the configured secrets out of a text; without usable settings, whatever looks like one."""
    from jobctl.redact import Redactor

    try:
        secrets = current_settings().secrets()
    except JobctlError:
        secrets = ()
    return Redactor(secrets)


def open_database(settings: "Settings", need_schema: bool = True) -> "Database":
    from jobctl.db import opening

    return opening.open_database(settings, need_schema=need_schema)


def database_if_reachable(settings: "Settings") -> "Database | None":
    """The database if it is up and of our schema, else None. For what is told without it too; starts nothing."""
    if settings.database_url is None:
        from jobctl.db import embedded

        try:
            if embedded.status(settings.data_dir).state != "running":
                return None
        except (JobctlError, OSError):
            return None
    try:
        return open_database(settings)
    except JobctlError:
        return None
