"""The SQL that gives each of three roles what it needs and nothing more: owner migrates, worker works, reader reads.

It is printed, not run: who may create roles on a server is not who runs the jobs. Sessions of one role see and may end
each other, so the worker's rights over its own sessions (who holds a lock, end a stuck one) need no further grant.
"""

import re
from pathlib import Path
from typing import LiteralString, cast

from psycopg import sql

from jobctl.errors import UsageError

TEMPLATE = Path(__file__).parent / "grants.sql"
# Narrower than PostgreSQL's own rule: the names are used inside quoted code, and nobody needs more.
ROLE_NAME = re.compile(r"[a-z_][a-z0-9_-]{0,62}")


def script(*, owner: str, worker: str, reader: str) -> str:
    """The script for roles of these names. Raises UsageError for names that are not fit or not different."""
    names = {"owner": owner, "worker": worker, "reader": reader}
    for name in names.values():
        if not ROLE_NAME.fullmatch(name) or name.startswith("pg_") or name in ("public", "none"):
            raise UsageError(f"{name!r} is no fit name for a role", hint="use letters a-z, digits, '_' and '-'")
    if len(set(names.values())) != len(names):
        raise UsageError("owner, worker and reader must be three different roles")
    identifiers = {role: sql.Identifier(name) for role, name in names.items()}
    literals = {f"{role}_name": sql.Literal(name) for role, name in names.items()}
    # A file of the package is as literal as a constant; the type checker cannot know.
    template = cast("LiteralString", TEMPLATE.read_text(encoding="utf-8"))
    return sql.SQL(template).format(**identifiers, **literals).as_string()
