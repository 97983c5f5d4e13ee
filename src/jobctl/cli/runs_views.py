"""How runs look to a person: a list of them, and the words that the other views of runs share."""

import shutil
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from jobctl.cli import render
from jobctl.cli.sparkline import chart
from jobctl.durations import format_duration
from jobctl.monitor.runs.facts import records

if TYPE_CHECKING:
    from jobctl.monitor.runs.listing import Listed

FIRST_COUNTS = ("read", "claimed", "projects", "inserted", "updated", "rejected", "failed", "succeeded", "withdrawn")
MOST_COUNTS = 3
TREND_RUNS = 3  # fewer than these are no trend


def print_list(items: "Sequence[Listed]", zone: str) -> None:
    if not items:
        render.print_text("No such runs.")
        return
    began = f"began ({items[0].started_at.astimezone(ZoneInfo(zone)):%Z})"
    for line in (_line("run", began, "state", "took", "job"), *(_row(each, zone) for each in items)):
        render.print_text(_fitted(render.printable(line)))
    for line in _trends(items):
        render.print_text(line)


def _row(run: "Listed", zone: str) -> str:
    what = _what(run)
    name = name_of(run.job, run.scope)
    began = f"{run.started_at.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M:%S}"
    return _line(str(run.run_id)[:8], began, run.state, took(run.duration_ms), f"{name}: {what}" if what else name)


def _line(run: str, began: str, state: str, took_: str, what: str) -> str:
    """No frame: a run is a line, also in 80 columns."""
    return f"{run:<8}  {began:<19}  {state:<11}  {took_:>6}  {what}"


def _fitted(line: str) -> str:
    """Cut to the terminal's width; whoever reads a pipe gets all of it."""
    if not sys.stdout.isatty():
        return line
    width = shutil.get_terminal_size().columns
    return line if len(line) <= width else line[: width - 1] + "…"


def name_of(job: str, scope: str) -> str:
    return f"{job} {scope}".strip()


def took(duration_ms: int | None) -> str:
    return format_duration(duration_ms / 1000) if duration_ms is not None else ""


def moment(at: datetime, zone: str) -> str:
    return f"{at.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M:%S %Z}"


def counts_in_words(counts: Mapping[str, Any], *, most: int | None = None) -> str:
    """Those that are not zero; what was worked on comes first."""
    told = [(name, counts[name]) for name in FIRST_COUNTS if counts.get(name)]
    told += [(name, number) for name, number in counts.items() if number and name not in FIRST_COUNTS]
    if most is not None:
        told = [(name, number) for name, number in told if not name.endswith("bytes")][:most]
    return ", ".join(f"{number_in_words(number)} {_noun(name, number)}" for name, number in told)


def number_in_words(value: object) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _noun(name: str, number: object) -> str:
    word = name.replace("_", " ")
    return word.removesuffix("s") if number == 1 else word


def _what(run: "Listed") -> str:
    """The error, which says most; else what was done. That a command was tried once goes without saying."""
    if run.error_class is not None:
        return render.one_line(run.error_message or run.error_class)
    counts = {name: number for name, number in run.counts.items() if (name, number) != ("attempts", 1)}
    return counts_in_words(counts, most=MOST_COUNTS)


def _trends(items: "Sequence[Listed]") -> list[str]:
    """How long the runs on this page took, and how much they did, of each job and scope that has several."""
    lines: list[str] = []
    for name in dict.fromkeys(name_of(each.job, each.scope) for each in items):
        runs = [
            each
            for each in reversed(items)
            if name_of(each.job, each.scope) == name and each.state != "skipped" and each.duration_ms is not None
        ]
        if len(runs) >= TREND_RUNS:
            done = [records(each.counts) for each in runs]
            did = f"; {chart(done, number_in_words)} records" if any(done) else ""
            lines.append(f"  {name}: {chart([each.duration_ms for each in runs], took)}{did}, the oldest first")
    return lines
