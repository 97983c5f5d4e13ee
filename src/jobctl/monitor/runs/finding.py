"""Which run is meant: by its id or the beginning of it, as `last`, or as the last one of a job.

    5f0c1d2e-...    the run of this id
    5f0c1d          the one run whose id begins so
    last            the run that began last
    sync            the last run of a job; ingest-branch/north the last of its scope
    backup          the last run of a wrapped command, which has no other job of this name beside it

Each form is one look into an index, whatever the length of the history.
"""

import re
from typing import Final, LiteralString
from uuid import UUID

import psycopg
from psycopg.rows import scalar_row

from jobctl.errors import UsageError

LAST: Final = "last"
WRAPPED: Final = "run"
SHOWN_MATCHES: Final = 5
_BEGINNING = re.compile(r"[0-9a-f]{1,32}")

NEWEST = "SELECT run_id FROM ops.job_history ORDER BY started_at DESC, run_id DESC, scope DESC LIMIT 1"
NEWEST_OF_JOB = """
SELECT run_id FROM ops.job_history WHERE job = %(job)s
ORDER BY started_at DESC, run_id DESC, scope DESC LIMIT 1
"""
NEWEST_OF_SCOPE = """
SELECT run_id FROM ops.job_history WHERE job = %(job)s AND scope = %(scope)s
ORDER BY started_at DESC LIMIT 1
"""
# A run has a row a scope, so that the page is of rows and may show one run more than once.
BY_BEGINNING = """
SELECT run_id FROM (
    SELECT run_id FROM ops.job_history
    WHERE run_id >= %(first)s AND run_id <= %(last)s ORDER BY run_id LIMIT 1000) AS found
GROUP BY run_id ORDER BY run_id LIMIT %(limit)s
"""


def find(conn: psycopg.Connection, text: str) -> UUID:
    """Raises UsageError where no run is meant, or several are."""
    word = text.strip()
    if word == LAST:
        newest = _one(conn, NEWEST)
        if newest is None:
            raise UsageError("no run is in the history yet", hint="jobctl ingest-branch --help")
        return newest
    named = _of_job(conn, word)
    if named is not None:
        return named
    begins = "".join(word.lower().split("-"))
    if _BEGINNING.fullmatch(begins):
        found = by_beginning(conn, begins, limit=SHOWN_MATCHES + 1)
        if len(found) == 1:
            return found[0]
        if found:
            many = ", ".join(str(each)[:13] for each in found[:SHOWN_MATCHES])
            more = " and more" if len(found) > SHOWN_MATCHES else ""
            raise UsageError(f"{text!r} begins the ids of several runs: {many}{more}", hint="give more of it")
    raise UsageError(f"there is no run {text!r}", hint="jobctl runs list shows them; or give a job, or: last")


def by_beginning(conn: psycopg.Connection, begins: str, *, limit: int) -> list[UUID]:
    """The runs whose id begins with these hexadecimal digits."""
    parameters = {"first": UUID(begins.ljust(32, "0")), "last": UUID(begins.ljust(32, "f")), "limit": limit}
    with conn.cursor(row_factory=scalar_row) as cursor:
        return cursor.execute(BY_BEGINNING, parameters).fetchall()


def _of_job(conn: psycopg.Connection, word: str) -> UUID | None:
    job, slash, scope = word.partition("/")
    if slash:
        return _one(conn, NEWEST_OF_SCOPE, job=job, scope=scope)
    return _one(conn, NEWEST_OF_JOB, job=job) or _one(conn, NEWEST_OF_SCOPE, job=WRAPPED, scope=word)


def _one(conn: psycopg.Connection, question: LiteralString, **parameters: str) -> UUID | None:
    with conn.cursor(row_factory=scalar_row) as cursor:
        return cursor.execute(question, parameters).fetchone()
