"""The zones that meet in a night's run: cron's, the shell's, the one alerts are told in, the database's; and what the
next changes of the clocks do to planned jobs."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from jobctl.monitor.doctor.finding import Finding, ok, warning
from jobctl.monitor.doctor.situation import Situation
from jobctl.schedule.clock_changes import ClockChange, clock_changes
from jobctl.schedule.expression import Expression
from jobctl.schedule.fields import match_wall_clock
from jobctl.schedule.installed import cron_zone
from jobctl.settings_reading.environment import zone_of_shell

AHEAD = timedelta(days=400)
CHANGES_SHOWN = 2


def check_shell(situation: Situation) -> Iterator[Finding]:
    yield judge_shell(zone_of_shell(), cron_zone(), situation.now)


def judge_shell(of_shell: str | None, of_cron: str, now: datetime) -> Finding:
    """A shell's TZ changes what a person sees, and nothing about cron."""
    check = "zones.shell"
    if not of_shell:
        return ok(check, f"cron works in {of_cron}, and so does this shell")
    name = of_shell.removeprefix(":").partition("zoneinfo/")[2] or of_shell.removeprefix(":")
    if is_same(name, of_cron, now):
        return ok(check, f"cron works in {of_cron}; the shell's TZ={of_shell} is the same")
    return warning(
        check,
        f"TZ={of_shell} in this shell, while cron works in {of_cron}",
        why="the times that date and ls show here are not those at which cron starts jobs",
        mend=f"unset TZ, or set the system's zone: timedatectl set-timezone {name} && systemctl restart cron",
    )


def check_alerts(situation: Situation) -> Iterator[Finding]:
    yield judge_alerts(situation.settings.timezone, cron_zone(), situation.now)


def judge_alerts(of_alerts: str, of_cron: str, now: datetime) -> Finding:
    check = "zones.alerts"
    if is_same(of_alerts, of_cron, now):
        return ok(check, f"alerts tell times in {of_alerts}, the zone cron works in")
    return warning(
        check,
        f"alerts tell times in {of_alerts}, while cron works in {of_cron}",
        why="a time in an alert is not the time in the crontab",
        mend=f"set JOBCTL_TIMEZONE={of_cron}",
    )


def check_database(situation: Situation) -> Iterator[Finding]:
    from jobctl.monitor.doctor.server import database_zone

    with situation.link.transaction() as conn:
        yield judge_database(database_zone(conn), cron_zone(), situation.now)


def judge_database(of_database: str, of_cron: str, now: datetime) -> Finding:
    """Never a fault: jobctl's sessions work in UTC whatever the database says. It is told because psql shows it."""
    same = "the zone cron works in" if is_same(of_database, of_cron, now) else f"cron works in {of_cron}"
    return ok("zones.database", f"psql shows times in {of_database} ({same}); jobctl's own sessions use UTC")


def check_clock_changes(situation: Situation) -> Iterator[Finding]:
    from jobctl.schedule.from_settings import planned_from

    lines = {f"{line.job} {line.scope}".strip(): line.expression for line in situation.lines}
    if not lines:
        lines = {entry.job: entry.at for entry in planned_from(situation.settings)}
    yield from judge_clock_changes(cron_zone(), lines, situation.now)


def judge_clock_changes(zone: str, lines: dict[str, Expression], now: datetime) -> list[Finding]:
    """A finding for each of the next two changes, and what it does to each line that names a time in it."""
    check = "zones.clock_changes"
    changes = clock_changes(_zone(zone), now, now + AHEAD)[:CHANGES_SHOWN]
    if not changes:
        return [ok(check, f"the clocks of {zone} do not change in the next {AHEAD.days} days")]
    return [_judge_change(check, change, zone, lines) for change in changes]


def is_same(one: str, other: str, now: datetime) -> bool:
    """Whether two names mean the same times over the next year; a name nobody knows is like none."""
    if one == other:
        return True
    try:
        zones = _zone(one), _zone(other)
    except (OSError, ValueError, ZoneInfoNotFoundError):
        return False
    moments = [now + timedelta(days=day) for day in range(0, AHEAD.days, 7)]
    return all(moment.astimezone(zones[0]).utcoffset() == moment.astimezone(zones[1]).utcoffset() for moment in moments)


def _judge_change(check: str, change: ClockChange, zone: str, lines: dict[str, Expression]) -> Finding:
    when = f"on {change.start:%Y-%m-%d} the clocks of {zone} go from " + (
        f"{change.start:%H:%M} to {change.end:%H:%M}"
        if change.is_gap
        else f"{change.end:%H:%M} back to {change.start:%H:%M}"
    )
    touched = {name: line for name, line in lines.items() if _is_touched(line, change)}
    lost = [name for name, line in touched.items() if not line.is_at_fixed_times]
    if lost:
        return warning(
            check,
            f"{when}: {', '.join(lost)} {'does not run in that hour' if change.is_gap else 'runs twice in that hour'}",
            why="with a * in its minute or hour cron goes by the wall clock when the clocks change",
            mend="choose another hour, or write its minutes and hours out",
        )
    if touched:
        how = "when the gap ends" if change.is_gap else "the first time only"
        return ok(check, f"{when}: {', '.join(touched)} runs {how}")
    return ok(check, f"{when}: no planned job is touched")


def _is_touched(line: Expression, change: ClockChange) -> bool:
    """A line of every hour goes on as ever: its next slot is an hour of real time away."""
    return line.fields[1] != "*" and any(match_wall_clock(line, moment).is_matched for moment in change.minutes())


def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)
