"""The conditions: facts and thresholds in, verdicts out. Pure.

What is about runs is judged from the last finished runs of one job and scope, the newest first, and so tells of the
state that they leave, whichever of them the caller has just ended. A condition that is off says nothing.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from math import ceil
from typing import Final, Literal, NamedTuple
from uuid import UUID

from jobctl.alerts import causes
from jobctl.alerts.verdict import NOBODY, About, Facts, Verdict, between
from jobctl.durations import format_duration
from jobctl.settings_alerts import CONDITIONS, RULE_PAGE, ConditionSettings, RuleSettings

Settings = Mapping[str, ConditionSettings]

BAD: Final = frozenset({"failed", "timeout", "abandoned"})
# Somebody wanted the run to end: a person at a terminal, a deploy, a shutdown (INT, TERM, HUP). Others are accidents.
ASKED_FOR: Final = frozenset({130, 143, 129})
OF_RUNS: Final = (
    *("run-failed", "consecutive-failures", "max-runtime", "run-degraded", "long-run", "slow-run", "unusual-run"),
    *("skips", "failure-rate", "rejected-share", "missed-slot"),
)


class RunFact(NamedTuple):
    """A finished run of one job and scope."""

    run_id: UUID
    status: str
    degraded: bool
    exit_code: int
    host: str
    started_at: datetime
    finished_at: datetime
    duration_ms: int
    counts: Mapping[str, int]
    notes: Sequence[str]
    error_class: str | None = None
    error_message: str | None = None
    error_hint: str | None = None
    holder_run_id: str | None = None

    @property
    def is_bad(self) -> bool:
        return self.status in BAD or (self.status == "interrupted" and self.exit_code not in ASKED_FOR)

    @property
    def is_good(self) -> bool:
        return self.status == "completed"


class Judge:
    """Makes the verdicts of one subject: it knows which conditions are on, and what all verdicts have in common."""

    def __init__(self, settings: Settings, subject: str, at: datetime, about: About = NOBODY) -> None:
        self._settings = settings
        self._subject = subject
        self._at = at
        self._about = about
        self.verdicts: list[Verdict] = []

    def of(self, condition: str) -> ConditionSettings | None:
        """Its thresholds; None where it is off."""
        found = self._settings.get(condition)
        return found if found is not None and found.enabled else None

    def say(
        self,
        condition: str,
        is_firing: bool | None,
        *,
        title: str = "",
        facts: Facts = (),
        cause: str = "",
        subject: str | None = None,
        clear_after: int = 1,
    ) -> None:
        found = self.of(condition)
        if found is None:
            return
        subject = self._subject if subject is None else subject
        self.verdicts.append(
            Verdict(
                condition=condition,
                subject=subject,
                is_firing=is_firing,
                at=self._at,
                cause=cause or causes.own(condition, subject),
                title=title,
                facts=facts,
                severity=found.severity,
                about=self._about,
                page=CONDITIONS[condition].page,
                realert_every_s=found.realert_every_s,
                clear_after=clear_after,
            )
        )


def subject_of(job: str, scope: str) -> str:
    return f"{job} {scope}" if scope else job


def of_runs(
    runs: Sequence[RunFact], job: str, scope: str, settings: Settings, *, is_told: bool = False
) -> list[Verdict]:
    """What the last runs of a job and scope say, the newest first. `is_told`: what degraded the newest is told of as
    what it is, and needs no alert besides."""
    if not runs:
        return []
    last = runs[0]
    judge = Judge(settings, subject_of(job, scope), last.finished_at, About(job, scope, last.run_id, last.host))
    _skips(judge, runs, job, scope)
    if last.status == "skipped":
        return judge.verdicts
    if last.is_bad:
        _failed(judge, runs, job, scope)
    elif last.is_good:
        _went_well(judge, last, job, scope, is_told=is_told)
    _durations(judge, runs, job, scope)
    _failure_rate(judge, runs, job, scope)
    if last.is_good and scope:  # what was told of the job as a whole: it could not even tell its scopes, or never began
        whole = Judge(settings, job, last.finished_at, About(job, "", last.run_id, last.host))
        for condition in ("run-failed", "consecutive-failures", "max-runtime", "missed-slot"):
            whole.say(condition, False)
        judge.verdicts += whole.verdicts
    return judge.verdicts


def _failed(judge: Judge, runs: Sequence[RunFact], job: str, scope: str) -> None:
    last = runs[0]
    cause = causes.cause_of(last.error_class, job, scope)
    subject = subject_of(job, scope)
    if last.status == "timeout":
        judge.say("max-runtime", True, title=f"{subject} timeout: {last.error_class}", facts=_facts(last), cause=cause)
        judge.say("run-failed", False)
    else:
        title = f"{subject} {last.status}: {last.error_class or last.status}"
        judge.say("run-failed", True, title=title, facts=_facts(last), cause=cause)
        judge.say("max-runtime", False)
    found = judge.of("consecutive-failures")
    if found is None:
        return
    after = max(1, int(found.main_for(job, scope)))
    in_a_row = 0
    for run in runs:
        if run.status == "skipped":
            continue
        if not run.is_bad:
            break
        in_a_row += 1
    if in_a_row >= after:
        title = f"{subject} failed {in_a_row} times in a row: {last.error_class or last.status}"
        judge.say("consecutive-failures", True, title=title, facts=_facts(last), cause=cause)


def _went_well(judge: Judge, last: RunFact, job: str, scope: str, *, is_told: bool) -> None:
    for condition in ("run-failed", "consecutive-failures", "max-runtime", "missed-slot"):
        judge.say(condition, False)
    subject = subject_of(job, scope)
    own = causes.own("run", job, scope, "Degraded")
    judge.say(
        "run-degraded",
        last.degraded and not is_told,
        title=f"{subject} degraded: {last.error_class or 'Degraded'}",
        facts=_facts(last),
        cause=own,
    )
    found, read = judge.of("rejected-share"), last.counts.get("read", 0)
    if found is not None and read > 0:
        share, limit = last.counts.get("rejected", 0) / read, found.main_for(job, scope)
        title = f"{subject}: {share:.0%} of {read:,} records were rejected, more than {limit:.0%}"
        judge.say("rejected-share", between(share, limit), title=title, facts=_facts(last), cause=own)


def _durations(judge: Judge, runs: Sequence[RunFact], job: str, scope: str) -> None:
    """Both limits and the own p95 have one cause: that this job is slow. A run that was ended early tells nothing."""
    last = runs[0]
    if not last.is_good and last.status != "timeout":
        return
    took, subject = last.duration_ms / 1000, subject_of(job, scope)
    cause = causes.own("slow", job, scope)
    for condition in ("long-run", "slow-run"):
        found = judge.of(condition)
        limit = found.main_for(job, scope) if found is not None else 0
        if limit:
            title = f"{subject} took {_span(took)}, longer than {_span(limit)}"
            judge.say(condition, took > limit, title=title, facts=_facts(last), cause=cause)
    found = judge.of("unusual-run")
    factor = found.main_for(job, scope) if found is not None else 0
    if found is None or not factor:
        return
    usual = [run.duration_ms / 1000 for run in runs[1:] if run.is_good]
    if len(usual) < found.of("runs"):
        return
    p95 = percentile(usual, 0.95)
    limit = max(p95 * factor, found.of("least_s"))
    title = f"{subject} took {_span(took)}; 95 of 100 of its last {len(usual)} runs took {_span(p95)} or less"
    judge.say("unusual-run", took > limit, title=title, facts=_facts(last), cause=cause)


def _skips(judge: Judge, runs: Sequence[RunFact], job: str, scope: str) -> None:
    found = judge.of("skips")
    after = int(found.main_for(job, scope)) if found is not None else 0
    if not after:
        return
    last = runs[0]
    if last.status != "skipped" or last.holder_run_id is None:
        judge.say("skips", False if last.status != "skipped" else None)
        return
    behind = 0
    for run in runs:
        if run.status != "skipped" or run.holder_run_id != last.holder_run_id:
            break
        behind += 1
    subject = subject_of(job, scope)
    title = f"{subject}: {behind} starts in a row were skipped behind one run"
    facts = (("holder", f"run {last.holder_run_id}"), *_facts(last))
    judge.say("skips", True if behind >= after else None, title=title, facts=facts)


def _failure_rate(judge: Judge, runs: Sequence[RunFact], job: str, scope: str) -> None:
    found = judge.of("failure-rate")
    limit = found.main_for(job, scope) if found is not None else 0
    if found is None or not limit:
        return
    newest = runs[0].finished_at
    window = [
        run
        for run in runs
        if (run.is_bad or run.is_good) and (newest - run.finished_at).total_seconds() <= found.of("window_s")
    ]
    if len(window) < max(1, found.of("runs")):
        return
    bad = sum(run.is_bad for run in window)
    streaks = sum(run.is_bad and not before.is_bad for run, before in pairwise(window)) + window[-1].is_bad
    subject, span = subject_of(job, scope), _span(found.of("window_s"))
    title = f"{subject} fails again and again: {bad} of {len(window)} runs in {span}"
    is_firing = between(bad / len(window), limit)
    if is_firing and streaks < 2:  # one failure that lasts, or lasted, is told as what it is
        is_firing = None
    judge.say("failure-rate", is_firing, title=title, facts=_facts(runs[0]))


def of_missed_slot(
    job: str, scope: str, host: str, settings: Settings, *, slot: str, reason: str, slot_at: datetime
) -> list[Verdict]:
    """All slots that were missed since a host's boot or cron's start are that host's incident."""
    subject = subject_of(job, scope)
    judge = Judge(settings, subject, slot_at, About(job, scope, None, host))
    facts = (
        ("status", "missed"),
        ("error", f"SlotMissed: the slot {slot} was missed: {reason}"),
        ("hint", "jobctl slots --verdict missed shows the evidence"),
        ("host", host),
    )
    judge.say("missed-slot", True, title=f"{subject} missed: SlotMissed", facts=facts, cause=causes.own("missed", host))
    return judge.verdicts


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
        share, span = rate.good / runs, _span(found.of("window_s"))
        title = f"{rate.job}: {share:.1%} of {runs:,} runs in {span} succeeded, less than {limit:.0%}"
        facts = (("runs", f"{rate.good:,} succeeded, {rate.bad:,} failed"),)
        firing = between(share, limit, is_below=True, margin=0.01)
        judge.say("success-rate", firing, title=title, facts=facts)
        verdicts += judge.verdicts
    return verdicts


