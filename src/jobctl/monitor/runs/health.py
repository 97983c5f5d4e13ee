"""Overall health: healthy, warning or critical, and why. Pure.

Nothing is judged here that the alerts do not judge: a reason is an open incident, or a true state that will become one
as soon as the next run finds it (a dead run, a frozen one, a slot that nobody answered for), with the severity that its
condition has in the settings. An incident that somebody has acknowledged or snoozed is a warning at the most: whoever
watches the exit code is told no more of it, either.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, Literal, NamedTuple

from jobctl.alerts.conditions.judge import subject_of
from jobctl.alerts.lifecycle import Incident
from jobctl.monitor.runs.facts import Missed, Unfinished
from jobctl.settings_conditions import ConditionSettings, Severity

Status = Literal["healthy", "warning", "critical"]
RANK: Final[Mapping[str, int]] = {"healthy": 0, "warning": 1, "critical": 2}

# A dead run becomes an abandoned one; behind a frozen one starts are skipped.
CONDITION_OF: Final = {"dead": "run-failed", "frozen": "skips", "missed": "missed-slot"}


class Reason(NamedTuple):
    """`code` is `incident`, `dead`, `frozen` or `missed`; `quiet`: who has taken it on, or until when it is silent."""

    severity: Severity
    code: str
    subject: str
    text: str
    since: datetime
    incident_id: int | None = None
    quiet: str = ""


class Health(NamedTuple):
    status: Status
    reasons: tuple[Reason, ...]


class Told(NamedTuple):
    """An open incident with its number, and who took it on."""

    incident_id: int
    incident: Incident
    acked_by: str | None = None


def judge(
    incidents: Sequence[Told],
    unfinished: Sequence[Unfinished],
    missed: Sequence[Missed],
    settings: Mapping[str, ConditionSettings],
    now: datetime,
) -> Health:
    """The gravest reasons first, and of equal ones the oldest."""
    firing = {pair for told in incidents for pair, alert in told.incident.alerts.items() if alert.is_firing}
    reasons = [_of_incident(told, now) for told in incidents]
    for run in unfinished:
        if run.state in CONDITION_OF:
            subject = subject_of(run.job, run.scope)
            text = f"{subject} is {run.state} on {run.host}: {run.why}; run {run.run_id}"
            reasons += _of_state(run.state, subject, text, run.heartbeat_at, settings)
    for each in missed:
        subject = subject_of(each.job, each.scope)
        if (CONDITION_OF["missed"], subject) not in firing:
            more = f" and {each.slots - 1} before it" if each.slots > 1 else ""
            text = f"{subject} missed {each.slot_local}{more} on {each.host}: {each.reason}"
            reasons += _of_state("missed", subject, text, each.slot_at, settings)
    reasons.sort(key=lambda reason: (-RANK[reason.severity], reason.since))
    status: Status = reasons[0].severity if reasons else "healthy"
    return Health(status, tuple(reasons))


def _of_incident(told: Told, now: datetime) -> Reason:
    incident, quiet = told.incident, ""
    if incident.acked_at is not None:
        quiet = f"acknowledged by {told.acked_by}"
    elif incident.snoozed_until is not None and incident.snoozed_until > now:
        quiet = f"snoozed until {incident.snoozed_until:%Y-%m-%d %H:%M} UTC"
    severity: Severity = "warning" if quiet else incident.severity
    return Reason(severity, "incident", incident.cause, incident.title, incident.opened_at, told.incident_id, quiet)


def _of_state(
    code: str, subject: str, text: str, since: datetime, settings: Mapping[str, ConditionSettings]
) -> list[Reason]:
    found = settings.get(CONDITION_OF[code])
    if found is None or not found.enabled:
        return []
    return [Reason(found.severity, code, subject, text, since)]
