"""What a week's report says, before any word of it is chosen. Pure: what was gathered, and what follows from it.

None is `not known`, everywhere; it is never zero. A list that shows only its first entries says how many there are.
Figures of engineering stand as of the end of the week, or as of now while the week lasts (`as_of`). What the database
knows only of the present (backlog, embeddings) is None for a week that has been over for long.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date, datetime
from enum import Enum
from typing import Any, Final, Generic, Literal, TypeVar

from jobctl.reports.week import Week

BANDS: Final = ("critical", "warning", "healthy", "unknown")  # the worst first
SEVERITIES: Final = ("critical", "high", "medium", "low")
Each = TypeVar("Each")
# What is read on its own: where one cannot be, the others are told all the same.
Part = Literal[
    "figures", "trend", "paces", "projects", "bugs", "pulls", "branches", "queue", "embeddings", "jobs", "incidents",
    "sync",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Some(Generic[Each]):
    """The first of `total`."""

    shown: tuple[Each, ...]
    total: int

    @property
    def more(self) -> int:
        return self.total - len(self.shown)


def some(of: Sequence[Each], most: int) -> Some[Each]:
    return Some(tuple(of[:most]), len(of))


@dataclass(frozen=True, slots=True)
class Risk:
    """Money a day. `before` is a week earlier."""

    per_day: float
    bugs: int
    before: float | None

    @property
    def change(self) -> float | None:
        return None if self.before is None else round(self.per_day - self.before, 2)

    @property
    def share(self) -> float | None:
        """A rise from nothing has none."""
        return (self.per_day - self.before) / self.before if self.before else None


@dataclass(frozen=True, slots=True)
class DayRisk:
    day: date
    per_day: float | None


@dataclass(frozen=True, slots=True)
class Goal:
    """Cycles of one goal. Open ones are on track, at risk or breached; those of 30 days were met or missed."""

    name: str
    met: int
    missed: int
    breached: int
    at_risk: int
    on_track: int

    @property
    def met_share(self) -> float | None:
        """Of those completed, and of those that can no longer be met."""
        judged = self.met + self.missed + self.breached
        return self.met / judged if judged else None


@dataclass(frozen=True, slots=True)
class Pace:
    """Bugs resolved and pull requests merged a week; hours of a pull request's cycle."""

    resolved_4: float | None
    resolved_12: float | None
    merged: float | None
    cycle_h: float | None
    cycle_p90_h: float | None


@dataclass(frozen=True, slots=True)
class WeekPace:
    week: str
    resolved: float | None
    merged: float | None


@dataclass(frozen=True, slots=True)
class Figures:
    """What `jobctl metrics` has kept of the week's last hour."""

    hour: datetime
    currency: str
    projects: int
    risk: Risk
    by_severity: tuple[tuple[str, Risk], ...]
    goals: tuple[Goal, ...]
    goals_before: tuple[Goal, ...] | None
    unassigned_critical: int
    pace: Pace
    pace_before: Pace | None


@dataclass(frozen=True, slots=True)
class Project:
    """Its health at the end of the week and a week earlier. `reasons` are the inputs that cost it most."""

    name: str
    team: str | None
    owner: str | None
    criticality: str
    score: float | None
    band: str
    score_before: float | None
    band_before: str | None
    per_day: float | None
    bugs: int | None
    reasons: tuple[str, ...] = ()

    @property
    def moved(self) -> int:
        """1 up, -1 down, 0 not by a band; what was or is unknown has not moved."""
        known = ("critical", "warning", "healthy")
        if self.band not in known or self.band_before not in known:
            return 0
        now, before = known.index(self.band), known.index(self.band_before)
        return (now > before) - (now < before)


@dataclass(frozen=True, slots=True)
class Bug:
    """A critical bug that is open. Nobody is assigned where there is no owner."""

    project: str
    number: int
    title: str
    opened_at: datetime
    owners: tuple[str, ...]
    per_day: float
    is_breached: bool


@dataclass(frozen=True, slots=True)
class Pull:
    """An open pull request that nobody has touched for long."""

    project: str
    number: int
    title: str
    author: str | None
    opened_at: datetime
    touched_at: datetime
    waits_for: str


@dataclass(frozen=True, slots=True)
class Branch:
    """Records that runs read in the week, and how it stands with the branch at its end."""

    slug: str
    runs: int
    read: int | None
    changed: int | None
    rejected: int | None
    rejects_open: int | None
    loaded_at: datetime | None
    age_s: float | None
    expected_s: float | None

    @property
    def is_stale(self) -> bool:
        return self.age_s is not None and self.expected_s is not None and self.age_s > self.expected_s

    @property
    def reject_share(self) -> float | None:
        return self.rejected / self.read if self.read and self.rejected is not None else None