class Backlog(NamedTuple):
    """The task of a type that is due for the longest time."""

    type: str
    oldest_s: float
    due: int


def of_backlogs(backlogs: Iterable[Backlog], settings: Settings, now: datetime) -> list[Verdict]:
    verdicts: list[Verdict] = []
    for each in backlogs:
        judge = Judge(settings, f"queue {each.type}", now)
        found = judge.of("queue-backlog")
        limit = found.main_for(each.type, "") if found is not None else 0
        if not limit:
            continue
        title = f"queue {each.type}: a task is due for {_span(each.oldest_s)}, longer than {_span(limit)}"
        facts = (("due", f"{each.due:,} tasks of this type"),)
        judge.say("queue-backlog", between(each.oldest_s, limit), title=title, facts=facts)
        verdicts += judge.verdicts
    return verdicts


class Freshness(NamedTuple):
    branch: str
    age_s: float
    expected_s: float


def of_branches(branches: Iterable[Freshness], settings: Settings, now: datetime) -> list[Verdict]:
    verdicts: list[Verdict] = []
    for each in branches:
        judge = Judge(settings, f"branch {each.branch}", now)
        found = judge.of("stale-branch")
        factor = found.main_for(each.branch, "") if found is not None else 0
        if not factor:
            continue
        limit = each.expected_s * factor
        title = f"branch {each.branch} was loaded {_span(each.age_s)} ago, longer than {_span(limit)}"
        judge.say("stale-branch", each.age_s > limit, title=title)
        verdicts += judge.verdicts
    return verdicts


