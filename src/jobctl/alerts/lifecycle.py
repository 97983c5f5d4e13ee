"""When people hear of an incident, how often, and when it is over. Pure: a state and an observation in, a state out.

A *condition* (conditions.py) judges facts and gives a verdict about a *subject*: it fires, it is over, or neither. A
firing condition about a subject is an *alert*; its *fingerprint* is those two words. Every verdict that fires names its
*cause* (causes.py), and the open period of a cause is an *incident*: that is what people are told of.

             fires                          every alert of it is over
    (none) ---------> open ----------------------------------------------> resolved
             opened    |  \\___ told again each `realert_every`               recovery, with how long it lasted
                       |
                       |--- acknowledged: somebody is at it, and nothing more is told until it is resolved
                       '--- snoozed until a time: the same until then

- Opened once. Whatever else fires for the cause joins it, adds to `occurrences` and tells nobody: 1,000 failures of
  five jobs with one cause are one message.
- Over when each of its alerts is over. A condition may ask for several verdicts in a row (`clear_after`), and measured
  ones have a margin between firing and over (`verdict.between`): hysteresis on both sides. What is shared by nature may
  be over at once: whoever reached the database shows that it is back (`settle`).
- One recovery notice, and only if the opening was told of.
- Flap guard: a cause that opens for the `flaps`-th time within `flap_window` is flapping. That is told once, instead of
  the opening; the incident then stays open until nothing fired for `calm`, and a single recovery ends it.
- An alert that nobody judges any more (a removed job) is forgotten after `forget_after`, or it would be told for ever.
- Moments come as values. A verdict older than what is known (a run replayed from the spool) moves nothing backwards.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final, Literal, NamedTuple

from jobctl.alerts import causes
from jobctl.alerts.verdict import Facts, Verdict
from jobctl.settings_conditions import Severity

Notice = Literal["opened", "flapping", "again", "resolved"]
Fingerprint = tuple[str, str]

_RANK: Final[Mapping[Severity, int]] = {"warning": 0, "critical": 1}


class Policy(NamedTuple):
    """`can_tell`: there is a channel. Without one nobody has heard of an incident, and a host that has one tells it."""

    realert_every: timedelta = timedelta(hours=6)
    flaps: int = 3
    calm: timedelta = timedelta(minutes=30)
    forget_after: timedelta = timedelta(days=14)
    can_tell: bool = True


class Alert(NamedTuple):
    """A condition about a subject, within an incident."""

    title: str
    first_seen_at: datetime
    last_seen_at: datetime
    occurrences: int = 1
    clears: int = 0
    cleared_at: datetime | None = None

    @property
    def is_firing(self) -> bool:
        return self.cleared_at is None


class Incident(NamedTuple):
    cause: str
    severity: Severity
    title: str
    facts: Facts
    page: str
    opened_at: datetime
    last_seen_at: datetime
    realert_every: timedelta
    alerts: Mapping[Fingerprint, Alert]
    occurrences: int = 0
    notices: int = 0
    told_at: datetime | None = None
    is_flapping: bool = False
    acked_at: datetime | None = None
    snoozed_until: datetime | None = None
    resolved_at: datetime | None = None

    @property
    def is_open(self) -> bool:
        return self.resolved_at is None

    @property
    def firing(self) -> int:
        return sum(alert.is_firing for alert in self.alerts.values())

    def is_quiet(self, now: datetime) -> bool:
        """Somebody has said that they know."""
        return self.acked_at is not None or (self.snoozed_until is not None and now < self.snoozed_until)


class Step(NamedTuple):
    """The incident as it is now, and what people are to be told of it, if anything."""

    incident: Incident
    notice: Notice | None = None


def fires(
    incident: Incident | None,
    verdict: Verdict,
    policy: Policy,
    now: datetime,
    *,
    recent: int = 0,
    is_news: bool = True,
) -> Step:
    """`incident`: the open one of this cause. `recent`: how many of this cause were opened within the flap window.
    Without `is_news` it is another word about a run that was counted already."""
    fingerprint = (verdict.condition, verdict.subject)
    if incident is None:
        every = timedelta(seconds=verdict.realert_every_s) if verdict.realert_every_s else policy.realert_every
        opened = Incident(
            cause=verdict.cause,
            severity=verdict.severity,
            title=causes.TITLES.get(verdict.cause, verdict.title),
            facts=verdict.facts,
            page=verdict.page,
            opened_at=verdict.at,
            last_seen_at=verdict.at,
            realert_every=every,
            alerts={fingerprint: Alert(verdict.title, verdict.at, verdict.at)},
            occurrences=1,
            is_flapping=recent + 1 >= policy.flaps and policy.flaps > 1,
        )
        return _told(opened, "flapping" if opened.is_flapping else "opened", policy, now)
    known = incident.alerts.get(fingerprint)
    first_seen_at = min(known.first_seen_at, verdict.at) if known else verdict.at
    last_seen_at = max(known.last_seen_at, verdict.at) if known else verdict.at
    alert = Alert(verdict.title, first_seen_at, last_seen_at, (known.occurrences if known else 0) + 1)
    if known is not None and known.cleared_at is not None and verdict.at <= known.cleared_at:
        alert = alert._replace(cleared_at=known.cleared_at)  # news from before the end of it
    more_severe = _RANK[verdict.severity] > _RANK[incident.severity]
    seen = incident._replace(
        severity=verdict.severity if more_severe else incident.severity,
        last_seen_at=max(incident.last_seen_at, verdict.at),
        opened_at=min(incident.opened_at, verdict.at),
        occurrences=incident.occurrences + is_news,
        alerts={**incident.alerts, fingerprint: alert},
    )
    if verdict.at >= incident.last_seen_at and (more_severe or known is not None):
        title = causes.TITLES.get(verdict.cause, verdict.title)
        seen = seen._replace(title=title, facts=verdict.facts, page=verdict.page)  # its latest words
    return passes(seen, policy, now)


def is_over(incident: Incident, verdict: Verdict, policy: Policy, now: datetime) -> Step:
    """`verdict` says that one alert is over."""
    fingerprint = (verdict.condition, verdict.subject)
    known = incident.alerts.get(fingerprint)
    if known is None or not known.is_firing or verdict.at < known.last_seen_at:
        return Step(incident)
    clears = known.clears + 1
    cleared_at = verdict.at if clears >= verdict.clear_after else None
    alert = known._replace(clears=clears, cleared_at=cleared_at)
    return _ended(incident._replace(alerts={**incident.alerts, fingerprint: alert}), policy, now)


def settle(incident: Incident, at: datetime, policy: Policy, now: datetime) -> Step:
    """The cause itself was seen to be gone, whatever alerts it left."""
    alerts = {
        fingerprint: alert._replace(cleared_at=at) if alert.is_firing and alert.last_seen_at <= at else alert
        for fingerprint, alert in incident.alerts.items()
    }
    return _ended(incident._replace(alerts=alerts), policy, now)


def passes(incident: Incident, policy: Policy, now: datetime) -> Step:
    """Time alone: told again, calm at last, or forgotten."""
    if not incident.is_open:
        return Step(incident)
    alerts = {
        fingerprint: alert._replace(cleared_at=now)
        if alert.is_firing and now - alert.last_seen_at >= policy.forget_after
        else alert
        for fingerprint, alert in incident.alerts.items()
    }
    incident = incident._replace(alerts=alerts)
    if not incident.firing:
        return _ended(incident, policy, now)
    told_at = incident.told_at
    is_due = told_at is None or now - told_at >= incident.realert_every
    if incident.snoozed_until is not None and told_at is not None and told_at < incident.snoozed_until <= now:
        is_due = True  # the snooze is over, and it still fires
    if is_due and not incident.is_quiet(now):
        notice: Notice = "again" if told_at is not None else ("flapping" if incident.is_flapping else "opened")
        return _told(incident, notice, policy, now)
    return Step(incident)


def acknowledged(incident: Incident, now: datetime) -> Incident:
    return incident._replace(acked_at=now) if incident.is_open else incident


def snoozed(incident: Incident, until: datetime) -> Incident:
    """A snooze takes an acknowledgement back: whoever snoozes wants to hear of it again."""
    return incident._replace(snoozed_until=until, acked_at=None) if incident.is_open else incident


def _told(incident: Incident, notice: Notice, policy: Policy, now: datetime) -> Step:
    if not policy.can_tell:
        return Step(incident)
    return Step(incident._replace(told_at=now, notices=incident.notices + 1), notice)


def _ended(incident: Incident, policy: Policy, now: datetime) -> Step:
    if not incident.is_open or incident.firing:
        return Step(incident)
    if incident.is_flapping and now - incident.last_seen_at < policy.calm:
        return Step(incident)
    ends = [alert.cleared_at for alert in incident.alerts.values() if alert.cleared_at is not None]
    resolved = incident._replace(resolved_at=max([incident.last_seen_at, *ends]))
    if incident.told_at is None or not policy.can_tell:
        return Step(resolved)
    return Step(resolved._replace(notices=resolved.notices + 1, told_at=now), "resolved")
