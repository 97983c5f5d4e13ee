"""Bring a database to the schema this code knows: numbered SQL files, each applied once, in order, under a lock.

A file is one transaction together with the row that says it was applied. A file that cannot be in one (CREATE INDEX
CONCURRENTLY) says so with the line `-- jobctl: no-transaction`; its statements are parted by lines
`-- jobctl: next statement` and written so that a second run is harmless, because a death between statement and row
repeats them. A file that was applied never changes: its checksum is kept and compared.

The lock is polled. A session that waits inside PostgreSQL for the lock holds a snapshot open, and CREATE INDEX
CONCURRENTLY under the lock waits for that snapshot: a deadlock for ever. It is a session's lock: a pooler is refused.

Every statement has a short lock timeout and is tried again: a migration that queues for a table lock behind a long
query makes everybody else queue behind itself.
"""

import hashlib
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import NamedTuple

import psycopg
from psycopg.rows import class_row

from jobctl.db.connection import Database, Limits
from jobctl.db.sqlstate import explain, is_conflict, translated
from jobctl.errors import ConfigurationError, DatabaseUnavailable, SchemaError
from jobctl.version import __version__

DIRECTORY = Path(__file__).parent / "migrations"
NO_TRANSACTION = "-- jobctl: no-transaction"
NEXT_STATEMENT = "-- jobctl: next statement"
OLDEST_SERVER = 150_000
LOCK_KEY = 0x6A6F_6263_746C_0001  # "jobctl", 1
POLL_S = 0.1
WAIT_LIMIT_S = 300.0
LOCK_TIMEOUT_MS = 3_000
TRIES = 20
PAUSE_S = 0.5


class Migration(NamedTuple):
    """A file."""

    version: int
    name: str
    text: bytes

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.text).hexdigest()

    @property
    def in_transaction(self) -> bool:
        return NO_TRANSACTION.encode() not in self.text.splitlines()

    def statements(self) -> list[bytes]:
        return [part.strip() for part in self.text.split(NEXT_STATEMENT.encode() + b"\n") if part.strip()]


class Applied(NamedTuple):
    """A row: a file that was applied."""

    version: int
    name: str
    checksum: str
    duration_ms: int


@cache
def migrations(directory: Path = DIRECTORY) -> tuple[Migration, ...]:
    """The files, in order. Their numbers have neither gap nor double."""
    found = tuple(
        Migration(int(path.stem.partition("_")[0]), path.stem, path.read_bytes())
        for path in sorted(directory.glob("*.sql"))
    )
    if [each.version for each in found] != list(range(1, len(found) + 1)):
        raise ConfigurationError(f"the migrations in {directory} are not numbered 1, 2, 3 and so on")
    return found


def expected_version(directory: Path = DIRECTORY) -> int:
    """The schema version that this code knows."""
    return max((int(path.stem.partition("_")[0]) for path in directory.glob("*.sql")), default=0)


CURRENT = "SELECT max(version) FROM jobctl_meta.migrations"


def current_version(conn: psycopg.Connection) -> int:
    """The version the database is at; 0 where nothing was ever applied."""
    try:
        with conn.transaction():
            row = conn.execute(CURRENT).fetchone()
    except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
        return 0
    except psycopg.errors.InsufficientPrivilege as error:
        raise ConfigurationError(
            f"{conn.info.user} may not read the schema's version", hint="apply the script that jobctl db grants prints"
        ) from error
    except psycopg.Error as error:
        raise explain(error) from error
    return int(row[0] or 0) if row else 0


def require_schema(conn: psycopg.Connection) -> None:
    """Raise SchemaError (exit 78) unless the database has exactly the schema that this code knows."""
    current, expected = current_version(conn), expected_version()
    if current == expected:
        return
    if current > expected:
        raise SchemaError(
            f"the database's schema ({current}) is newer than this jobctl ({expected})",
            hint="upgrade jobctl on this host",
        )
    if current == 0:
        raise SchemaError("the database has no jobctl schema yet", hint="run: jobctl db migrate")
    raise SchemaError(
        f"the database's schema ({current}) is older than this jobctl ({expected})", hint="run: jobctl db migrate"
    )


def migrate(database: Database, *, wait_limit_s: float = WAIT_LIMIT_S, directory: Path = DIRECTORY) -> list[Applied]:
    """Apply what is missing and say what was applied. Several callers at once apply each file once."""
    with database.connect(limits=Limits(LOCK_TIMEOUT_MS, 0, 0), purpose="migrate") as conn:
        _refuse_unfit(conn)
        if not _missing(conn, directory):
            return []
        _lock(conn, wait_limit_s)
        try:
            _create_ledger(conn)
            return [_apply(conn, each) for each in _missing(conn, directory)]
        finally:
            if not conn.closed:
                conn.execute("SELECT pg_advisory_unlock(%(key)s)", {"key": LOCK_KEY})


def _refuse_unfit(conn: psycopg.Connection) -> None:
    if conn.info.server_version < OLDEST_SERVER:
        raise ConfigurationError(
            f"jobctl needs PostgreSQL 15 or later; this is {conn.info.parameter_status('server_version')}",
            hint="upgrade the server, or unset DATABASE_URL to use the embedded one",
        )
    with translated():
        row = conn.execute("SELECT pg_backend_pid()", prepare=False).fetchone()
    if row is None or row[0] != conn.info.backend_pid:
        raise ConfigurationError(
            "migrate needs a direct connection, and a connection pooler stands between",
            hint="set DATABASE_URL to the server's own address for this one command",
        )


