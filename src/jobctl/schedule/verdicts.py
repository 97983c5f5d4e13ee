"""How a slot is judged. Pure: moments and facts in, verdict and reason out.

A slot is named by its moment in UTC and shown by its local time. Which moments there are on a day when the clocks
change is cron's own rule (`expression`): a fixed time has one slot on each day, so whoever fires it a second time in
the repeated hour asks for a slot that is done.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from jobctl.schedule.expression import Expression
from jobctl.schedule.pause import Pause

RAN = "ran"
LATE = "late"
SKIPPED_LOCKED = "skipped_locked"
PAUSED = "paused"
MISSED = "missed"
DST_SHIFTED = "dst_shifted"
VERDICTS = (RAN, LATE, SKIPPED_LOCKED, PAUSED, MISSED, DST_SHIFTED)

# What is judged at once, at most: a host that was away for a year has no use for 100,000 rows that say so.
OLDEST = timedelta(days=31)
MOST = 1_000


@dataclass(frozen=True, slots=True)
class HostFacts:
    """What this host knows of its own past. Times are by its clock as it is now; None: not known, or not running."""

    booted_at: datetime | None = None
    cron_started_at: datetime | None = None
    command_is_there: bool | None = None
    last_sign_of_life_at: datetime | None = None


def local_text(slot_at: datetime, zone: ZoneInfo) -> str:
    """`2026-10-25 02:30 CEST`: the zone's letters tell the two halves of a repeated hour apart."""
    return f"{slot_at.astimezone(zone):%Y-%m-%d %H:%M %Z}"


def is_shifted(expression: Expression, slot_at: datetime, zone: ZoneInfo) -> bool:
    """Whether the clock skipped the time the schedule names, so that cron fires when the gap ends."""
    if not expression.is_at_fixed_times:
        return False
    local = slot_at.astimezone(zone)
    # The same local time on a calendar without a gap: there the schedule names it, or it does not.
    naive = local.replace(tzinfo=ZoneInfo("UTC"))
    return expression.last_until(naive, ZoneInfo("UTC")) != naive


def of_start(
    expression: Expression, slot_at: datetime, zone: ZoneInfo, started_at: datetime, *, start_grace_s: int
) -> str:
    """The verdict on a slot that a start answers for."""
    if started_at - slot_at > timedelta(seconds=start_grace_s):
        return LATE
    return DST_SHIFTED if is_shifted(expression, slot_at, zone) else RAN


def due(
    expression: Expression, zone: ZoneInfo, *, evaluated_until: datetime, until: datetime
) -> tuple[list[datetime], datetime]:
    """The slots to be judged now, and the moment before which none was looked at (`evaluated_until`, or later when the
    gap is longer than OLDEST or has more than MOST slots)."""
    start = max(evaluated_until, until - OLDEST)
    slots = expression.between(start, until, zone)
    if len(slots) > MOST:
        slots = slots[-MOST:]
        start = slots[0] - timedelta(minutes=1)
    return slots, start


def of_absence(
    job: str, scope: str, slot_at: datetime, *, pauses: Sequence[Pause], facts: HostFacts | None
) -> tuple[str, str, dict[str, object]]:
    """The verdict on a slot that nobody answered for, the reason in words, and the evidence.

    `facts` is None when the line is another host's, of whose past nothing is known here."""
    pause = next((pause for pause in pauses if pause.covers(job, scope, slot_at)), None)
    if pause is not None:
        return PAUSED, str(pause), {"pause_id": pause.pause_id}
    if facts is None:
        return MISSED, "its host has not answered for it", {"cause": "host_silent"}
    evidence: dict[str, object] = {
        "booted_at": _iso(facts.booted_at),
        "cron_started_at": _iso(facts.cron_started_at),
        "command_is_there": facts.command_is_there,
        "last_sign_of_life_at": _iso(facts.last_sign_of_life_at),
    }
    cause, reason = _cause(slot_at, facts)
    return MISSED, reason, {"cause": cause, **evidence}


def _cause(slot_at: datetime, facts: HostFacts) -> tuple[str, str]:
    alive = facts.last_sign_of_life_at is not None and facts.last_sign_of_life_at >= slot_at
    if facts.booted_at is not None and facts.booted_at > slot_at and not alive:
        return "host_down", f"the host was down or starting: it booted at {facts.booted_at:%Y-%m-%d %H:%M} UTC"
    if facts.cron_started_at is None:
        return "cron_down", "no cron is running on the host"
    if facts.cron_started_at > slot_at:
        return "cron_down", f"cron was not running: it started at {facts.cron_started_at:%Y-%m-%d %H:%M} UTC"
    if facts.command_is_there is False:
        return "command_not_found", "the line's command is not there or cannot be executed"
    return "not_started", "cron was running, but the command never reached the database: look in cron's log"


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment is not None else None
