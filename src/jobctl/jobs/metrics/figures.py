"""All projects together: what is kept of the hour and told. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from heapq import nlargest, nsmallest
from typing import Any, Final

from jobctl.jobs.metrics.judging import Breach, Judged, Page
from jobctl.jobs.metrics.tallies import Levels, Pace
from jobctl.service_levels.bugs import SEVERITIES
from jobctl.service_levels.cycles import State
from jobctl.service_levels.health import Band
from jobctl.service_levels.revenue import AtRisk, Before

MOST_TOLD: Final = 20  # projects and breaches that the report lists; the tables have them all
NO_TEAM: Final = ""


class Totals:
    """Takes in page by page, and keeps of each project only what the report lists."""

    def __init__(self, starts: Sequence[datetime], *, all_projects: bool) -> None:
        self._starts = starts
        self._most = MOST_TOLD if all_projects else None
        self._bugs = [0] * len(SEVERITIES)
        self._impact = [Decimal(0)] * len(SEVERITIES)
        self._pace = Pace(starts)
        self._teams: dict[str, Pace] = {}
        self._breaches: list[tuple[Breach, str]] = []
        self._bands: Counter[str] = Counter()
        self._costly: list[Judged] = []
        self._unwell: list[Judged] = []
        self.levels = Levels()
        self.projects = self.unassigned_critical = 0

    def take(self, page: Page) -> None:
        names = {each.project.project_id: each.project.full_name for each in page.projects}
        for each in page.projects:
            self.projects += 1
            self.unassigned_critical += each.unassigned_critical
            for severity in range(len(SEVERITIES)):
                self._bugs[severity] += each.at_risk.bugs[severity]
                self._impact[severity] += each.at_risk.impact[severity]
            self.levels.add_all(each.levels)
            self._pace.add(each.pace)
            team = each.project.team or NO_TEAM
            if team not in self._teams:
                self._teams[team] = Pace(self._starts)
            self._teams[team].add(each.pace)
            self._bands[each.health.band] += 1
        self._breaches = _worst([*self._breaches, *((each, names[each.project_id]) for each in page.breaches)])
        if self._most is None:
            self._costly += page.projects
        else:
            at_risk = (each for each in page.projects if each.at_risk.open_bugs)
            self._costly = nlargest(self._most, [*self._costly, *at_risk], key=_cost)
            scored = (each for each in page.projects if each.health.score is not None)
            self._unwell = nsmallest(self._most, [*self._unwell, *scored], key=_score)

    @property
    def at_risk(self) -> AtRisk:
        return AtRisk(tuple(self._bugs), tuple(self._impact))

    @property
    def listed(self) -> list[Judged]:
        """The projects whose own trend is told."""
        return self._costly

    def counts(self) -> dict[str, int]:
        return {
            "projects": self.projects,
            "open_bugs": self.at_risk.open_bugs,
            "unassigned_critical": self.unassigned_critical,
            **{state.value: self.levels.number(state) for state in State},
        }

    def figures(
        self, as_of: datetime, currency: str, before: Before, of_projects: "BeforeOfProjects"
    ) -> dict[str, Any]:
        return {
            "as_of": as_of.isoformat(),
            "currency": currency,
            "projects": self.projects,
            "revenue_at_risk": self.at_risk.as_json(before),
            "unassigned_critical": self.unassigned_critical,
            "service_levels": self.levels.as_json(),
            "breaches": [_breach(each, name) for each, name in self._breaches],
            "velocity": {
                "all": self._pace.figures(),
                "teams": {name: pace.figures() for name, pace in sorted(self._teams.items()) if name != NO_TEAM},
            },
            "health": {band.value: self._bands[band] for band in Band},
            "by_project": [_project(each, of_projects) for each in self._costly],
            "lowest_health": [_health(each) for each in self._unwell],
        }


BeforeOfProjects = Mapping[str, Mapping[int, Sequence[Decimal]]]  # by the span and project


def _breach(breach: Breach, project: str) -> dict[str, Any]:
    return {
        "issue": f"{project}#{breach.number}",
        "severity": SEVERITIES[breach.severity],
        "goal": breach.goal,
        "elapsed_s": breach.elapsed_s,
        "goal_s": breach.goal_s,
    }


def _project(each: Judged, before: BeforeOfProjects) -> dict[str, Any]:
    then = {name: of_projects.get(each.project.project_id) for name, of_projects in before.items()}
    return {
        "project": each.project.full_name,
        "team": each.project.team,
        "revenue_at_risk": each.at_risk.as_json(then),
        "health": each.health.score,
        "band": each.health.band.value,
        "facts": dict(each.facts),
    }


def _health(each: Judged) -> dict[str, Any]:
    return {"project": each.project.full_name, "health": each.health.score, "band": each.health.band.value}


def _cost(each: Judged) -> tuple[Decimal, int, str]:
    return each.at_risk.total, each.at_risk.open_bugs, each.project.full_name


def _score(each: Judged) -> tuple[float, str]:
    return each.health.score or 0.0, each.project.full_name


def _worst(breaches: Iterable[tuple[Breach, str]]) -> list[tuple[Breach, str]]:
    """The most severe ones, and of these those that are furthest over their goal."""
    return nlargest(MOST_TOLD, breaches, key=_badness)


def _badness(breach: tuple[Breach, str]) -> tuple[int, float, str, int, str]:
    each, project = breach
    return each.severity, each.elapsed_s - each.goal_s, project, each.number, each.goal
