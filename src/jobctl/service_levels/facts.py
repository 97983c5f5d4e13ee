"""What is known of projects at a moment, before anything is judged. Pure: the rows that `reading` gives."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import NamedTuple


class Window(NamedTuple):
    """The moment, and since when closed bugs are wanted."""

    as_of: datetime
    since: datetime

    def back(self, days: int) -> datetime:
        return self.as_of - timedelta(days=days)


class Bug(NamedTuple):
    """An issue that its labels call a bug, open at the moment or closed since. What the labels say is put together
    as `bugs.together` does; `form_text` is the raw answer of the form."""

    node_id: str
    project_id: int
    number: int
    created_at: datetime
    first_response_at: datetime | None
    closed_at: datetime | None
    is_resolved: bool
    is_assigned: bool
    severity: int | None
    label_impact: Decimal | None
    is_paused: bool
    form_text: str | None
    imported: Decimal | None


class Flow(NamedTuple):
    """Issues and pull requests of a project, those that bots opened left out."""

    project_id: int
    open_issues: int
    open_pulls: int
    opened: int
    closed: int
    first_response_s: float | None
    answerable: int
    unanswered: int
    stale_issues: int
    stale_pulls: int
    unlabelled: int


class Merged(NamedTuple):
    """Pull requests of a project that people opened and that were merged: each one's seconds and lines."""

    project_id: int
    merged: int
    merged_in_weeks: int
    coding_s: Sequence[float]
    pickup_s: Sequence[float]
    review_s: Sequence[float]
    cycle_s: Sequence[float]
    size: Sequence[float]


class People(NamedTuple):
    """Who commits to a project, in numbers. None is not known: its commits were never fetched."""

    project_id: int
    active_people: int | None
    absence_factor: int | None
    last_commit_at: datetime | None


class Known(NamedTuple):
    project_id: int
    full_name: str
    team: str | None
    created_on_github_at: datetime


class Issue(NamedTuple):
    """One issue with all that the rules look at."""

    node_id: str
    is_pull: bool
    title: str
    body: str | None
    state: str
    state_reason: str | None
    created_at: datetime
    first_response_at: datetime | None
    closed_at: datetime | None
    reopened: int
    removed_at: datetime | None
    removal: str | None
    moved_to: str | None
    assignees: Sequence[str]
    labels: Sequence[str]
    imported: Decimal | None
    note: str | None
