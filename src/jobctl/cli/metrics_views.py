"""How figures look to a person."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from jobctl.cli.render import note, print_table, print_text
from jobctl.jobs.metrics.explaining import Explained, HealthOfDay, said_by
from jobctl.service_levels import health
from jobctl.service_levels.bugs import SEVERITIES

if TYPE_CHECKING:
    from jobctl.cli.run_command import ScopeReport

SHOWN = 5  # of the lists that the object has in full


def told(scope: "ScopeReport") -> list[str]:
    """What a run found, in lines that fit a terminal."""
    from jobctl.cli.run_command import status_line
    from jobctl.runtime.outcome import COMPLETED

    if scope.status != COMPLETED or scope.evidence is None:
        return [status_line(scope)]
    found: Mapping[str, Any] = scope.evidence
    if not found["projects"]:
        return []
    risk, currency = found["revenue_at_risk"], found["currency"]
    lines = [f"  revenue at risk: {risk['per_day']:,.2f} {currency} a day, of {_counted(risk['bugs'], 'open bug')}"]
    lines += [f"    {_trend(risk['trend'])}"] if _trend(risk["trend"]) else []
    for severity in reversed(SEVERITIES):
        of = risk["by_severity"][severity]
        if of["bugs"]:
            lines.append(f"    {severity}: {_counted(of['bugs'], 'bug')}, {of['per_day']:,.2f} a day")
    if found["unassigned_critical"]:
        lines.append(f"  critical bugs that nobody is assigned to: {found['unassigned_critical']:,}")
    for goal, by_severity in found["service_levels"].items():
        states = {name: sum(of[name] for of in by_severity.values()) for name in by_severity["low"]}
        shown = ", ".join(f"{number:,} {name.replace('_', ' ')}" for name, number in states.items() if number)
        lines.append(f"  {goal.replace('_', ' ')}: {shown or 'no cycles'}")
    lines += [f"    {_breach(each)}" for each in found["breaches"][:SHOWN]]
    pace = found["velocity"]["all"]
    lines.append(
        f"  bugs resolved a week: {_plain(pace['resolved_median_4'])} (4 weeks), "
        f"{_plain(pace['resolved_median_12'])} (12); pull requests: {_plain(pace['merged_per_week'])}"
    )
    lines.append(
        f"  cycle time: median {_plain(pace['cycle_h'], ' h')}, p90 {_plain(pace['cycle_p90_h'], ' h')} "
        f"(coding {_plain(pace['coding_h'])}, pickup {_plain(pace['pickup_h'])}, review {_plain(pace['review_h'])})"
    )
    bands = ", ".join(f"{number:,} {band}" for band, number in found["health"].items() if number)
    lines.append(f"  health of {_counted(found['projects'], 'project')}: {bands}")
    costly = [each for each in found["by_project"] if each["revenue_at_risk"]["bugs"]]
    for each in costly[:SHOWN]:
        of = each["revenue_at_risk"]
        lines.append(
            f"    {each['project']}: {of['per_day']:,.2f} a day, {_counted(of['bugs'], 'bug')}, {each['band']}"
        )
    return lines


def _trend(trends: Mapping[str, Any]) -> str:
    known = {name: each for name, each in trends.items() if each["change"] is not None}
    return ", ".join(f"{each['change']:+,.2f} in a{'n' * (name == 'hour')} {name}" for name, each in known.items())


def _breach(each: Mapping[str, Any]) -> str:
    over = _hours(each["elapsed_s"] - each["goal_s"])
    return f"{each['issue']} ({each['severity']}): {each['goal'].replace('_', ' ')} is {over} over its goal"


def _hours(seconds: float) -> str:
    """Never days: one of working time has not 24 hours."""
    return f"{seconds / 3_600:,.1f} h"


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _plain(value: float | None, unit: str = "") -> str:
    return "not known" if value is None else f"{value:,.1f}{unit}"


def print_explained(found: Explained) -> None:
    rows: list[Sequence[object]] = [["title", found.issue.title], ["state", found.issue.state]]
    rows.append(["assigned to", ", ".join(found.issue.assignees) or "nobody"])
    rows += [[f"label {label}", "; ".join(said_by(meaning)) or "says nothing"] for label, meaning in found.labels]
    if found.form_text is not None:
        rows.append(["form says", found.form_text])
    if found.issue.imported is not None:
        rows.append(["imported", f"{found.issue.imported:,} {found.issue.note or ''}".strip()])
    verdict = found.verdict
    if verdict is None:
        rows.append(["bug", f"no: {found.why_not}"])
    else:
        rows += [
            ["bug", "yes"],
            ["severity", f"{SEVERITIES[verdict.severity]} (from {verdict.severity_from})"],
            ["impact a day", f"{verdict.impact:,} {found.currency} (from {verdict.impact_from})"],
        ]
    for name, each in found.cycles.items():
        goal = name.replace("_", " ")
        if each is None:
            rows.append([goal, "no goal"])
            continue
        left = f"{_hours(abs(each.remaining_s))} {'left' if each.remaining_s >= 0 else 'over'}"
        rows.append([goal, f"{each.state.replace('_', ' ')}: {_hours(each.elapsed_s)} of {_hours(each.goal_s)}"])
        if each.stop is None:
            stands = "paused" if each.is_paused else "running" if each.is_within_hours else "outside working hours"
            until = f", breach at {each.breaches_at:%Y-%m-%d %H:%M} UTC" if each.breaches_at else ""
            rows.append(["", f"{stands}, {left}{until}"])
    print_table(f"Issue {found.name}", ["", ""], rows)
    for each in found.passed_over:
        note(f"Passed over: {each}")
    print_text(f"Rules {found.rules_version}.")


def print_health(found: HealthOfDay) -> None:
    score = "not known" if found.health.score is None else f"{found.health.score:g} of 100"
    print_table(
        f"Health of {found.project.full_name} on {found.day}: {score}, {found.health.band}",
        ["group", "input", "won", "lost", "weight", "why"],
        [
            [
                part.input.group,
                part.input.name,
                part.won,
                part.lost,
                part.input.weight,
                f"{part.input.about}: {part.said}",
            ]
            for part in found.health.parts
        ],
    )
    groups = ", ".join(
        f"{group} {won:g} of {weight}" if weight else f"{group} not known"
        for group, (won, weight) in health.by_group(found.health).items()
    )
    print_text(f"{groups}.")
    if found.kept_score is not None and (found.kept_score, found.kept_version) != (
        found.health.score,
        found.health.version,
    ):
        print_text(f"Kept of that day: {found.kept_score:g}, by version {found.kept_version}.")
    print_text(f"From facts that were {found.source}; rules {found.rules_version}, health {found.health.version}.")
