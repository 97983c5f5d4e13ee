"""The year's incidents, by the same lifecycle as real ones: verdicts in, rows of ops.incidents and its like out. Pure.

What the runs' troubles say is made up here; what the metrics say was judged by `jobs/metrics` at each of its runs.
"""

import json
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from jobctl.alerts import causes, ledger
from jobctl.alerts.conditions.judge import gone
from jobctl.alerts.conditions.runs import subject_of
from jobctl.alerts.lifecycle import Fingerprint, Incident, Policy
from jobctl.alerts.verdict import NOBODY, About, Verdict
from jobctl.jobs.demo.plan import BRANCH, HOST, USER, Plan, Row
from jobctl.jobs.demo.runs import LINES, Line
from jobctl.jobs.demo.troubles import TROUBLES, Trouble
from jobctl.settings_conditions import CONDITIONS

OF_RUNS: Final = {"failed": "run-failed", "timeout": "max-runtime", "missed": "missed-slot"}
COLUMNS: Final = {
    "ops.incidents": (
        *("incident_id", "cause", "state", "severity", "title", "facts", "page", "is_flapping", "occurrences"),
        *("notices", "opened_at", "last_seen_at", "told_at", "realert_every_s", "acked_at", "acked_by", "resolved_at"),
    ),
    "ops.alerts": (
        *("incident_id", "condition", "subject", "title", "job", "scope", "run_id", "host", "occurrences", "clears"),
        *("first_seen_at", "last_seen_at", "cleared_at"),
    ),
    "ops.incident_events": ("event_id", "incident_id", "at", "event", "said", "who"),
}


class Look(NamedTuple):
    """What was judged at a moment. Of the conditions `looked_at` it says all there is."""

    at: datetime
    verdicts: Sequence[Verdict]
    looked_at: Collection[str] = ()


def of_troubles(plan: Plan) -> list[Look]:
    looks: list[Look] = []
    for trouble in TROUBLES:
        if trouble.status not in OF_RUNS:
            continue
        lines = [line for line in LINES if trouble.job in ("", line.job) and line.job != "report"]
        begins = trouble.begins(plan) + timedelta(minutes=2)
        while begins < min(trouble.ends(plan), plan.as_of):
            looks.append(Look(begins, [_verdict(trouble, line, begins, is_firing=True) for line in lines]))
            begins += timedelta(hours=24 if trouble.job == "sync" else 1)
        ends = trouble.ends(plan) + timedelta(minutes=3)
        if ends < plan.as_of:
            looks.append(Look(ends, [_verdict(trouble, line, ends, is_firing=False) for line in lines]))
    begins, about = plan.ago(63.4), About("ingest-branch", BRANCH, None, HOST)
    for at, is_firing in ((begins, True), (begins + timedelta(hours=58), False)):
        title = f"ingest-branch {BRANCH} degraded: 9.0% of the records were rejected"
        looks.append(Look(at, [_of("run-degraded", f"ingest-branch {BRANCH}", at, title, about, is_firing=is_firing)]))
    at = plan.as_of - timedelta(minutes=20)
    title = "retry-failed degraded: TaskFailures: 14 tasks of type demo-notify failed within the hour"
    looks.append(Look(at, [_of("queue-failures", "queue", at, title, About("retry-failed", "", None, HOST))]))
    return looks


def _verdict(trouble: Trouble, line: Line, at: datetime, *, is_firing: bool) -> Verdict:
    subject = subject_of(line.job, line.scope)
    if trouble.status == "missed":
        cause, said = causes.own("missed", HOST), "missed: SlotMissed"
    else:
        cause = causes.cause_of(trouble.error_class, line.job, line.scope)
        said = f"{trouble.status}: {trouble.error_class}"
    about = About(line.job, line.scope, None, HOST)
    made = _of(OF_RUNS[trouble.status], subject, at, f"{subject} {said}", about, is_firing=is_firing)
    facts = (("error", f"{trouble.error_class}: {trouble.message}"), ("hint", trouble.hint), ("host", HOST))
    return made._replace(cause=cause, facts=facts if trouble.message else (("host", HOST),))


def _of(condition: str, subject: str, at: datetime, title: str, about: About, *, is_firing: bool = True) -> Verdict:
    known = CONDITIONS[condition]
    return Verdict(condition, subject, is_firing, at, causes.own(condition, subject), title, (("host", HOST),),
                   known.severity, about, known.page)  # fmt: skip


class Book:
    """Works the looks through in their order, and keeps what came of them."""

    def __init__(self, policy: Policy, flap_window: timedelta) -> None:
        self._policy = policy
        self._flap_window = flap_window
        self._open: dict[str, int] = {}
        self._incidents: list[Incident] = []  # an incident's number is its place, from 1
        self._abouts: dict[Fingerprint, About] = {}
        self._events: list[tuple[int, datetime, str, str, str]] = []

    def take_all(self, looks: Iterable[Look]) -> None:
        for look in sorted(looks, key=lambda look: look.at):
            self._take(look)

    def _take(self, look: Look) -> None:
        known = [self._incidents[number - 1] for number in self._open.values()]
        firing = [pair for each in known for pair, alert in each.alerts.items() if alert.is_firing]
        verdicts = [*look.verdicts, *gone(firing, look.verdicts, look.looked_at, look.at)]
        self._abouts |= {(each.condition, each.subject): each.about for each in look.verdicts}
        changes = ledger.work_through(
            known, verdicts, self._policy, look.at, recent=lambda cause: self._recent(cause, look.at)
        )
        for change in changes:
            if change.before is None:
                self._incidents.append(change.after)
                number = len(self._incidents)
            else:
                number = self._open[change.before.cause]
                self._incidents[number - 1] = change.after
            self._events += [(number, look.at, notice, incident.title, "") for notice, incident in change.told]
            if change.after.is_open:
                self._open[change.after.cause] = number
            else:
                self._open.pop(change.after.cause, None)

    def _recent(self, cause: str, at: datetime) -> int:
        return sum(each.cause == cause and each.opened_at > at - self._flap_window for each in self._incidents)

    def rows(self) -> dict[str, list[Row]]:
        made: dict[str, list[Row]] = {table: [] for table in COLUMNS}
        events = list(self._events)
        for number, each in enumerate(self._incidents, 1):
            acked_at = (
                each.opened_at + timedelta(hours=7) if each.is_open and "CredentialsRefused" in each.cause else None
            )
            if acked_at is not None:
                events.append((number, acked_at, "acknowledged", "a new token is asked for", USER))
            made["ops.incidents"].append((
                number, each.cause, "open" if each.is_open else "resolved", each.severity, each.title,
                json.dumps([list(fact) for fact in each.facts]), each.page, each.is_flapping, each.occurrences,
                each.notices, each.opened_at, each.last_seen_at, each.told_at,
                round(each.realert_every.total_seconds()), acked_at, USER if acked_at else None, each.resolved_at,
            ))  # fmt: skip
            for (condition, subject), alert in each.alerts.items():
                about = self._abouts.get((condition, subject), NOBODY)
                made["ops.alerts"].append((
                    number, condition, subject, alert.title, about.job, about.scope, about.run_id, about.host,
                    alert.occurrences, alert.clears, alert.first_seen_at, alert.last_seen_at, alert.cleared_at,
                ))  # fmt: skip
        ordered = sorted(events, key=lambda event: (event[1], event[0]))
        made["ops.incident_events"] += [(nth, *event) for nth, event in enumerate(ordered, 1)]
        return made
