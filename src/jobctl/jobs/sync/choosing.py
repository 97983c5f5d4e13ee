"""Which projects a run is for. Pure.

A project's own schedule is a cron expression in the team's zone, and names the moments from which on what is known of
it is too old. It is due when one of them has come since it was brought to its end, and stays due until it is: whatever
ended a run, and however seldom cron starts one, it is made up for by the next. One without a schedule, one that was
never synced, and one whose schedule cannot be read are due with every run.

It starts no run: that is cron's. One that is to be synced hourly needs an hourly line.
"""

from collections.abc import Sequence
from datetime import datetime, tzinfo
from typing import NamedTuple

from jobctl.projects.project import Project
from jobctl.schedule.expression import Expression, ExpressionError, parse


class Chosen(NamedTuple):
    """In the order that they came in."""

    due: list[Project]
    not_due: list[Project]


def choose(projects: Sequence[Project], now: datetime, zone: tzinfo) -> Chosen:
    chosen = Chosen([], [])
    for project in projects:
        (chosen.due if due_at(project, now, zone) is None else chosen.not_due).append(project)
    return chosen


def due_at(project: Project, now: datetime, zone: tzinfo) -> datetime | None:
    """From when on it is due; None: it is."""
    schedule = _read(project.schedule)
    if schedule is None or project.synced_at is None or schedule.last_until(now, zone) > project.synced_at:
        return None
    return schedule.next_after(now, zone)


def _read(text: str | None) -> Expression | None:
    try:
        return parse(text) if text else None
    except ExpressionError:
        return None
