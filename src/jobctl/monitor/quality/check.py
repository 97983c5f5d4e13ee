"""A consistency check: named SQL that finds what must not be there, and what came of asking it."""

from typing import Literal, LiteralString, NamedTuple

from psycopg import sql

Status = Literal["ok", "failed", "unknown"]


class Check(NamedTuple):
    """`broken` gives a row for each fault, with a column `example` that names it to a person. `reads`: tables that it
    reads from end to end, for each of their rows must be looked at; the others it reads by an index."""

    name: str
    says: str
    broken: LiteralString | sql.Composable
    mend: str
    reads: tuple[str, ...] = ()


class Finding(NamedTuple):
    """What a check found. `rows` is None when it could not be asked; then `why` says so."""

    name: str
    says: str
    status: Status
    rows: int | None
    example: str | None
    mend: str
    why: str = ""


def found(check: Check, rows: int, example: str | None) -> Finding:
    return Finding(check.name, check.says, "failed" if rows else "ok", rows, example, check.mend if rows else "")


def not_asked(check: Check, why: str) -> Finding:
    return Finding(check.name, check.says, "unknown", None, None, "", why)
