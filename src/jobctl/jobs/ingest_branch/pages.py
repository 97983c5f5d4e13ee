"""Reading a branch page by page: which records come next, and which of them need judging at all.

A record's change position is (changed_xid, record_no): the transaction that last changed it, and its number. Pages
follow that order, strictly after the last position, and stop before the oldest transaction that is still running
(pg_snapshot_xmin). A number from a clock or a sequence is drawn before its transaction commits, so a reader that trusts
it passes over rows that commit late; a row with a position below this bound is committed already, and one that commits
later has a position above it. What waits behind such a transaction is read by the next run.

The verdict is made where the rows are: a record whose payload and rules are those of its item (or of its open reject)
is only counted. Payloads travel for the others alone, as many as fit the memory limit. Where little changed, a long
stretch is first counted without its rows, and passed over at once if none of them needs work.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib import resources
from operator import itemgetter
from typing import LiteralString, cast

import psycopg
from psycopg import sql
from psycopg.rows import class_row

from jobctl.db.connection import Database


def _sql(name: str) -> LiteralString:
    """A statement that stands in a file beside this module."""
    text = resources.files("jobctl.jobs.ingest_branch").joinpath(name).read_text(encoding="utf-8")
    return cast(LiteralString, text)


_VERDICT = sql.SQL(_sql("verdict.sql"))
PAGE = sql.SQL(_sql("page.sql")).format(verdict=_VERDICT)
STRETCH = sql.SQL(_sql("stretch.sql")).format(verdict=_VERDICT)
STRETCH_RECORDS = 50_000


@dataclass(frozen=True, slots=True)
class Position:
    """The change position up to which records were read."""

    xid: int
    record_no: int


START = Position(0, -1)


# (record_no, record_key, source_version, payload_hash, payload or None when too large, is new, has an open reject,
# payload bytes, verdict, changed_xid): text where it is only passed on. A class here would cost a tenth of the run.
Row = tuple[str, str, str, str, str | None, bool, bool, int, str, str]
BYTES, VERDICT = 7, 8


@dataclass(frozen=True, slots=True)
class Page:
    """`to_judge` and `to_withdraw` need work; the numbers count the records that need none."""

    to_judge: Sequence[Row]
    to_withdraw: Sequence[int]
    read: int
    unchanged: int
    rejected: int
    skipped: int
    bytes: int
    end: Position
    scanned: int

    @property
    def has_little_to_do(self) -> bool:
        return (len(self.to_judge) + len(self.to_withdraw)) * 10 < self.scanned


@dataclass(frozen=True, slots=True)
class Stretch:
    scanned: int
    work: int
    unchanged: int
    rejected: int
    skipped: int
    bytes: int
    last_position: list[int] | None


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads one branch over one connection; `rules` and the limits are the same for all its pages."""

    database: Database
    conn: psycopg.Connection
    branch_id: int
    rules: str
    batch_size: int
    batch_bytes: int
    largest_payload_bytes: int

    def next_page(self, position: Position, *, look_ahead: bool) -> Page | None:
        """The next page, or None when nothing is left before the bound. With `look_ahead`, a stretch without any work
        is one page, however long."""
        with self.database.transaction(self.conn):
            # Each page is a short range of one index and look-ups by key from there; without statistics the planner
            # may prefer to hash the whole table for every page.
            self.conn.execute(NESTED_LOOPS)
            return (self._idle_stretch(position) if look_ahead else None) or self._page(position)

    def _idle_stretch(self, position: Position) -> Page | None:
        with self.conn.cursor(row_factory=class_row(Stretch)) as cursor:
            parameters = {**self._parameters(position), "stretch": STRETCH_RECORDS}
            found = cursor.execute(STRETCH, parameters).fetchone()
        if found is None or found.last_position is None or found.work:
            return None
        xid, record_no = found.last_position
        read = found.unchanged + found.rejected + found.skipped
        return Page(
            to_judge=(),
            to_withdraw=(),
            read=read,
            unchanged=found.unchanged,
            rejected=found.rejected,
            skipped=found.skipped,
            bytes=found.bytes,
            end=Position(xid, record_no),
            scanned=found.scanned,
        )

    def _page(self, position: Position) -> Page | None:
        rows: list[Row] = self.conn.execute(PAGE, self._parameters(position)).fetchall()
        if not rows:
            return None
        verdicts = Counter(map(itemgetter(VERDICT), rows))
        all_to_judge = verdicts["judge"] == len(rows)
        to_judge = rows if all_to_judge else [row for row in rows if row[VERDICT] == "judge"]
        gone = () if all_to_judge else [row for row in rows if row[VERDICT] in ("gone", "withdraw")]
        return Page(
            to_judge=to_judge,
            to_withdraw=[int(row[0]) for row in gone if row[VERDICT] == "withdraw"],
            read=len(rows) - verdicts["gone"] - verdicts["withdraw"],
            unchanged=verdicts["unchanged"],
            rejected=verdicts["rejected"],
            skipped=verdicts["skipped"],
            bytes=sum(map(itemgetter(BYTES), rows)) - sum(row[BYTES] for row in gone),
            end=Position(int(rows[-1][9]), int(rows[-1][0])),
            scanned=len(rows),
        )

    def _parameters(self, position: Position) -> dict[str, object]:
        return {
            "branch_id": self.branch_id,
            "rules": self.rules,
            "xid": str(position.xid),
            "record_no": position.record_no,
            "batch_size": self.batch_size,
            "batch_bytes": self.batch_bytes,
            "largest_payload_bytes": self.largest_payload_bytes,
        }


NESTED_LOOPS = """
SELECT pg_catalog.set_config('enable_hashjoin', 'off', true), pg_catalog.set_config('enable_mergejoin', 'off', true),
    pg_catalog.set_config('enable_seqscan', 'off', true)
"""


@dataclass(frozen=True, slots=True)
class HeldBack:
    """Records that exist but wait behind a transaction that is still running."""

    records: int
    oldest_transaction_s: float | None


HELD_BACK = """
SELECT count(*) AS records,
    (SELECT extract(epoch FROM clock_timestamp() - min(a.xact_start))::float8 FROM pg_catalog.pg_stat_activity AS a
     WHERE a.backend_xid IS NOT NULL AND a.pid <> pg_catalog.pg_backend_pid()) AS oldest_transaction_s
FROM branch.records
WHERE branch_id = %(branch_id)s AND changed_xid >= pg_catalog.pg_snapshot_xmin(pg_catalog.pg_current_snapshot())
"""


def held_back(conn: psycopg.Connection, branch_id: int) -> HeldBack:
    with conn.cursor(row_factory=class_row(HeldBack)) as cursor:
        found = cursor.execute(HELD_BACK, {"branch_id": branch_id}).fetchone()
    assert found is not None
    return found


CHANGED_AT = "SELECT changed_at FROM branch.records WHERE record_no = %(record_no)s"


def changed_at(conn: psycopg.Connection, position: Position) -> datetime | None:
    """When the record at a position last changed; None when it has moved on since."""
    row = conn.execute(CHANGED_AT, {"record_no": position.record_no}).fetchone()
    return row[0] if row else None
