"""A team's own rules: a query each, whose first value is compared. It reads, shortly, and nothing else.

The transaction is read-only and the statement alone: it is declared as a cursor, through the protocol that takes one
statement, so that no `; COMMIT; DELETE` behind it is one. One row is fetched, however many there would be. The names in
it need their schemas.
"""

from typing import LiteralString, NamedTuple, cast

import psycopg
from psycopg import sql

from jobctl.alerts.conditions.rule import of_rule
from jobctl.alerts.verdict import Verdict
from jobctl.clock import utc_now
from jobctl.settings_alerts import RuleSettings


class Judged(NamedTuple):
    """`value` is None where the query gave none; then, or with an error, nothing is said."""

    name: str
    value: float | None
    verdicts: list[Verdict]
    error: str = ""


def judge(conn: psycopg.Connection, name: str, rule: RuleSettings) -> Judged:
    """On a connection that is in no transaction. Raises what ends the connection, nothing that the query may meet."""
    try:
        value = _value(conn, rule)
    except (psycopg.Error, ValueError) as error:
        if conn.closed:
            raise
        text = error.diag.message_primary if isinstance(error, psycopg.Error) else None
        return Judged(name, None, [], text or str(error))
    return Judged(name, value, of_rule(name, rule, value, utc_now()))


def _value(conn: psycopg.Connection, rule: RuleSettings) -> float | None:
    # An operator's own text, from a file that only operators write: the one SQL here that is no constant.
    query = sql.SQL("DECLARE jobctl_rule NO SCROLL CURSOR FOR {}").format(
        sql.SQL(cast("LiteralString", rule.query.strip().rstrip(";")))
    )
    with conn.transaction():
        conn.execute("SET TRANSACTION READ ONLY")
        conn.execute(
            "SELECT pg_catalog.set_config('statement_timeout', %(limit)s, true)",
            {"limit": f"{round(rule.timeout_s * 1000)}ms"},
        )
        with conn.cursor(binary=True) as cursor:  # so that it goes by the extended protocol
            cursor.execute(query)
        row = conn.execute("FETCH 1 FROM jobctl_rule").fetchone()
    if row is None or row[0] is None:
        return None
    value = float(row[0])
    if value != value:  # noqa: PLR0124 - it is not a number
        raise ValueError("its value is not a number")
    return value
