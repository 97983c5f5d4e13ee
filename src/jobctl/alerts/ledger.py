"""Many verdicts worked through the lifecycle at once: the open incidents in, what becomes of each out. Pure.

The database's incidents and those of a host without one (local.py) go through the same."""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from jobctl.alerts import lifecycle
from jobctl.alerts.lifecycle import Fingerprint, Incident, Notice, Policy, Step
from jobctl.alerts.verdict import NOBODY, About, Verdict


@dataclass(slots=True)
class Change:
    """An incident, as it was (None: it is new) and as it is, and what is to be told of it, each with its state then."""

    before: Incident | None
    after: Incident
    about: About = NOBODY
    told: list[tuple[Notice, Incident]] = field(default_factory=list[tuple[Notice, Incident]])

    def takes(self, step: Step) -> None:
        self.after = step.incident
        if step.notice is not None:
            self.told.append((step.notice, step.incident))

    @property
    def is_any(self) -> bool:
        return self.before != self.after


def work_through(
    known: Iterable[Incident],
    verdicts: Iterable[Verdict],
    policy: Policy,
    now: datetime,
    *,
    recent: Callable[[str], int] = lambda cause: 0,
    settled: Collection[str] = (),
) -> list[Change]:
    """`recent`: how many incidents of a cause were opened within the flap window. `settled`: causes seen to be gone."""
    ledger = _Ledger(known, policy, now, recent)
    for verdict in verdicts:
        if verdict.is_firing:
            ledger.fires(verdict)
        elif verdict.is_firing is False:
            ledger.is_over(verdict)
    ledger.passes(settled)
    return [change for change in ledger.changes if change.is_any]


class _Ledger:
    def __init__(self, known: Iterable[Incident], policy: Policy, now: datetime, recent: Callable[[str], int]) -> None:
        self._policy = policy
        self._now = now
        self._recent = recent
        self.changes = [Change(incident, incident) for incident in known]
        self._open = {change.after.cause: change for change in self.changes}
        self._causes_of: dict[Fingerprint, dict[str, None]] = {}  # in the order in which they came up
        for change in self.changes:
            for fingerprint in change.after.alerts:
                self._causes_of.setdefault(fingerprint, {})[change.after.cause] = None
        self._counted: set[tuple[str, UUID]] = set()

    def fires(self, verdict: Verdict) -> None:
        cause = verdict.cause
        self._causes_of.setdefault((verdict.condition, verdict.subject), {})[cause] = None
        change = self._open.get(cause)
        if change is None:
            step = lifecycle.fires(None, verdict, self._policy, self._now, recent=self._recent(cause))
            change = self._open[cause] = Change(None, step.incident)
            self.changes.append(change)
        else:
            is_news = (cause, verdict.about.run_id) not in self._counted
            step = lifecycle.fires(change.after, verdict, self._policy, self._now, is_news=is_news)
        if verdict.about.run_id is not None:
            self._counted.add((cause, verdict.about.run_id))
        change.about = verdict.about
        change.takes(step)

    def is_over(self, verdict: Verdict) -> None:
        """Whatever incidents it is an alert of."""
        for cause in self._causes_of.get((verdict.condition, verdict.subject), ()):
            if (change := self._open.get(cause)) is not None:
                change.takes(lifecycle.is_over(change.after, verdict, self._policy, self._now))
                if not change.after.is_open:
                    del self._open[cause]

    def passes(self, settled: Collection[str]) -> None:
        for cause, change in self._open.items():
            if cause in settled:
                change.takes(lifecycle.settle(change.after, self._now, self._policy, self._now))
            if change.after.is_open:
                change.takes(lifecycle.passes(change.after, self._policy, self._now))
