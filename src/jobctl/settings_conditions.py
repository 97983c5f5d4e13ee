"""The conditions that people are told of: what there is, by which thresholds, and `[alerts.conditions]` laid over it.

    [alerts.conditions.consecutive-failures]
    after = 5

    [alerts.conditions.long-run.jobs]
    ingest-branch = "50m"                  # 0: not for this job

What a condition's table leaves out is as `CONDITIONS` has it. Durations are keys that end with `_s`.
"""

from collections.abc import Mapping
from typing import Final, Literal, NamedTuple, cast

from pydantic import ValidationError

from jobctl.did_you_mean import did_you_mean
from jobctl.durations import parse_duration
from jobctl.settings_table import Table, faults_of
from jobctl.settings_values import Seconds

Severity = Literal["warning", "critical"]


class Condition(NamedTuple):
    """`page` is its runbook, `jobs` the first threshold where it differs by job (`job` or `job/scope`)."""

    summary: str
    page: str
    severity: Severity = "warning"
    thresholds: Mapping[str, float] = {}
    jobs: Mapping[str, float] = {}


CONDITIONS: Final[Mapping[str, Condition]] = {
    "run-failed": Condition("a run failed, was abandoned, or was ended by a signal that nobody sent", "run-failed"),
    "consecutive-failures": Condition(
        "the last runs of a job and scope all failed", "run-failed", "critical", {"after": 3}
    ),
    "max-runtime": Condition("a run was ended at its max runtime", "run-timeout", "critical"),
    "run-degraded": Condition("a run completed and left out more than it may", "run-degraded"),
    "long-run": Condition(
        "a run took longer than 8 minutes",
        "run-slow",
        "critical",
        {"over_s": 480},
        {"ingest-branch": 3_000, "work": 0, "retry-failed": 0, "run": 0},
    ),
    "slow-run": Condition(
        "a run took longer than 5 minutes",
        "run-slow",
        "warning",
        {"over_s": 300},
        {"ingest-branch": 1_800, "work": 0, "retry-failed": 0, "run": 0},
    ),
    "unusual-run": Condition(
        "a run took longer than its own 95th percentile by a factor",
        "run-slow",
        "warning",
        {"factor": 2, "least_s": 60, "runs": 20},
        {"work": 0, "retry-failed": 0},
    ),
    "anomaly-duration": Condition(
        "a run took far longer than those of its weekday and hour do",
        "run-unusual",
        "warning",
        {"score": 5, "least_s": 60, "runs": 8, "weeks": 12},
        {"work": 0, "retry-failed": 0},
    ),
    "anomaly-rows": Condition(
        "a run had far fewer or far more rows than those of its weekday and hour have",
        "run-unusual",
        "warning",
        {"score": 5, "least_rows": 1_000, "runs": 8, "weeks": 12},
        {"work": 0},
    ),
    "anomaly-errors": Condition(
        "a far larger share of a run failed than of those of its weekday and hour",
        "run-unusual",
        "warning",
        {"score": 5, "least_share": 0.05, "of_rows": 20, "runs": 8, "weeks": 12},
    ),
    "skips": Condition(
        "starts find the lock held by one and the same run", "lock-held-for-long", "warning", {"after": 3}, {"work": 12}
    ),
    "missed-slot": Condition("nobody answered for a slot", "slot-missed"),
    "failure-rate": Condition(
        "a job fails again and again: too large a share of its runs in a window",
        "run-failed",
        "critical",
        {"share": 0.5, "window_s": 86_400, "runs": 5},
    ),
    "success-rate": Condition(
        "less than 95 % of a job's runs in a week succeeded",
        "run-failed",
        "warning",
        {"share": 0.95, "window_s": 7 * 86_400, "runs": 20},
    ),
    "queue-failures": Condition("more tasks failed in an hour than alert_failures_per_hour of [queue]", "tasks-fail"),
    "queue-failure-rate": Condition("a type of tasks fails more often than the day before", "tasks-fail"),
    "queue-backlog": Condition("a due task has waited too long", "queue-backlog", "warning", {"age_s": 3_600}),
    "stale-branch": Condition(
        "a branch was not loaded within the time it is expected to be fresh", "branch-stale", "warning", {"factor": 1}
    ),
    "rejected-share": Condition(
        "too large a share of what a run read was rejected", "run-degraded", "critical", {"share": 0.2}
    ),
    "disk-low": Condition(
        "too little room on a disk that runs write to", "disk-low", "critical", {"share": 0.05, "free_mb": 1_024}
    ),
    "quota-low": Condition("little is left of GitHub's quota", "quota-low", "warning", {"share": 0.1}),
    "report-mail": Condition(
        "mails of the weekly report may have arrived or not, were refused, or wait for too long",
        "report-mail-unknown",
        "warning",
        {"waiting_s": 3_600},
    ),
    "bug-unassigned": Condition(
        "a critical bug is nobody's for too long", "metrics-alert", "critical", {"age_s": 3_600}
    ),
    "sla-breach": Condition("a critical bug breached its SLA", "metrics-alert", "critical", {"above": 0}),
    "revenue-at-risk": Condition(
        "open bugs cost more than so much a day", "metrics-alert", "critical", {"above": 10_000}
    ),
}


