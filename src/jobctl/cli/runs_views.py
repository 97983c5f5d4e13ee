"""How runs look to a person: a list of them, and the words that the other views of runs share."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from jobctl.cli import render
from jobctl.cli.sparkline import sparkline
from jobctl.durations import format_duration

if TYPE_CHECKING:
    from jobctl.monitor.runs.listing import Listed

FIRST_COUNTS = ("read", "claimed", "projects", "attempts")
MOST_COUNTS = 3
TREND_RUNS = 3  # fewer than these are no trend


def print_list(items: "Sequence[Listed]", zone: str) -> None:
    if not items:
        render.print_text("No such runs.")
        return
    clock = ZoneInfo(zone)
    rows = [
        (
            str(each.run_id)[:8],
            name_of(each.job, each.scope),
            each.state,
            f"{each.started_at.astimezone(clock):%m-%d %H:%M:%S}",
            took(each.duration_ms),
            _what(each),
        )
        for each in items
    ]
    title = f"runs, the newest first (times of {zone})"
    render.print_table(title, ("run", "job", "state", "began", "took", ""), rows, shortens_last=True)
    for line in _trends(items):
        render.print_text(line)


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
    return ", ".join(f"{number:,} {name.replace('_', ' ')}" for name, number in told)


def _what(run: "Listed") -> str:
    counts = counts_in_words(run.counts, most=MOST_COUNTS)
    if run.error_class is None:
        return counts
    error = f"{run.error_class}: {render.one_line(run.error_message or '')}"
    return f"{error} ({counts})" if counts else error


def _trends(items: "Sequence[Listed]") -> list[str]:
    """How long the runs on this page took, of each job and scope that has several."""
    lines: list[str] = []
    for name in dict.fromkeys(name_of(each.job, each.scope) for each in items):
        spans = [
            each.duration_ms
            for each in reversed(items)
            if name_of(each.job, each.scope) == name and each.state != "skipped" and each.duration_ms is not None
        ]
        if len(spans) >= TREND_RUNS:
            lines.append(f"  {name}: {sparkline(spans)} {took(min(spans))} to {took(max(spans))}, the oldest first")
    return lines
