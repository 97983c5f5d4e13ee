"""From settings to a database that is up, reachable and of the schema this code knows."""

import psycopg

from jobctl.db.connection import Database, Limits, locate
from jobctl.settings import Settings


def open_database(settings: Settings, *, need_schema: bool = True, application_name: str = "jobctl") -> Database:
    """The database of DATABASE_URL, or the embedded server, started if it is not up.

    With `need_schema`, an empty embedded database is migrated; any other wrong schema raises SchemaError (exit 78)."""
    limits = Limits(settings.lock_timeout_ms, settings.statement_timeout_ms, settings.idle_in_transaction_timeout_ms)
    if settings.database_url is not None:
        check = _require_schema if need_schema else None
        return locate(settings.database_url.get_secret_value(), application_name, limits, check=check)
    from jobctl.db import embedded

    # Nobody stands between us and a server that we started ourselves.
    dsn = embedded.ensure_running(settings.data_dir, run_as_user=settings.run_as_user)
    database = Database(dsn, application_name, limits=limits)
    if need_schema:
        from jobctl.db import migrate

        with database.connect(purpose="schema") as conn:
            if migrate.current_version(conn) == 0:
                migrate.migrate(database)
            _require_schema(conn)
    return database


def _require_schema(conn: psycopg.Connection) -> None:
    from jobctl.db import migrate

    migrate.require_schema(conn)