class ConditionSettings(Table):
    """What one condition goes by: the defaults of `CONDITIONS` with what the table says besides."""

    enabled: bool = True
    severity: Severity = "warning"
    realert_every_s: Seconds | None = None
    thresholds: Mapping[str, float] = {}
    jobs: Mapping[str, float] = {}

    def of(self, threshold: str) -> float:
        return self.thresholds[threshold]

    def main_for(self, job: str, scope: str) -> float:
        """The first threshold, for this job and scope; 0 is: not for this one."""
        default = next(iter(self.thresholds.values()), 0.0)
        return self.jobs.get(f"{job}/{scope}", self.jobs.get(job, default))


def default_conditions() -> dict[str, ConditionSettings]:
    return {
        name: ConditionSettings(severity=each.severity, thresholds=dict(each.thresholds), jobs=dict(each.jobs))
        for name, each in CONDITIONS.items()
    }


def conditions_of(value: object) -> object:
    """Each table laid over the condition's defaults. Raises ValueError with every fault."""
    if not isinstance(value, Mapping):
        raise ValueError("is a table: [alerts.conditions.skips] and below it after = 5")  # noqa: TRY004
    found = default_conditions()
    faults: list[str] = []
    for name, table in cast(Mapping[str, object], value).items():
        if isinstance(table, ConditionSettings):
            found[name] = table
        elif name not in CONDITIONS:
            meant = did_you_mean(name, CONDITIONS)
            faults.append(f"names {name!r}, which is no condition" + (f": did you mean {meant}?" if meant else ""))
        elif not isinstance(table, Mapping):
            faults.append(f"has {name}, which is no table")
        else:
            try:
                found[name] = _laid_over(found[name], cast(Mapping[str, object], table))
            except ValueError as error:
                faults.append(f"has {name}, which {error}")
    if faults:
        raise ValueError("; ".join(faults))
    return found


def _laid_over(default: ConditionSettings, table: Mapping[str, object]) -> ConditionSettings:
    plain = ("enabled", "severity", "realert_every_s")
    known = (*plain, *default.thresholds, *(("jobs",) if default.thresholds else ()))
    for key in table:
        if key not in known:
            meant = did_you_mean(key, known)
            raise ValueError(f"has {key!r}, which is not known: " + (meant or f"one of {', '.join(known)}"))
    thresholds = {
        name: _number(name, table[name]) if name in table else number for name, number in default.thresholds.items()
    }
    main = next(iter(default.thresholds), "")
    jobs = table.get("jobs", {})
    if not isinstance(jobs, Mapping):
        raise ValueError("has jobs, which is no table")  # noqa: TRY004
    own = {job: _number(main, value) for job, value in cast(Mapping[str, object], jobs).items()}
    given = {name: table[name] for name in plain if name in table}
    try:
        return ConditionSettings.model_validate(
            {"severity": default.severity, **given, "thresholds": thresholds, "jobs": {**default.jobs, **own}}
        )
    except ValidationError as error:
        raise ValueError(faults_of(error, ConditionSettings)) from None


def _number(name: str, value: object) -> float:
    if isinstance(value, str) and name.endswith("_s"):
        value = parse_duration(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e15:
        raise ValueError(f"has {name} that is not a number from 0 on")
    return float(value)
