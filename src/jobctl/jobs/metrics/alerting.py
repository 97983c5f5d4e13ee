"""What of the figures somebody must hear of: a figure for each project that has one, and one of all together. Pure."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from jobctl.alerts.conditions.figures import Figure
from jobctl.durations import format_duration
from jobctl.jobs.metrics.judging import CRITICAL, Breach, Page, Unassigned
from jobctl.service_levels.revenue import AtRisk

LOOKED_AT: Final = ("bug-unassigned", "sla-breach", "revenue-at-risk")
MOST_NAMED: Final = 5


class Watched:
    """Takes in page by page, and keeps what is critical."""

    def __init__(self) -> None:
        self._breaches: dict[str, list[Breach]] = {}
        self._unassigned: dict[str, Unassigned] = {}

    def take(self, page: Page) -> None:
        names = {each.project.project_id: each.project.full_name for each in page.projects}
        for breach in page.breaches:
            if breach.severity == CRITICAL:
                self._breaches.setdefault(names[breach.project_id], []).append(breach)
        for each in page.unassigned:
            name = names[each.project_id]
            if name not in self._unassigned or each.since < self._unassigned[name].since:
                self._unassigned[name] = each

    def figures(self, at_risk: AtRisk, currency: str, as_of: datetime) -> list[Figure]:
        """A project's breaches are one figure, and so is its bug that has been nobody's for the longest time."""
        found = [_of_breaches(name, breaches) for name, breaches in sorted(self._breaches.items())]
        for name, each in sorted(self._unassigned.items()):
            age_s = (as_of - each.since).total_seconds()
            age = format_duration(age_s // 60 * 60)
            title = f"{name}#{each.number}: a critical bug is nobody's, {age} after it was opened"
            found.append(Figure("bug-unassigned", name, age_s, title))
        title = f"open bugs cost {at_risk.total:,.0f} {currency} a day"
        facts = (("open bugs", f"{at_risk.open_bugs:,}"),)
        found.append(Figure("revenue-at-risk", "revenue", float(at_risk.total), title, facts))
        return found


def _of_breaches(name: str, breaches: Sequence[Breach]) -> Figure:
    issues = sorted({each.number for each in breaches})
    named = ", ".join(f"#{number}" for number in issues[:MOST_NAMED])
    if len(issues) > MOST_NAMED:
        named += f" and {len(issues) - MOST_NAMED:,} more"
    who = "a critical bug" if len(issues) == 1 else f"{len(issues):,} critical bugs"
    facts = tuple((f"#{each.number} {each.goal.replace('_', ' ')}", _late(each)) for each in breaches[:MOST_NAMED])
    return Figure("sla-breach", name, len(issues), f"{name}: {who} breached the SLA: {named}", facts)


def _late(breach: Breach) -> str:
    """In hours: a day of working time is not a day."""
    return f"{breach.elapsed_s / 3_600:,.1f} h, the goal is {breach.goal_s / 3_600:,.1f} h"
