"""The screen of `jobctl status`, as a terminal of a width gets it."""

from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
from rich.console import Console

from jobctl.cli import status_views
from jobctl.monitor.runs.course import Durations, Streak
from jobctl.monitor.runs.glance import BranchNow, Glance, ProjectsNow, QueueNow
from jobctl.monitor.runs.health import Health, Reason
from jobctl.monitor.runs.jobs_now import JobNow

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LONG = "two of the twelve branches were not loaded since Monday, and nobody knows why that is so: " * 2


def lines_of(glance: Glance, width: int) -> list[str]:
    out = StringIO()
    Console(file=out, width=width, highlight=False).print(status_views.screen(glance, "UTC", width=width))
    return out.getvalue().splitlines()


def a_glance() -> Glance:
    reasons = (
        Reason("critical", "incident", "c", LONG, NOW - timedelta(hours=3), 7),
        Reason("warning", "missed", "sync", "sync missed its slot", NOW - timedelta(minutes=3)),
    )
    job = JobNow("sync", "", None, None, None, None, "", Streak(None, 0, False), Durations(0, None, None, ()), False)
    branches = tuple(BranchNow(f"branch-{nth}", NOW, 9_000.0, 3_600.0) for nth in range(9))
    return Glance(
        NOW, Health("critical", reasons), (job,), (), (), (), QueueNow((), 0, 0), branches, ProjectsNow(3, 1, 60.0, {})
    )


@pytest.mark.parametrize("width", [80, 140])
def test_sentences_are_set_in_below_their_beginning_and_end_where_their_words_do(width: int) -> None:
    lines = lines_of(a_glance(), width)
    assert max(map(len, lines)) <= width
    first = next(nth for nth, line in enumerate(lines) if line.startswith("  critical  two of"))
    assert lines[first + 1].startswith(" " * 12) and lines[first + 1][12] != " "
    stale = next(nth for nth, line in enumerate(lines) if line.startswith("branches  0 of 9 fresh; branch-0 was"))
    assert lines[stale + 1].startswith(" " * 10) and lines[stale + 1][10] != " "
    for line in (*lines[first : first + 3], *lines[stale:]):
        assert line == line.rstrip()
    assert "  warning   sync missed its slot (for 3m)" in lines


def test_a_job_that_nothing_starts_has_none_for_its_next_start() -> None:
    line = next(line for line in lines_of(a_glance(), 80) if line.startswith("sync"))
    assert line.split() == ["sync", "never", "none"]
