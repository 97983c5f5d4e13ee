"""`jobctl queue stats`: the figures gathered, as one object and as tables."""

from typing import TYPE_CHECKING, Any, NamedTuple

import psycopg
from rich.text import Text

from jobctl.cli.queue_views import shortened
from jobctl.cli.render import on_screen, print_json, print_table, print_text, printable
from jobctl.cli.runs_views import number_in_words
from jobctl.cli.spans import short
from jobctl.cli.sparkline import chart
from jobctl.cli.status_views import table
from jobctl.durations import format_duration
from jobctl.monitor.queue import patterns, stats
from jobctl.monitor.queue.projection import Projection, project

if TYPE_CHECKING:
    from jobctl.monitor.queue.quantiles import Quantiles

SHOWN_PATTERNS = 20


class Figures(NamedTuple):
    window: stats.Window
    standing: stats.Standing
    ended: stats.Ended
    loads: list[stats.Load]
    feed: list[stats.FailedTry]
    patterns: list[patterns.Pattern]
    projection: Projection
    waiting: tuple[stats.Waiting, ...]

    @property
    def window_s(self) -> float:
        return (self.window.until - self.window.since).total_seconds()


def gather(conn: psycopg.Connection, window: stats.Window, *, users: int, failures: int) -> Figures:
    standing = stats.standing(conn, window)
    return Figures(
        window,
        standing,
        stats.ended(conn, window),
        stats.loads(conn, window, limit=users),
        stats.feed(conn, window, limit=failures),
        patterns.group(stats.failures(conn, window)),
        project(
            sum(each.due for each in standing.backlog),
            arrived=standing.flow.arrived,
            left=standing.flow.left,
            window_s=(window.until - window.since).total_seconds(),
        ),
        stats.waiting(conn, window),
    )


def print_as_json(figures: Figures) -> None:
    window = figures.window
    print_json(
        {
            "since": window.since,
            "until": window.until,
            "type": window.type,
            "backlog": [
                {**each._asdict(), "oldest_due_s": _age_s(each.oldest_due_at, window)}
                for each in figures.standing.backlog
            ],
            "tries": [_tries_object(each, figures.window_s) for each in figures.ended.tries],
            "sampled_share": figures.ended.sampled_share,
            "users": [each._asdict() for each in figures.loads],
            "failures": [each._asdict() for each in figures.feed],
            "patterns": [each._asdict() for each in figures.patterns],
            "projection": figures.projection._asdict(),
            "waiting": [each._asdict() for each in figures.waiting],
        }
    )


def print_for_people(figures: Figures) -> None:
    window = figures.window
    print_text(_projected(figures.projection))
    waited = [each.due for each in figures.waiting]
    if any(waited):
        print_text(f"Due in this time: {chart(waited, number_in_words)} tasks, the oldest first.")
    if figures.standing.backlog:
        print_table(
            "Tasks",
            ["type", "state", "tasks", "due", "oldest due"],
            [
                [each.type, each.state, f"{each.tasks:,}", f"{each.due:,}" if each.due else "", _age(each, window)]
                for each in figures.standing.backlog
            ],
        )
    total, *types = figures.ended.tries
    if not total.number:
        print_text(f"No try ended in the last {format_duration(round(figures.window_s))}.")
        return
    _print_tries(([total] if len(types) > 1 else []) + types, figures.window_s)
    if figures.loads:
        print_table(
            "Users",
            ["user", "due", "running", "tries", "run time"],
            [
                [
                    each.user_id or "(nobody)",
                    f"{each.due:,}",
                    each.running,
                    f"{each.tries:,}",
                    format_duration(each.run_s),
                ]
                for each in figures.loads
            ],
        )
    if figures.patterns:
        print_table(
            "Errors",
            ["times", "types", "error", "last", "such as"],
            [
                [
                    f"{each.failures:,}",
                    ", ".join(each.types),
                    shortened(": ".join(part for part in (each.error_class, each.pattern) if part)),
                    each.last_at,
                    f"task {each.task_id}",
                ]
                for each in figures.patterns[:SHOWN_PATTERNS]
            ],
        )
    if figures.feed:
        _print_failures(figures.feed)


def _print_tries(tries: list[stats.Tries], window_s: float) -> None:
    """In 80 columns, as `jobctl stats` has them."""
    counts = ("succeeded", "failed", "timeout", "crashed")
    right = ("ended", "a min", "ok", "fail", "timeout", "crash", "back", "wait 50/95/99", "run 50/95/99")
    made = table(f"tries of {short(window_s)}", *right, right=right, gap=1)
    for each in tries:
        cells = [
            each.type or "all",
            f"{each.number:,}",
            f"{each.number / window_s * 60:,.1f}",
            *(f"{each.outcomes[name]:,}" for name in counts),
            f"{each.outcomes['snoozed'] + each.outcomes['released']:,}",
            _three(each.wait),
            _three(each.run),
        ]
        made.add_row(*(Text(printable(cell)) for cell in cells))
    with on_screen() as console:
        console.print(made)


def _print_failures(failures: list[stats.FailedTry]) -> None:
    made = table("failed at", "task", "type", "user", "outcome", "error", right=("task",), folds="error", gap=1)
    for each in failures:
        cells = [
            f"{each.finished_at:%m-%d %H:%M:%S}",
            f"{each.task_id}",
            each.type,
            each.user_id,
            each.outcome,
            shortened(": ".join(part for part in (each.error_class, each.error_message) if part)),
        ]
        made.add_row(*(Text(printable(cell)) for cell in cells))
    with on_screen() as console:
        console.print(made)


def _tries_object(tries: stats.Tries, window_s: float) -> dict[str, Any]:
    return {
        "type": tries.type,
        "ended": tries.number,
        "per_minute": round(tries.number / window_s * 60, 3),
        "per_hour": round(tries.number / window_s * 3_600, 3),
        **tries.outcomes,
        "wait": tries.wait._asdict() if tries.wait else None,
        "run": tries.run._asdict() if tries.run else None,
    }


def _projected(projection: Projection) -> str:
    come, go, each = projection.arrived_per_minute, projection.left_per_minute, "a minute"
    if 0 < max(come, go) < 1:
        come, go, each = come * 60, go * 60, "an hour"
    rates = f"{come:,.1f} {each} come, {go:,.1f} are finished"
    if projection.verdict == "empty":
        return f"Nothing is due ({rates})."
    due = "1 task is due" if projection.due == 1 else f"{projection.due:,} tasks are due"
    if projection.empty_in_s is not None:
        return f"{due}; at this rate none will be in {format_duration(round(projection.empty_in_s))} ({rates})."
    told = {
        "growing": "the backlog is growing",
        "steady": "the backlog stays as it is",
        "stalled": "nothing is being finished",
    }[projection.verdict]
    return f"{due}; {told} ({rates})."


def _age_s(moment: Any, window: stats.Window) -> float | None:
    return None if moment is None else round((window.until - moment).total_seconds(), 3)


def _age(each: stats.Backlog, window: stats.Window) -> str:
    age_s = _age_s(each.oldest_due_at, window)
    return "" if age_s is None else format_duration(age_s)


def _three(quantiles: "Quantiles | None") -> str:
    return "" if quantiles is None else "/".join(map(short, quantiles))
