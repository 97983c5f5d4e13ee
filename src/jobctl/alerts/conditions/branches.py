"""Branches that were not loaded for too long. Pure."""

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from jobctl.alerts.conditions.judge import Judge, Settings, span
from jobctl.alerts.verdict import Verdict


class Freshness(NamedTuple):
    branch: str
    age_s: float
    expected_s: float


def of_branches(branches: Iterable[Freshness], settings: Settings, now: datetime) -> list[Verdict]:
    verdicts: list[Verdict] = []
    for each in branches:
        judge = Judge(settings, f"branch {each.branch}", now)
        factor = judge.limit_of("stale-branch", each.branch)
        if not factor:
            continue
        limit = each.expected_s * factor
        title = f"branch {each.branch} was loaded {span(each.age_s)} ago, longer than {span(limit)}"
        judge.say("stale-branch", each.age_s > limit, title=title)
        verdicts += judge.verdicts
    return verdicts
