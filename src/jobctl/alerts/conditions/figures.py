"""What another part has measured: quota, bugs, revenue. Pure."""

from collections.abc import Iterable
from datetime import datetime
from typing import Literal, NamedTuple

from jobctl.alerts import causes
from jobctl.alerts.conditions.judge import Judge, Settings
from jobctl.alerts.verdict import Facts, Verdict, between


class Figure(NamedTuple):
    """What another part has measured for one of the conditions below: its value, in what it is about, in words.

    quota-low: the share that is left, about an account; bug-unassigned: its age in seconds, about an issue; sla-breach:
    breaches, about a project or issue; revenue-at-risk: a day's sum."""

    condition: Literal["quota-low", "bug-unassigned", "sla-breach", "revenue-at-risk"]
    subject: str
    value: float
    title: str
    facts: Facts = ()


def of_figures(figures: Iterable[Figure], settings: Settings, now: datetime) -> list[Verdict]:
    verdicts: list[Verdict] = []
    for each in figures:
        judge = Judge(settings, each.subject, now)
        found = judge.of(each.condition)
        if found is None:
            continue
        limit = found.main_for(each.subject, "")
        is_quota = each.condition == "quota-low"
        firing = between(each.value, limit, is_below=is_quota)
        cause = causes.GITHUB if is_quota else ""
        judge.say(each.condition, firing, title=each.title, facts=each.facts, cause=cause)
        verdicts += judge.verdicts
    return verdicts
