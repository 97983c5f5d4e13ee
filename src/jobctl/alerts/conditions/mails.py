"""How the weekly mails stand. Pure."""

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from jobctl.alerts.conditions.judge import Judge, Settings
from jobctl.alerts.verdict import About, Verdict


class Mails(NamedTuple):
    """How a week's mails stand that are not simply sent; `waiting_s` is how long the oldest of them has waited."""

    week: str
    sent: int
    unknown: int
    failed: int
    waiting: int
    waiting_s: float


def of_mails(weeks: Iterable[Mails], settings: Settings, now: datetime) -> list[Verdict]:
    verdicts: list[Verdict] = []
    for each in weeks:
        judge = Judge(settings, f"report {each.week}", now, About("report"))
        limit = judge.limit_of("report-mail", "report")
        late = each.waiting if limit and each.waiting_s > limit else 0
        parts = [(each.unknown, "may have arrived or not"), (each.failed, "were refused"), (late, "wait")]
        said = ", ".join(f"{number:,} {words}" for number, words in parts if number)
        title = f"report {each.week}: of its mails {said}"
        facts = (
            ("sent", f"{each.sent:,} of {each.sent + each.unknown + each.failed + each.waiting:,} mails"),
            ("hint", f"jobctl report outbox --week {each.week} shows each"),
        )
        judge.say("report-mail", bool(said), title=title, facts=facts)
        verdicts += judge.verdicts
    return verdicts
