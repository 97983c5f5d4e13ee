"""Whether something is there that starts jobs, a cron or systemd for timers, and which zone cron really works in."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from jobctl.monitor.doctor.finding import Finding, NotAsked, failed, ok, skipped, warning
from jobctl.monitor.doctor.situation import Situation
from jobctl.schedule.host_facts import cron_started_at

SYSTEMD = Path("/run/systemd/system")
LOCALTIME = Path("/etc/localtime")
START_CRON = "systemctl enable --now cron (or: service cron start)"


def check_alive(situation: Situation) -> Iterator[Finding]:
    yield judge_alive(
        cron_started_at(situation.now),
        sources={line.source for line in situation.lines},
        has_systemd=SYSTEMD.is_dir(),
    )


def judge_alive(started_at: datetime | None, *, sources: set[str], has_systemd: bool) -> Finding:
    check = "cron.alive"
    timers_alone = bool(sources) and sources == {"systemd"}
    if timers_alone:
        if has_systemd:
            return ok(check, "systemd is there to start the timers")
        return failed(
            check,
            "timers are installed, and systemd does not run here",
            why="nothing starts the jobs",
            mend="jobctl schedule install, for cron",
        )
    if started_at is not None:
        return ok(check, f"cron has been running since {started_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC")
    if sources:
        return failed(check, "no cron is running", why="no line of any crontab is started", mend=START_CRON)
    return warning(check, "no cron is running", why="a crontab installed here would start nothing", mend=START_CRON)


def check_zone(situation: Situation) -> Iterator[Finding]:
    started_at = cron_started_at(situation.now)
    if started_at is None:
        raise NotAsked("no cron is running")
    try:
        changed_at = datetime.fromtimestamp(LOCALTIME.lstat().st_ctime, UTC)
    except OSError:
        yield skipped("cron.zone", f"there is no {LOCALTIME}")
        return
    yield judge_zone(started_at, changed_at)


def judge_zone(started_at: datetime, changed_at: datetime) -> Finding:
    """Cron reads the zone when it starts."""
    check = "cron.zone"
    if changed_at <= started_at:
        return ok(check, "cron was started after the system's zone was set")
    return warning(
        check,
        f"the system's zone was set on {changed_at:%Y-%m-%d %H:%M} UTC, after cron was started",
        why="cron goes on in the zone it was started in, so jobs may start hours off",
        mend="systemctl restart cron (or: service cron restart)",
    )