LEDGER = "SELECT version, name, checksum, duration_ms FROM jobctl_meta.migrations ORDER BY version"


def _missing(conn: psycopg.Connection, directory: Path) -> list[Migration]:
    """The files that were not applied, after a look at those that were."""
    known = migrations(directory)
    try:
        with conn.transaction(), conn.cursor(row_factory=class_row(Applied)) as cursor:
            applied = cursor.execute(LEDGER).fetchall()
    except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
        return list(known)
    except psycopg.Error as error:
        raise explain(error) from error
    if applied and applied[-1].version > len(known):
        raise SchemaError(
            f"the database's schema ({applied[-1].version}) is newer than this jobctl ({len(known)})",
            hint="upgrade jobctl on this host",
        )
    for row in applied:
        if row.checksum != known[row.version - 1].checksum:
            raise SchemaError(
                f"migration {row.name} was changed after it was applied here",
                hint="restore the file as it was and put the change into a new one",
            )
    done = {row.version for row in applied}
    return [each for each in known if each.version not in done]


def _lock(conn: psycopg.Connection, wait_limit_s: float) -> None:
    deadline = time.monotonic() + wait_limit_s
    while True:
        with translated():
            row = conn.execute("SELECT pg_try_advisory_lock(%(key)s)", {"key": LOCK_KEY}).fetchone()
        if row is not None and row[0]:
            return
        if time.monotonic() >= deadline:
            raise DatabaseUnavailable(
                f"another migration has been running for more than {wait_limit_s:g} s",
                hint="look for application_name jobctl/migrate in pg_stat_activity",
            )
        time.sleep(POLL_S)


# Only the owner writes the ledger. Where `jobctl db grants` gave other roles rights to each new table in advance,
# nothing but reading is left of them here.
CREATE_LEDGER = """
CREATE SCHEMA IF NOT EXISTS jobctl_meta;
CREATE TABLE IF NOT EXISTS jobctl_meta.migrations (
    version integer PRIMARY KEY,
    name text NOT NULL,
    checksum text NOT NULL,
    duration_ms bigint NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    applied_by text NOT NULL DEFAULT current_user,
    jobctl_version text NOT NULL
);
DO $$
DECLARE
    grantee text;
BEGIN
    FOR grantee IN
        SELECT DISTINCT quote_ident(r.rolname)
        FROM pg_class AS c, aclexplode(c.relacl) AS a JOIN pg_roles AS r ON r.oid = a.grantee
        WHERE c.oid = 'jobctl_meta.migrations'::regclass AND a.grantee <> c.relowner AND a.privilege_type <> 'SELECT'
    LOOP
        EXECUTE 'REVOKE INSERT, UPDATE, DELETE, TRUNCATE ON jobctl_meta.migrations FROM ' || grantee;
    END LOOP;
END $$;
"""


def _create_ledger(conn: psycopg.Connection) -> None:
    with translated(), conn.transaction():
        conn.execute(CREATE_LEDGER)


def _apply(conn: psycopg.Connection, migration: Migration) -> Applied:
    started = time.monotonic()
    try:
        if migration.in_transaction:
            _retry(lambda: _in_one_transaction(conn, migration, started))
        else:
            for statement in migration.statements():
                _retry(lambda one=statement: conn.execute(one))
            _retry(lambda: _record(conn, migration, started))
    except psycopg.Error as error:
        explained = explain(error)
        hint = f"nothing of {migration.name} was applied" if migration.in_transaction else explained.hint
        if isinstance(error, psycopg.errors.InsufficientPrivilege):
            hint = "as an administrator of this database run: jobctl db grants --owner ROLE | psql; then migrate again"
        raise type(explained)(f"migration {migration.name}: {explained.message}", hint=hint) from error
    return Applied(migration.version, migration.name, migration.checksum, _ms_since(started))


def _in_one_transaction(conn: psycopg.Connection, migration: Migration, started: float) -> None:
    with conn.transaction():
        conn.execute(migration.text)
        _record(conn, migration, started)


RECORD = """
INSERT INTO jobctl_meta.migrations (version, name, checksum, duration_ms, jobctl_version)
VALUES (%(version)s, %(name)s, %(checksum)s, %(duration_ms)s, %(jobctl_version)s)
"""


def _record(conn: psycopg.Connection, migration: Migration, started: float) -> None:
    conn.execute(
        RECORD,
        {
            "version": migration.version,
            "name": migration.name,
            "checksum": migration.checksum,
            "duration_ms": _ms_since(started),
            "jobctl_version": __version__,
        },
    )


def _retry(step: Callable[[], object]) -> None:
    """Try again while others hold the locks; between tries they get through."""
    for left in reversed(range(TRIES)):
        try:
            step()
        except psycopg.Error as error:
            if not (left and is_conflict(error)):
                raise
            time.sleep(PAUSE_S)
        else:
            return


def _ms_since(started: float) -> int:
    return round((time.monotonic() - started) * 1000)
