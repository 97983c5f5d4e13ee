"""From the facts of some projects to what is kept and told of each: bug by bug, goal by goal, point by point. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from jobctl.jobs.metrics.tallies import Levels, Pace
from jobctl.service_levels import bugs as judgement
from jobctl.service_levels import cycles, health, revenue
from jobctl.service_levels.bugs import SEVERITIES, Rules
from jobctl.service_levels.cycles import Goal, Pause, State
from jobctl.service_levels.facts import Bug, Flow, Known, Merged, People
from jobctl.service_levels.goals import Kind
from jobctl.service_levels.health import Health
from jobctl.service_levels.working_time import WorkingTime

COMPLETED_WITHIN: Final = timedelta(days=30)
CRITICAL: Final = SEVERITIES.index("critical")


class Facts(NamedTuple):
    """Of some projects at `as_of`."""

    bugs: Sequence[Bug]
    flow: Sequence[Flow]
    merged: Sequence[Merged]
    people: Sequence[People]
    pauses: Mapping[str, Sequence[Pause]]


class Rulers(NamedTuple):
    """By what is judged; `starts` are the beginnings of the weeks."""

    as_of: datetime
    rules: Rules
    kinds: Sequence[Kind]
    starts: Sequence[datetime]


class Breach(NamedTuple):
    """A goal of an open bug that is exceeded."""

    project_id: int
    number: int
    severity: int
    goal: str
    elapsed_s: float
    goal_s: float


class Unassigned(NamedTuple):
    """An open critical bug that is nobody's."""

    project_id: int
    number: int
    since: datetime


class Judged(NamedTuple):
    """What is known of a project."""

    project: Known
    at_risk: revenue.AtRisk
    levels: Levels
    pace: Pace
    unassigned_critical: int
    facts: Mapping[str, float | None]
    health: Health


class Page(NamedTuple):
    projects: Sequence[Judged]
    breaches: Sequence[Breach]
    unassigned: Sequence[Unassigned]
    paused: Sequence[str]  # node ids of open bugs


class _Tally:
    def __init__(self, project: Known, starts: Sequence[datetime]) -> None:
        self.project = project
        self.risk = revenue.Sum()
        self.levels = Levels()
        self.pace = Pace(starts, project.created_on_github_at)
        self.unassigned: list[Unassigned] = []


def judge(projects: Iterable[Known], facts: Facts, rulers: Rulers) -> Page:
    tallies = {each.project_id: _Tally(each, rulers.starts) for each in projects}
    breaches: list[Breach] = []
    paused: list[str] = []
    for bug in facts.bugs:
        tally = tallies[bug.project_id]
        found = _judge_bug(bug, facts.pauses.get(bug.node_id, ()), rulers, tally)
        breaches += found
        if bug.is_paused and bug.closed_at is None:
            paused.append(bug.node_id)
    flow = {each.project_id: each for each in facts.flow}
    merged = {each.project_id: each for each in facts.merged}
    people = {each.project_id: each for each in facts.people}
    judged: list[Judged] = []
    for project_id, tally in tallies.items():
        if (of_project := merged.get(project_id)) is not None:
            tally.pace.merged(of_project)
        judged.append(_judged(tally, flow.get(project_id), people.get(project_id), rulers.as_of))
    unassigned = [bug for tally in tallies.values() for bug in tally.unassigned]
    return Page(judged, breaches, unassigned, paused)


def _judge_bug(bug: Bug, pauses: Sequence[Pause], rulers: Rulers, tally: _Tally) -> list[Breach]:
    verdict = judgement.judge(rulers.rules, bug.severity, bug.label_impact, bug.form_text, bug.imported)
    if bug.closed_at is None:
        tally.risk.add(verdict.severity, verdict.impact)
        if verdict.severity == CRITICAL and not bug.is_assigned:
            tally.unassigned.append(Unassigned(bug.project_id, bug.number, bug.created_at))
    elif bug.is_resolved:
        tally.pace.resolved(bug.closed_at)
    kind = rulers.kinds[verdict.severity]
    breaches: list[Breach] = []
    for name, goal, stop in (
        ("first_response", kind.first_response, responded_at(bug.first_response_at, bug.closed_at)),
        ("resolution", kind.resolution, bug.closed_at),
    ):
        if goal is None or (stop is not None and stop < rulers.as_of - COMPLETED_WITHIN):
            continue
        elapsed, state = _state(kind.working, goal, bug.created_at, stop, rulers.as_of, pauses)
        tally.levels.add(name, verdict.severity, state)
        if state is State.BREACHED:
            breaches.append(Breach(bug.project_id, bug.number, verdict.severity, name, elapsed, goal.seconds))
    return breaches


def responded_at(first_response_at: datetime | None, closed_at: datetime | None) -> datetime | None:
    """The resolution answers, too."""
    if first_response_at is None or closed_at is None:
        return first_response_at or closed_at
    return min(first_response_at, closed_at)


def _state(
    working: WorkingTime,
    goal: Goal,
    start: datetime,
    stop: datetime | None,
    now: datetime,
    pauses: Sequence[Pause],
) -> tuple[float, State]:
    """As `cycles.cycle` has it, without what only one issue's explanation needs."""
    elapsed = cycles.elapsed_s(working, start, stop or now, pauses) if pauses else working.between(start, stop or now)
    return elapsed, cycles.state_of(elapsed, goal, is_open=stop is None)


def _judged(tally: _Tally, flow: Flow | None, people: People | None, as_of: datetime) -> Judged:
    at_risk, pace = tally.risk.total(), tally.pace.figures()
    facts: dict[str, float | None] = {
        "open_bugs": at_risk.open_bugs,
        "per_day": float(at_risk.total),
        "unassigned_critical": len(tally.unassigned),
        **{f"goals_{state.value}": tally.levels.number(state) for state in State},
        **pace,
        **_of_flow(flow),
        "sla_met_share": tally.levels.met_share,
        **_of_people(people, as_of),
    }
    return Judged(tally.project, at_risk, tally.levels, tally.pace, len(tally.unassigned), facts, health.judge(facts))


def _of_flow(flow: Flow | None) -> dict[str, float | None]:
    """A share of nothing is not known."""
    if flow is None:
        return {}
    return {
        "open_issues": flow.open_issues,
        "open_pulls": flow.open_pulls,
        "first_response_h": None if flow.first_response_s is None else round(flow.first_response_s / 3_600, 2),
        "closure_ratio": _share(flow.closed, flow.opened),
        "unanswered_share": _share(flow.unanswered, flow.answerable),
        "stale_issue_share": _share(flow.stale_issues, flow.open_issues),
        "stale_pull_share": _share(flow.stale_pulls, flow.open_pulls),
        "unlabelled_share": _share(flow.unlabelled, flow.open_issues),
    }


def _of_people(people: People | None, as_of: datetime) -> dict[str, float | None]:
    """Of commits that were fetched and are all older than a year, as many days as that at least."""
    if people is None:
        return {}
    days = 365.0 if people.last_commit_at is None else (as_of - people.last_commit_at) / timedelta(days=1)
    return {
        "active_people": people.active_people,
        "absence_factor": people.absence_factor,
        "days_since_commit": round(days, 1),
    }


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None
