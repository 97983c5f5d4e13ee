"""What is asked of a branch before its first page: that it is there, wanted, fresh, and mapped as it is loaded."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import psycopg

from jobctl.branches import store as branches
from jobctl.branches.branch import Branch
from jobctl.durations import format_duration
from jobctl.errors import SourceError
from jobctl.items import store as items
from jobctl.items.record import Validator

FEWEST_TO_GUARD = 10


def ready_branch(conn: psycopg.Connection, slug: str, *, now: datetime, max_age: timedelta | None) -> Branch:
    """The branch, if it may be read now. Raises SourceError that says what is missing and the command that mends it."""
    branch = branches.get(conn, slug)
    if branch is None:
        raise SourceError(f"there is no branch {slug!r}", hint="see: jobctl branch list")
    if not branch.active:
        raise SourceError(f"branch {slug!r} is not activated", hint=f"run: jobctl branch activate {slug}")
    if branch.loaded_at is None:
        raise SourceError(f"branch {slug!r} was never loaded", hint=f"run: jobctl branch load {slug} FILE")
    allowed = max_age if max_age is not None else branch.expected_freshness
    age = now - branch.loaded_at
    if allowed is not None and age > allowed:
        raise SourceError(
            f"branch {slug!r} was last loaded {_rough(age)} ago, "
            f"more than the {format_duration(allowed.total_seconds())} it may be old",
            hint=f"load it (jobctl branch load {slug} FILE), or accept its age with --max-age",
        )
    return branch


def _rough(age: timedelta) -> str:
    """An age as one says it: of days nobody counts the seconds."""
    seconds = age.total_seconds()
    unit = 3_600 if seconds > 86_400 else 60 if seconds > 3_600 else 1
    return format_duration(seconds // unit * unit)


SAMPLE = """
SELECT payload FROM branch.records
WHERE branch_id = %(branch_id)s AND withdrawn_at IS NULL AND payload_bytes <= 100000
ORDER BY changed_xid DESC, record_no DESC LIMIT 200
"""


def check_mapped_fields(conn: psycopg.Connection, branch: Branch, validator: Validator) -> None:
    """Raise SourceError when a mapped field is in none of the newest records: the source or the map changed."""
    payloads: Sequence[str] = [row[0] for row in conn.execute(SAMPLE, {"branch_id": branch.branch_id}).fetchall()]
    missing = validator.missing_in(payloads) if payloads else ()
    if missing:
        raise SourceError(
            f"branch {branch.slug!r} maps fields that none of its newest {len(payloads)} records has: "
            + ", ".join(missing),
            hint=f"correct the map: jobctl branch add {branch.slug} --update --map our_field=source_field",
        )


# A number drawn here is below what the next transaction will get; one above it was drawn by another cluster.
IS_FOREIGN = """
SELECT pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot()) <= greatest(%(xid)s::xid8,
    (SELECT changed_xid FROM branch.records WHERE branch_id = %(branch_id)s ORDER BY changed_xid DESC LIMIT 1))
"""

RESTAMP = "UPDATE branch.records SET changed_xid = pg_current_xact_id() WHERE branch_id = %(branch_id)s"


def positions_are_foreign(conn: psycopg.Connection, branch: Branch, xid: int) -> bool:
    """Whether the records' positions, or the checkpoint's, come from another PostgreSQL: a dump restored here."""
    row = conn.execute(IS_FOREIGN, {"branch_id": branch.branch_id, "xid": str(xid)}).fetchone()
    return row is not None and bool(row[0])


def restamp(conn: psycopg.Connection, branch: Branch) -> int:
    """Give every record a position of this cluster, inside a transaction. As long as it takes: it is done once."""
    conn.execute("SET LOCAL statement_timeout TO 0")
    return conn.execute(RESTAMP, {"branch_id": branch.branch_id}).rowcount


COUNT_WITHDRAWN = """
SELECT count(*) FROM branch.records AS r JOIN core.items AS i ON i.item_id = r.record_no
WHERE r.branch_id = %(branch_id)s AND r.withdrawn_at IS NOT NULL AND i.withdrawn_at IS NULL
"""


def check_withdrawals(conn: psycopg.Connection, branch: Branch, *, max_share: float | None) -> None:
    """Raise SourceError when more items would be withdrawn at once than the branch allows."""
    row = conn.execute(COUNT_WITHDRAWN, {"branch_id": branch.branch_id}).fetchone()
    pending = row[0] if row else 0
    if not pending:
        return
    live = items.count_live(conn, branch.branch_id)
    allowed = branch.max_withdraw_share if max_share is None else max_share
    if live >= FEWEST_TO_GUARD and pending > allowed * live:
        raise SourceError(
            f"{pending:,} of {live:,} items of branch {branch.slug!r} would be withdrawn at once, "
            f"more than the share of {allowed:.0%} that is allowed",
            hint="if the source is right, run once with --max-withdraw-share 1",
        )
