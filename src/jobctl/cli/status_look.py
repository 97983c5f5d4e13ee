"""One look at everything, for `jobctl status` and each turn of `--watch`."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jobctl.db.connection import Database
    from jobctl.errors import JobctlError
    from jobctl.monitor.runs.glance import Glance
    from jobctl.settings import Settings

LIMITS_MS = (2_000, 10_000, 15_000)


def look(settings: "Settings", database: "Database") -> "Glance":
    """Raises DatabaseUnavailable, also when the server goes away in the middle."""
    import socket

    from jobctl import clock
    from jobctl.db.connection import Limits
    from jobctl.db.sqlstate import translated
    from jobctl.monitor.runs import glance

    conditions = settings.alert_settings.conditions
    with translated(), database.connect(purpose="status") as conn:
        conn.read_only = True
        with database.transaction(conn, limits=Limits(*LIMITS_MS)):
            return glance.gather(conn, conditions, host=socket.gethostname(), now=clock.utc_now())


def error_text(error: "JobctlError") -> str:
    from jobctl.cli.render import one_line
    from jobctl.cli.session import redactor

    return redactor().text(one_line(error.message))
