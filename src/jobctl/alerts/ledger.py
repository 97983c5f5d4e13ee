"""Many verdicts worked through the lifecycle at once: the open incidents in, what becomes of each out. Pure.

The database's incidents and those of a host without one (local.py) go through the same."""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from jobctl.alerts import lifecycle
from jobctl.alerts.lifecycle import Incident, Notice, Policy, Step
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
    changes = [Change(incident, incident) for incident in known]
    current = {change.after.cause: change for change in changes}
    counted: set[tuple[str, UUID]] = set()
    for verdict in verdicts:
        if verdict.is_firing is None:
            continue
        if verdict.is_firing:
            change = current.get(verdict.cause)
            if change is None:
                step = lifecycle.fires(None, verdict, policy, now, recent=recent(verdict.cause))
                change = current[verdict.cause] = Change(None, step.incident)
                changes.append(change)
            else:
                run = (verdict.cause, verdict.about.run_id)
                step = lifecycle.fires(change.after, verdict, policy, now, is_news=run not in counted)
            if verdict.about.run_id is not None:
                counted.add((verdict.cause, verdict.about.run_id))
            change.about = verdict.about
            change.takes(step)
            continue
        for cause, change in list(current.items()):
            change.takes(lifecycle.is_over(change.after, verdict, policy, now))
            if not change.after.is_open:
                del current[cause]
    for cause, change in list(current.items()):
        if cause in settled:
            change.takes(lifecycle.settle(change.after, now, policy, now))
        if change.after.is_open:
            change.takes(lifecycle.passes(change.after, policy, now))
    return [change for change in changes if change.is_any]
