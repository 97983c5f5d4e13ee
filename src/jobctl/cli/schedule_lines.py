"""The lines that make jobs run: those that are installed, and those of the plan that nobody has installed."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal
from zoneinfo import ZoneInfo

from jobctl.errors import UsageError

if TYPE_CHECKING:
    from jobctl.schedule.expression import Expression
    from jobctl.settings import Settings

# `planned`: this version has no such command yet. `not installed`: it has, but no crontab or timer starts it.
State = Literal["installed", "not installed", "planned"]
PLAN = "plan"


@dataclass(frozen=True, slots=True)
class ScheduleLine:
    """`source` and `command` are where and how the line stands; of one that is not installed `plan` and None."""

    job: str
    scope: str
    state: State
    source: str
    os_user: str | None
    expression: "Expression"
    zone: str
    owner: str
    command: str | None
    is_scheduled: bool
    planned_at: str | None

    @property
    def name(self) -> str:
        return f"{self.job} {self.scope}".strip()

    @property
    def clock(self) -> ZoneInfo:
        return ZoneInfo(self.zone)

    def as_json(self) -> dict[str, object]:
        return {
            "job": self.job,
            "scope": self.scope,
            "state": self.state,
            "source": self.source,
            "os_user": self.os_user,
            "expression": str(self.expression),
            "words": self.expression.in_words(),
            "zone": self.zone,
            "owner": self.owner,
            "command": self.command,
            "is_scheduled": self.is_scheduled,
            "planned_expression": self.planned_at,
        }


def schedule_lines(settings: "Settings", commands: Collection[str]) -> list[ScheduleLine]:
    """The installed lines as they stand, then the jobs of the plan that have none."""
    from jobctl.accounts import current_user
    from jobctl.schedule.from_settings import planned_from
    from jobctl.schedule.installed import cron_zone, read_installed

    plan = planned_from(settings)
    by_job = {entry.job: entry for entry in plan}
    lines = [
        ScheduleLine(
            job=each.job,
            scope=each.scope,
            state="installed",
            source=each.source,
            os_user=each.os_user,
            expression=each.expression,
            zone=each.zone,
            owner=by_job[each.job].owner if each.job in by_job else each.os_user,
            command=each.command,
            is_scheduled=each.is_scheduled,
            planned_at=str(by_job[each.job].at) if each.job in by_job else None,
        )
        for each in read_installed(current_user())
    ]
    installed = {line.job for line in lines}
    zone = cron_zone()
    lines += [
        ScheduleLine(
            job=entry.job,
            scope="",
            state="not installed" if entry.job in commands else "planned",
            source=PLAN,
            os_user=None,
            expression=entry.at,
            zone=zone,
            owner=entry.owner,
            command=None,
            is_scheduled=False,
            planned_at=str(entry.at),
        )
        for entry in plan
        if entry.job not in installed
    ]
    return lines


def of_job(lines: list[ScheduleLine], job: str, scope: str | None) -> list[ScheduleLine]:
    """Those of the job (and scope). Raises UsageError where there are none."""
    from jobctl.did_you_mean import did_you_mean

    known = sorted({line.job for line in lines})
    found = [line for line in lines if line.job == job]
    if not found:
        meant = did_you_mean(job, known)
        raise UsageError(
            f"no line of crontab, timer or plan starts {job!r}",
            hint=f"did you mean {meant}?" if meant else f"there are {', '.join(known)}",
        )
    if scope is not None:
        found = [line for line in found if line.scope == scope]
        if not found:
            scopes = ", ".join(repr(line.scope) for line in lines if line.job == job)
            raise UsageError(f"no line starts {job} for {scope!r}", hint=f"its lines are for {scopes}")
    return found


def scopes_in_history(job: str, scope: str) -> list[str]:
    """The scopes that rows of the history have for such a line; none means any: a job does all its branches."""
    return [scope] if job == "run" else [part for part in scope.split(",") if part]


def table_state(line: ScheduleLine) -> str:
    texts: Mapping[State, str] = {
        "installed": f"installed in {line.source} for {line.os_user}",
        "not installed": "not installed",
        "planned": "planned: no such command yet",
    }
    return texts[line.state]
