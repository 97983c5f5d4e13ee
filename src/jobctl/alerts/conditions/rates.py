"""How many of a job's runs went well, over days. Pure."""

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from jobctl.alerts.conditions.judge import Judge, Settings, span
from jobctl.alerts.verdict import About, Verdict, between


class Rate(NamedTuple):
    """How the runs of a job ended in a window."""

    job: str
    good: int
    bad: int


def of_success_rates(rates: Iterable[Rate], settings: Settings, now: datetime) -> list[Verdict]:
    verdicts: list[Verdict] = []
    for rate in rates:
        judge = Judge(settings, rate.job, now, About(rate.job))
        found = judge.of("success-rate")
        limit = found.main_for(rate.job, "") if found is not None else 0
        if found is None or not limit:
            continue
        runs = rate.good + rate.bad
        if runs < max(1, found.of("runs")):
            continue
        share, within = rate.good / runs, span(found.of("window_s"))
        title = f"{rate.job}: {share:.1%} of {runs:,} runs in {within} succeeded, less than {limit:.0%}"
        facts = (("runs", f"{rate.good:,} succeeded, {rate.bad:,} failed"),)
        firing = between(share, limit, is_below=True, margin=0.01)
        judge.say("success-rate", firing, title=title, facts=facts)
        verdicts += judge.verdicts
    return verdicts
