"""What `jobctl schedule list` and `next` show."""

import heapq
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from jobctl.cli import render
from jobctl.cli.schedule_lines import ScheduleLine, scopes_in_history, table_state
from jobctl.cli.session import database_if_reachable

if TYPE_CHECKING:
    from jobctl.runtime.runs_beside_schedule import RunRow
    from jobctl.settings import Settings


@dataclass(frozen=True, slots=True)
class Row:
    """`last` is None where no run is known; `history_is_known` tells an empty history from an unreachable one."""

    line: ScheduleLine
    last: "RunRow | None"
    history_is_known: bool
    next_at: datetime

    def as_json(self) -> dict[str, object]:
        return {
            **self.line.as_json(),
            "last_run": run_json(self.last) if self.last else None,
            "history_is_known": self.history_is_known,
            "next_at": self.next_at,
        }


@dataclass(frozen=True, slots=True)
class NextStart:
    at: datetime
    line: ScheduleLine

    @property
    def local(self) -> datetime:
        return self.at.astimezone(self.line.clock)

    def as_json(self) -> dict[str, object]:
        return {
            "slot_at": self.at,
            "slot_local": f"{self.local:%Y-%m-%d %H:%M %Z}",
            "job": self.line.job,
            "scope": self.line.scope,
            "state": self.line.state,
            "source": self.line.source,
            "expression": str(self.line.expression),
            "zone": self.line.zone,
        }


def with_last_and_next(settings: "Settings", lines: Sequence[ScheduleLine], now: datetime) -> list[Row]:
    """Each line with its last run, as far as the database can be asked, and its next start."""
    from jobctl.runtime.runs_beside_schedule import last_run

    database = database_if_reachable(settings)
    last: list[RunRow | None] = [None] * len(lines)
    if database is not None:
        with database.connect() as conn:
            last = [last_run(conn, line.job, scopes_in_history(line.job, line.scope)) for line in lines]
    return [
        Row(line, run, database is not None, line.expression.next_after(now, line.clock))
        for line, run in zip(lines, last, strict=True)
    ]


def next_starts(
    lines: Sequence[ScheduleLine], start_in: Callable[[ZoneInfo], datetime], number: int
) -> list[NextStart]:
    """The next starts of all lines together; each line begins at `start_in` of its own zone, that minute included."""
    return list(islice(heapq.merge(*(_starts(line, start_in) for line in lines), key=lambda start: start.at), number))


def _starts(line: ScheduleLine, start_in: Callable[[ZoneInfo], datetime]) -> Iterator[NextStart]:
    from datetime import timedelta

    start = start_in(line.clock) - timedelta(microseconds=1)
    return (NextStart(at, line) for at in line.expression.after(start, line.clock))


def print_list(rows: Sequence[Row]) -> None:
    """Three plain lines each: a table of so many columns would be cut to the terminal's width."""
    for row in rows:
        line = row.line
        differs = line.planned_at is not None and line.planned_at != str(line.expression)
        plan = f"; the plan says {line.planned_at}" if differs else ""
        render.print_text(f"{line.name:<15} {line.expression!s:<13} {line.expression.in_words()}{plan}")
        render.print_text(f"    {_times(row)}")
        render.print_text(f"    {table_state(line)}; owner: {line.owner}")
    if rows and not rows[0].history_is_known:
        render.note("the last runs are unknown: the database cannot be reached (jobctl db status)")


def print_next(starts: Sequence[NextStart]) -> None:
    render.print_table(
        "",
        ("start", "job", "expression", "line"),
        [
            (f"{start.local:%a %Y-%m-%d %H:%M %Z}", start.line.name, start.line.expression, table_state(start.line))
            for start in starts
        ],
    )


def run_json(run: "RunRow") -> dict[str, object]:
    return {
        "run_id": run.run_id,
        "scope": run.scope,
        "status": run.status,
        "exit_code": run.exit_code,
        "host": run.host,
        "slot_at": run.slot_at,
        "started_at": run.started_at,
        "finished_at": run.finished_at,
        "error_message": run.error_message,
    }


def _times(row: Row) -> str:
    clock = row.line.clock
    if row.last is not None:
        last = f"{row.last.started_at.astimezone(clock):%Y-%m-%d %H:%M} {row.last.status}"
    else:
        last = "never" if row.history_is_known else "unknown"
    coming = (
        f"next {row.next_at.astimezone(clock):%a %Y-%m-%d %H:%M}" if row.line.state == "installed" else "next never"
    )
    return f"{coming}, last {last} ({row.line.zone})"