class Room(NamedTuple):
    place: str
    path: str
    free_bytes: int
    bytes: int


def of_disks(rooms: Iterable[Room], host: str, settings: Settings, now: datetime) -> list[Verdict]:
    """Its cause is that of runs that met a full disk."""
    verdicts: list[Verdict] = []
    for room in rooms:
        judge = Judge(settings, f"disk {room.place} of {host}", now, About(host=host))
        found = judge.of("disk-low")
        if found is None or room.bytes <= 0:
            continue
        free_mb, share = room.free_bytes / (1 << 20), room.free_bytes / room.bytes
        # A large disk may be nearly full and have room, and a small one is small: both must be low.
        both = (
            between(share, found.of("share"), is_below=True, margin=0.5),
            between(free_mb, found.of("free_mb"), is_below=True, margin=0.5),
        )
        firing = False if False in both else (None if None in both else True)
        title = f"{host}: {free_mb:,.0f} MiB ({share:.0%}) are left for {room.place}"
        judge.say("disk-low", firing, title=title, facts=(("path", room.path), ("host", host)), cause=causes.DISK)
        verdicts += judge.verdicts
    return verdicts


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
        found = judge.of("report-mail")
        limit = found.main_for("report", "") if found is not None else 0
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


def of_queue_cause(name: str, about: str, message: str, hint: str, settings: Settings, now: datetime) -> list[Verdict]:
    """What `retry-failed` has found (queue/causes.py). `about` is a type, or nothing for all of them."""
    condition = "queue-failures" if name == "TaskFailures" else "queue-failure-rate"
    subject = subject_of("queue", about)
    judge = Judge(settings, subject, now, About("retry-failed", about))
    title = f"retry-failed {about}".rstrip() + f" degraded: {name}"
    judge.say(condition, True, title=title, facts=(("error", f"{name}: {message}"), ("hint", hint)))
    return judge.verdicts


