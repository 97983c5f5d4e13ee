"""Tables that vacuum does not keep up with, snapshots that hold it back, indexes that are missing or unused. Pure."""

from typing import Final, NamedTuple

from jobctl.durations import format_duration
from jobctl.monitor.insights.finding import Finding

LEAST_DEAD: Final = 100_000
LEAST_DEAD_SHARE: Final = 0.2
OLD_SNAPSHOT_S: Final = 600
VERY_OLD_SNAPSHOT_S: Final = 3_600
BIG_ROWS: Final = 100_000
SCANS_A_DAY: Final = 24
LEAST_DAYS: Final = 1.0  # of statistics
UNUSED_DAYS: Final = 14.0
UNUSED_BYTES: Final = 50 << 20


class Table(NamedTuple):
    """What the server counted since its statistics were reset."""

    name: str
    rows: int
    dead: int
    bytes: int
    seq_scans: int
    seq_rows: int


class Index(NamedTuple):
    name: str
    table: str
    bytes: int
    scans: int
    is_needed: bool  # by a constraint


class Snapshot(NamedTuple):
    age_s: float
    session: str
    pid: int | None


def bloated(table: Table, oldest: Snapshot | None) -> Finding | None:
    share = table.dead / (table.rows + table.dead) if table.dead else 0.0
    if table.dead < LEAST_DEAD or share < LEAST_DEAD_SHARE:
        return None
    is_held = oldest is not None and oldest.age_s >= OLD_SNAPSHOT_S
    held = f"; vacuum cannot remove them before {oldest.session} ends" if oldest is not None and is_held else ""
    return Finding(
        "bloat",
        "medium",
        table.name,
        f"{table.dead:,} dead rows are {share:.0%} of {table.name}{held}",
        {"dead_rows": table.dead, "live_rows": table.rows, "share": round(share, 3), "bytes": table.bytes},
        f"the server's own estimate; {LEAST_DEAD:,} and {LEAST_DEAD_SHARE:.0%} are enough",
        "end that session first" if is_held else f"jobctl db psql -c 'VACUUM (ANALYZE) {table.name}'",
        weight=share,
    )


def old_snapshot(oldest: Snapshot | None) -> Finding | None:
    if oldest is None or oldest.age_s < OLD_SNAPSHOT_S:
        return None
    end = (
        f"jobctl db psql -c 'SELECT pg_terminate_backend({oldest.pid})'"
        if oldest.pid
        else "COMMIT or ROLLBACK PREPARED"
    )
    return Finding(
        "old-snapshot",
        "high" if oldest.age_s >= VERY_OLD_SNAPSHOT_S else "medium",
        oldest.session,
        f"{oldest.session} holds a snapshot that is {format_duration(round(oldest.age_s))} old: no row that died since "
        "then can be removed, in any table",
        {"age_s": round(oldest.age_s, 1), "pid": oldest.pid, "session": oldest.session},
        f"{format_duration(OLD_SNAPSHOT_S)} are enough",
        f"let it end; else: {end}",
        weight=oldest.age_s / OLD_SNAPSHOT_S,
    )


def missing_index(table: Table, days: float) -> Finding | None:
    if table.rows < BIG_ROWS or days < LEAST_DAYS or not table.seq_scans:
        return None
    a_day, a_scan = table.seq_scans / days, table.seq_rows / table.seq_scans
    if a_day < SCANS_A_DAY or a_scan < table.rows / 2:
        return None
    return Finding(
        "missing-index",
        "low",
        table.name,
        f"{table.name} with {table.rows:,} rows is read from end to end {a_day:,.0f} times a day",
        {
            "rows": table.rows,
            "seq_scans": table.seq_scans,
            "seq_scans_per_day": round(a_day, 1),
            "rows_per_scan": round(a_scan),
            "statistics_days": round(days, 1),
        },
        f"{days:.0f} days of statistics; {SCANS_A_DAY} scans a day are enough",
        "find the question: pg_stat_statements, or log_min_duration_statement = 1s; jobctl's own read no big table "
        "whole but for jobctl quality, embeddings status and queue stats",
        weight=a_day * a_scan / 1e6,
    )


def unused_index(index: Index, days: float) -> Finding | None:
    if index.is_needed or index.scans or index.bytes < UNUSED_BYTES or days < UNUSED_DAYS:
        return None
    return Finding(
        "unused-index",
        "low",
        index.name,
        f"{index.name} on {index.table} has {index.bytes >> 20:,} MiB and was not used once in {days:.0f} days",
        {"bytes": index.bytes, "scans": 0, "statistics_days": round(days, 1)},
        f"{UNUSED_DAYS:.0f} days of statistics are enough; a standby's own are not in them",
        "one that you made: DROP INDEX CONCURRENTLY; one of jobctl's: tell the maintainers",
        weight=index.bytes / UNUSED_BYTES,
    )