@dataclass(frozen=True, slots=True)
class Queue:
    """Tries that ended in the week by their outcome; what is due and what failed for good stand as of now."""

    tries: int
    succeeded: int
    failed: int
    due: int | None
    oldest_due_s: float | None
    failed_tasks: int | None


@dataclass(frozen=True, slots=True)
class Embeddings:
    """Of the items as they are now."""

    items: int
    embedded: int
    pending: int
    failed: int
    stale: int
    missing: int


@dataclass(frozen=True, slots=True)
class DayRuns:
    day: date
    good: int
    bad: int


@dataclass(frozen=True, slots=True)
class Job:
    """Its runs in the week. Bad are those that failed, ran out of time, were abandoned or ended by a stray signal."""

    name: str
    good: int
    bad: int
    skipped: int
    degraded: int
    median_ms: float | None
    slowest_ms: float | None
    slowest_run: str | None
    missed: int
    days: tuple[DayRuns, ...]

    @property
    def success(self) -> float | None:
        runs = self.good + self.bad
        return self.good / runs if runs else None


@dataclass(frozen=True, slots=True)
class Incident:
    """`lasted_s` is its time inside the week."""

    incident_id: int
    severity: str
    title: str
    opened_at: datetime
    resolved_at: datetime | None
    lasted_s: float


@dataclass(frozen=True, slots=True)
class Sync:
    """Of the followed projects."""

    projects: int
    never: int
    failing: int
    oldest_s: float | None


@dataclass(frozen=True, slots=True)
class Report:
    """`unread`: why a part could not be read, which is empty then and tells nothing."""

    week: Week
    as_of: datetime
    made_at: datetime
    success_goal: float
    stuck_days: int
    figures: Figures | None
    trend: tuple[DayRisk, ...]
    paces: tuple[WeekPace, ...]
    projects: tuple[Project, ...]
    bugs: Some[Bug]
    unassigned: int
    pulls: Some[Pull]
    branches: tuple[Branch, ...]
    queue: Queue
    embeddings: Embeddings | None
    jobs: tuple[Job, ...]
    runs_kept_since: datetime | None
    incidents: Some[Incident]
    sync: Sync
    unread: Mapping[Part, str] = field(default_factory=dict[Part, str])

    @property
    def is_over(self) -> bool:
        return self.as_of >= self.week.end

    @property
    def bands(self) -> dict[str, int]:
        found = Counter(each.band for each in self.projects)
        return {band: found[band] for band in BANDS}

    @property
    def bands_before(self) -> dict[str, int] | None:
        """None where nothing was kept of then."""
        found = Counter(each.band_before for each in self.projects if each.band_before is not None)
        return {band: found[band] for band in BANDS} if found else None

    @property
    def moved_up(self) -> list[Project]:
        return [each for each in self.projects if each.moved > 0]

    @property
    def moved_down(self) -> list[Project]:
        return [each for each in self.projects if each.moved < 0]

    @property
    def runs(self) -> tuple[int, int]:
        """Good and bad, of all jobs."""
        return sum(each.good for each in self.jobs), sum(each.bad for each in self.jobs)

    @property
    def success(self) -> float | None:
        good, bad = self.runs
        return good / (good + bad) if good + bad else None

    @property
    def missed(self) -> int:
        return sum(each.missed for each in self.jobs)

    def as_json(self) -> dict[str, Any]:
        """Of the projects those that the report names; the rest is a table of its own (projects.csv)."""
        told = {name: _plain(value) for name, value in asdict(self).items() if name not in ("week", "projects")}
        week = {"name": self.week.name, "start": self.week.start.isoformat(), "end": self.week.end.isoformat()}
        named = [each for each in self.projects if each.band == "critical" or each.moved][:MOST_TOLD]
        whole = {
            "week": week | {"is_over": self.is_over},
            **told,
            "health": {"projects": len(self.projects), "bands": self.bands, "bands_before": self.bands_before},
            "projects": [_plain(asdict(each)) for each in named],
            "success": self.success,
        }
        unread = {key for part in self.unread for key in (part, *BESIDE.get(part, ()))}
        return {key: None if key in unread else value for key, value in whole.items()}


MOST_TOLD: Final = 20
# What else of the object is not known without a part.
BESIDE: Final[Mapping[Part, tuple[str, ...]]] = {
    "projects": ("health",),
    "bugs": ("unassigned",),
    "jobs": ("success", "runs_kept_since"),
}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, datetime | date):
        return value.isoformat()
    return value.value if isinstance(value, Enum) else value
