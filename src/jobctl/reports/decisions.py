"""What needs a decision, the most pressing first; and which one fact is the subject. Pure.

A decision is something that goes on until a person does something about it. What went wrong and is over is told in its
section, and not here.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from jobctl.reports import unread
from jobctl.reports.model import Report
from jobctl.reports.words import change, count, money, one_line, percent, span

MOST: Final = 8
LARGE_RISE: Final = 0.1
LONG_STUCK_DAYS: Final = 30


@dataclass(frozen=True, slots=True)
class Decision:
    """`about` is a word of `links.COMMANDS` or none, or an issue of `project` where `number` is one."""

    said: str
    about: str
    project: str = ""
    number: int = 0
    is_pressing: bool = False


def decisions(report: Report) -> list[Decision]:
    return list(_all(report))[:MOST]


def _all(report: Report) -> Iterator[Decision]:
    if report.unread:
        again = f"jobctl report --week {report.week.name} --preview"
        yield Decision(f"Not all could be read: {unread.names(report)}. Look again: {again}", "")
    for bug in report.bugs.shown:
        if not bug.owners:
            age = span((report.as_of - bug.opened_at).total_seconds())
            said = f"Who takes {bug.project}#{bug.number}? A critical bug, nobody's for {age}: {bug.title}"
            yield Decision(said, "bugs", bug.project, bug.number, is_pressing=True)
            break
    if report.unassigned > 1:
        yield Decision(f"{report.unassigned - 1:,} more critical bugs are nobody's.", "bugs", is_pressing=True)
    if not report.projects and "projects" not in report.unread:
        yield Decision("No project is followed: which should be? jobctl project add OWNER/REPO", "sync")
    elif report.figures is None and "figures" not in report.unread:
        yield Decision("No figures of engineering were kept for this week: does jobctl metrics run?", "revenue")
    elif report.figures is not None:
        risk = report.figures.risk
        if risk.share is not None and risk.share > LARGE_RISE:
            amount = money(risk.per_day, report.figures.currency)
            yield Decision(f"Revenue at risk rose by {change(risk.share).lstrip('+')} to {amount} a day.", "revenue")
        for goal in report.figures.goals:
            if goal.breached:
                name = goal.name.replace("_", " ")
                said = f"{count(goal.breached, 'open bug')} beyond the goal for {name}: fix, hand over or re-rank."
                yield Decision(said, "service-levels")
    yield from _of_projects(report)
    yield from _of_operations(report)


def _of_projects(report: Report) -> Iterator[Decision]:
    sunk = [each for each in report.moved_down if each.band == "critical"]
    if sunk:
        names = ", ".join(each.name for each in sunk[:3]) + (f" and {len(sunk) - 3} more" if len(sunk) > 3 else "")
        yield Decision(f"Health became critical: {names}.", "health", sunk[0].name)
    long = [
        each
        for each in report.pulls.shown
        if (report.as_of - each.touched_at).total_seconds() > LONG_STUCK_DAYS * 86400
    ]
    if long:
        first = long[0]
        age = span((report.as_of - first.touched_at).total_seconds())
        said = f"Merge or close {first.project}#{first.number}? Nobody has touched it for {age}: {first.title}"
        yield Decision(said, "pulls", first.project, first.number)
    if report.sync.failing:
        yield Decision(
            f"GitHub does not let us read {count(report.sync.failing, 'project')}: access or removal?", "sync"
        )


def _of_operations(report: Report) -> Iterator[Decision]:
    still = [each for each in report.incidents.shown if each.resolved_at is None]
    if still:
        worst = still[0]
        more = f", and {len(still) - 1:,} more" if len(still) > 1 else ""
        is_pressing = worst.severity == "critical"
        yield Decision(f"Still open after the week: {worst.title}{more}.", "incidents", is_pressing=is_pressing)
    stale = [each for each in report.branches if each.is_stale]
    if stale:
        yield Decision(f"No fresh records: {', '.join(each.slug for each in stale[:3])}.", "ingest")
    if report.queue.failed_tasks:
        yield Decision(f"{count(report.queue.failed_tasks, 'task')} failed for good: retry or cancel.", "queue")
    below = [each for each in report.jobs if each.success is not None and each.success < report.success_goal]
    if below:
        worst_job = min(below, key=lambda each: each.success or 0.0)
        said = f"{worst_job.name} succeeded in {percent(worst_job.success)} of its runs, the goal is "
        yield Decision(f"{said}{percent(report.success_goal)}.", "jobs")


def headline(report: Report) -> str:
    """The one most important fact."""
    if report.unassigned:
        bugs = "a critical bug is" if report.unassigned == 1 else f"{report.unassigned:,} critical bugs are"
        return f"{bugs} nobody's"
    if report.figures is None:
        if "figures" in report.unread:
            return "the figures could not be read"
        is_any = report.projects or "projects" in report.unread
        return "no figures were kept" if is_any else "no project is followed"
    figures = report.figures
    amount = money(figures.risk.per_day, figures.currency)
    if figures.risk.share is not None and figures.risk.share > LARGE_RISE:
        return f"revenue at risk up {change(figures.risk.share).lstrip('+')} to {amount} a day"
    sunk = [each for each in report.moved_down if each.band == "critical"]
    if sunk:
        of = f"health of {sunk[0].name}" if len(sunk) == 1 else f"{len(sunk):,} projects"
        return f"{of} became critical"
    if report.success is not None and report.success < report.success_goal:
        return f"jobs succeeded in {percent(report.success)}, below the goal of {percent(report.success_goal)}"
    breached = sum(goal.breached for goal in figures.goals)
    if breached:
        return f"{count(breached, 'goal')} breached, revenue at risk {amount} a day"
    if figures.risk.share is not None and figures.risk.share < -LARGE_RISE:
        return f"revenue at risk down {change(figures.risk.share).lstrip('-')} to {amount} a day"
    return f"revenue at risk {amount} a day, {count(figures.risk.bugs, 'open bug')}"


def subject(report: Report) -> str:
    """One line, at most 120 characters: phones show some forty, so the fact stands right behind the week."""
    return one_line(f"Week {report.week.number}: {headline(report)}", 120)
