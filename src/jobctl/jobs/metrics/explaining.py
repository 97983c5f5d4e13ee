"""Which rule gave what: of one issue, and of one project's health."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any, NamedTuple

import psycopg

from jobctl.errors import UsageError
from jobctl.jobs.metrics.definitions import definitions_of, kinds_of
from jobctl.jobs.metrics.job import facts_of, rulers_of
from jobctl.jobs.metrics.judging import judge, responded_at
from jobctl.projects.issue_name import IssueName
from jobctl.projects.project import Project
from jobctl.service_levels import bugs, days, health, pauses, reading
from jobctl.service_levels.bugs import SEVERITIES, Meaning, Verdict
from jobctl.service_levels.cycles import Cycle, cycle
from jobctl.service_levels.facts import Issue
from jobctl.service_levels.health import Health
from jobctl.settings import Settings


class Explained(NamedTuple):
    """An issue and what the rules make of it. Without a verdict it is no bug, and `why_not` says why."""

    name: IssueName
    issue: Issue
    labels: Sequence[tuple[str, Meaning]]
    form_text: str | None
    verdict: Verdict | None
    why_not: str
    cycles: dict[str, Cycle | None]
    rules_version: str
    currency: str

    def as_json(self) -> dict[str, Any]:
        verdict = self.verdict
        return {
            "issue": str(self.name),
            "title": self.issue.title,
            "is_bug": verdict is not None,
            "why_not": self.why_not or None,
            "assignees": list(self.issue.assignees),
            "labels": [{"label": label, "says": said_by(meaning)} for label, meaning in self.labels],
            "form": self.form_text,
            "imported": None if self.issue.imported is None else float(self.issue.imported),
            "note": self.issue.note,
            "severity": None if verdict is None else SEVERITIES[verdict.severity],
            "severity_from": None if verdict is None else verdict.severity_from,
            "impact_per_day": None if verdict is None else float(verdict.impact),
            "impact_from": None if verdict is None else verdict.impact_from,
            "passed_over": self.passed_over,
            "currency": self.currency,
            "cycles": {name: None if each is None else each._asdict() for name, each in self.cycles.items()},
            "rules_version": self.rules_version,
        }

    @property
    def passed_over(self) -> list[str]:
        """Amounts that were there and were not believed."""
        said = [meaning.passed_over for _, meaning in self.labels if meaning.passed_over]
        return [*said, *(self.verdict.passed_over if self.verdict is not None else ())]


def said_by(meaning: Meaning) -> list[str]:
    """What a label says, in words."""
    told = [("is a bug", meaning.is_bug), ("is no bug", meaning.is_no_bug), ("goals are paused", meaning.pauses)]
    words = [word for word, is_so in told if is_so]
    words += [] if meaning.severity is None else [f"severity {SEVERITIES[meaning.severity]}"]
    return words + ([] if meaning.impact is None else [f"impact {meaning.impact:,} a day"])


def explain(conn: psycopg.Connection, settings: Settings, project: Project, number: int, now: datetime) -> Explained:
    """Raises UsageError for an issue that is not known."""
    name = IssueName(project.full_name, number)
    issue = reading.issue(conn, project.project_id, number)
    if issue is None:
        raise UsageError(f"there is no issue {name}", hint=f"is it synced? jobctl project show {project.full_name}")
    definitions = definitions_of(settings)
    rules = definitions.rules
    labels = [(label, bugs.meaning(rules, label)) for label in issue.labels]
    together = bugs.together(meaning for _, meaning in labels)
    form_text = bugs.form_field(rules, issue.body)
    why_not = _why_not(issue, [meaning for _, meaning in labels])
    verdict = None
    cycles: dict[str, Cycle | None] = {}
    if not why_not:
        verdict = bugs.judge(rules, together.severity, together.impact, form_text, issue.imported)
        kind = kinds_of(definitions)[verdict.severity]
        names = reading.label_names(conn, [project.project_id])
        pausing = [label for label in names if bugs.meaning(rules, label).pauses]
        paused = pauses.of_projects(conn, [project.project_id], now, pausing).get(issue.node_id, ())
        for goal_name, goal, stop in (
            ("first_response", kind.first_response, responded_at(issue.first_response_at, issue.closed_at)),
            ("resolution", kind.resolution, issue.closed_at),
        ):
            found = None if goal is None else cycle(kind.working, goal, issue.created_at, stop, now, paused)
            cycles[goal_name] = found
    return Explained(name, issue, labels, form_text, verdict, why_not, cycles, definitions.version, rules.currency)


def _why_not(issue: Issue, said: Sequence[Meaning]) -> str:
    if issue.removal is not None:
        where = f" to {issue.moved_to}" if issue.moved_to else ""
        return f"it was {issue.removal}{where}"
    if issue.is_pull:
        return "it is a pull request"
    if any(each.is_no_bug for each in said):
        return "a label says that it is none"
    return "" if any(each.is_bug for each in said) else "no label says that it is one"


class HealthOfDay(NamedTuple):
    """`kept_score` is what was kept of the day, where it was kept; by other thresholds it may differ."""

    project: Project
    day: date
    source: str  # kept or computed
    computed_at: datetime
    rules_version: str
    health: Health
    kept_score: float | None = None
    kept_version: str | None = None

    def as_json(self) -> dict[str, Any]:
        found = self.health
        return {
            "project": self.project.full_name,
            "day": self.day.isoformat(),
            "source": self.source,
            "computed_at": self.computed_at,
            "rules_version": self.rules_version,
            "health_version": found.version,
            "kept_version": self.kept_version,
            "kept_score": self.kept_score,
            "score": found.score,
            "band": found.band.value,
            "known_weight": found.known_weight,
            "groups": {
                group.value: {"won": won, "weight": weight} for group, (won, weight) in health.by_group(found).items()
            },
            "inputs": [
                {
                    "name": part.input.name,
                    "group": part.input.group.value,
                    "weight": part.input.weight,
                    "value": part.value,
                    "won": part.won,
                    "lost": part.lost,
                    "why": part.said,
                }
                for part in found.parts
            ],
        }


def health_of(
    conn: psycopg.Connection, settings: Settings, project: Project, as_of: datetime, day: date, *, is_past: bool
) -> HealthOfDay:
    """Of a past day from the facts that were kept of it, else from the rows of today; now from these alone."""
    kept = days.get(conn, project.project_id, day) if is_past else None
    if kept is not None:
        found = health.judge(kept.facts)
        return HealthOfDay(
            project, day, "kept", kept.computed_at, kept.rules_version, found, kept.health, kept.health_version
        )
    definitions = definitions_of(settings)
    rulers = rulers_of(definitions, as_of)
    known = reading.projects(conn, [project.project_id])
    page = judge(known, facts_of(conn, known, rulers, {}), rulers)
    return HealthOfDay(project, day, "computed", as_of, definitions.version, page.projects[0].health)