def of_rule(name: str, rule: RuleSettings, value: float | None, now: datetime) -> list[Verdict]:
    """`value`: what the query gave; None is not known."""
    if value is None or not rule.enabled:
        return []
    is_below = rule.below is not None
    limit = rule.below if rule.below is not None else rule.above
    assert limit is not None
    firing = between(value, limit, is_below=is_below, margin=0.0)
    said = rule.summary or f"rule {name}"
    title = f"{said}: {value:g} is {'below' if is_below else 'above'} {limit:g}"
    subject = f"rule {name}"
    return [
        Verdict(f"rule-{name}", subject, firing, now, causes.own("rule", name), title, (("rule", name),),
                rule.severity, page=RULE_PAGE)
    ]  # fmt: skip


def gone(
    firing: Iterable[tuple[str, str]], verdicts: Iterable[Verdict], looked_at: Collection[str], now: datetime
) -> list[Verdict]:
    """The alerts that fire and of which a complete look says nothing any more: what they are about is gone, so they are
    over."""
    said = {(verdict.condition, verdict.subject) for verdict in verdicts}
    left = [pair for pair in firing if pair[0] in looked_at and pair not in said]
    return [Verdict(condition, subject, False, now) for condition, subject in left]


def percentile(values: Sequence[float], share: float) -> float:
    """Of the nearest rank: a value that there was."""
    ordered = sorted(values)
    return ordered[max(0, ceil(share * len(ordered)) - 1)]


def _facts(run: RunFact) -> Facts:
    facts = [("status", f"{run.status}, exit code {run.exit_code}")]
    if run.error_class is not None or run.error_message is not None:
        facts.append(("error", f"{run.error_class}: {run.error_message}"))
        if run.error_hint:
            facts.append(("hint", run.error_hint))
    elif run.notes:
        facts.append(("notes", "; ".join(run.notes)))
    return (*facts, ("host", run.host), ("run", str(run.run_id)))


def _span(seconds: float) -> str:
    return format_duration(round(seconds, 1))
