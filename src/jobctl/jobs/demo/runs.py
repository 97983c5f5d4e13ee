"""A year of runs: ops.schedules, ops.slots, ops.job_history, ops.sync_events. Pure.

The lines are the plan's own (`schedule/plan.py`) but for `work`: it ran hourly until two weeks before the end, every
five minutes since, so that a year of it is no hundred thousand rows.
"""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Final, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

from jobctl.jobs.demo import counts
from jobctl.jobs.demo.plan import BRANCH, HOST, USER, VERSION, Plan, Row
from jobctl.jobs.demo.troubles import TROUBLES, Trouble, of_job
from jobctl.schedule.verdicts import local_text

OFTEN_FOR: Final = timedelta(days=14)
ZONE: Final = ZoneInfo("UTC")
HOUR: Final = timedelta(hours=1)
PRUNED_BEFORE: Final = timedelta(days=90)  # older events are gone, as a sync prunes them


class Line(NamedTuple):
    """`typical_s` is how long a run takes; `grows` by how much that rises over the year."""

    job: str
    expression: str
    first: timedelta  # after midnight, of Monday for a weekly one
    every: timedelta
    typical_s: float
    grows: float
    scope: str = ""
    options: str = ""


LINES: Final = (
    Line("ingest-branch", "0 * * * *", timedelta(), HOUR, 38, 1.4, BRANCH, " --max-runtime 55m"),
    Line("sync", "0 2 * * *", 2 * HOUR, 24 * HOUR, 150, 0.5),
    Line("metrics", "20 * * * *", timedelta(minutes=20), HOUR, 0.9, 0.3),
    Line("report", "0 9 * * 1", 9 * HOUR, 168 * HOUR, 5.5, 0.1),
    Line("retry-failed", "40 * * * *", timedelta(minutes=40), HOUR, 0.6, 0.2),
    Line("work", "10 * * * *", timedelta(minutes=10), HOUR, 70, 0.4, "", " --max-runtime 4m"),
)
OFTEN: Final = Line("work", "*/5 * * * *", timedelta(), timedelta(minutes=5), 60, 0.1, "", " --max-runtime 4m")

COLUMNS: Final = {
    "ops.schedules": (
        *("schedule_id", "host", "os_user", "source", "job", "scope", "expression", "zone", "command"),
        *("start_grace_s", "catch_up", "catch_up_cap", "installed_at", "evaluated_until", "removed_at"),
    ),
    "ops.slots": (
        *("job", "scope", "slot_at", "slot_local", "verdict", "host", "run_id", "started_at", "covered_by_run_id"),
        *("reason", "evidence", "decided_at"),
    ),
    "ops.job_history": (
        *("run_id", "scope", "job", "correlation_id", "status", "degraded", "exit_code", "host", "os_user"),
        *("supervisor_pid", "worker_pid", "version", "command", "started_at", "heartbeat_at", "lease_s"),
        *("finished_at", "duration_ms", "counts", "metrics", "notes", "peak_memory_bytes", "error_class"),
        *("error_message", "error_hint", "evidence", "slot_at", "replayed_at"),
    ),
    "ops.sync_events": ("event_id", "run_id", "scope", "job", "at", "level", "event", "fields"),
    "ops.pauses": ("pause_id", "job", "scope", "from_at", "until_at", "reason", "paused_by", "ended_at", "ended_by"),
}


class Ran(NamedTuple):
    """A run that completed."""

    job: str
    run_id: UUID
    slot_at: datetime
    started_at: datetime


class Made(NamedTuple):
    rows: dict[str, list[Row]]
    completed: list[Ran]


def made(plan: Plan) -> Made:
    """In the order of the lines, each by time."""
    found = Made({table: [] for table in COLUMNS}, [])
    often_from = (plan.as_of - OFTEN_FOR).replace(hour=0, minute=0, second=0, microsecond=0)
    spans = [(line, plan.start, often_from if line.job == "work" else plan.as_of) for line in LINES]
    for nth, (line, start, end) in enumerate([*spans, (OFTEN, often_from, plan.as_of)], 1):
        found.rows["ops.schedules"].append((
            nth, HOST, USER, "crontab", line.job, "", line.expression, "UTC", _command(line), 120,
            "latest" if line.job in ("ingest-branch", "sync", "report") else "none", 24, start, end, end,
        ))  # fmt: skip
        _add_line(plan, found, line, start, end)
    pauses = [(each, line) for each in TROUBLES if each.status == "paused" for line in LINES]
    for nth, (each, line) in enumerate(pauses, 1):
        begins, ends = each.begins(plan), each.ends(plan)
        found.rows["ops.pauses"].append((nth, line.job, "", begins, ends, "the server moves", USER, None, None))
    return found


def _add_line(plan: Plan, found: Made, line: Line, start: datetime, end: datetime) -> None:
    random = plan.random("runs", line.job, line.expression)
    busy_until, holder = start, UUID(int=0)
    troubles = of_job(plan, line.job)
    for slot_at in slots(line, start, end):
        trouble = next((each for begins, ends, each in troubles if begins <= slot_at < ends), None)
        if trouble is not None and trouble.status in ("missed", "paused"):
            _add_unanswered(plan, found, line, slot_at, trouble)
            continue
        if trouble is None and random.random() < 0.0004:
            _add_unanswered(plan, found, line, slot_at, None)
            continue
        run_id = plan.uuid("run", line.job, slot_at)
        started_at = slot_at + timedelta(seconds=1 + random.random() * 2)
        if started_at < busy_until:
            _add_skipped(found, line, slot_at, run_id, holder)
            continue
        took_s = duration_s(plan, random, line, slot_at)
        busy_until, holder = started_at + timedelta(seconds=took_s), run_id
        if busy_until >= plan.as_of:
            continue  # it would still be running
        _add_run(plan, random, found, line, slot_at, run_id, (started_at, took_s), trouble)


def slots(line: Line, start: datetime, end: datetime) -> Iterator[datetime]:
    midnight = start.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    if line.every > 24 * HOUR:
        midnight -= timedelta(days=midnight.weekday())
    at = midnight + line.first
    while at < end:
        if at >= start:
            yield at
        at += line.every


def duration_s(plan: Plan, random: Random, line: Line, at: datetime) -> float:
    """A trend over the year, a day's and a week's rhythm, and noise with a few that are far off."""
    trend = 1 + line.grows * plan.share(at)
    by_day = 1.25 if 9 <= at.hour < 18 and at.weekday() < 5 else 0.9
    noise = random.lognormvariate(0, 0.18) * (random.uniform(2, 5) if random.random() < 0.004 else 1)
    return min(line.typical_s * trend * by_day * noise, 3_200 if line.job == "ingest-branch" else 400)


def _add_unanswered(plan: Plan, found: Made, line: Line, slot_at: datetime, trouble: Trouble | None) -> None:
    if trouble is not None and trouble.status == "paused":
        until = trouble.ends(plan)
        reason, verdict = f"paused until {until:%Y-%m-%d %H:%M} UTC by {USER}: the server moves", "paused"
    elif trouble is not None:
        ends = trouble.ends(plan)
        reason, verdict = f"the host was down or starting: it booted at {ends:%Y-%m-%d %H:%M} UTC", "missed"
    else:
        reason, verdict = "cron ran and did not start it", "missed"
    found.rows["ops.slots"].append((
        line.job, "", slot_at, local_text(slot_at, ZONE), verdict, HOST, None, None, None, reason, None,
        slot_at + timedelta(minutes=5),
    ))  # fmt: skip


def _add_skipped(found: Made, line: Line, slot_at: datetime, run_id: UUID, holder: UUID) -> None:
    note = f"skipped: run {holder} on {HOST} holds the lock"
    at = slot_at + timedelta(seconds=1)
    found.rows["ops.slots"].append((
        line.job, "", slot_at, local_text(slot_at, ZONE), "skipped_locked", HOST, run_id, at, None, note, None, at,
    ))  # fmt: skip
    evidence = {"holder_run_id": str(holder), "holder_host": HOST}
    found.rows["ops.job_history"].append((
        run_id, line.scope, line.job, str(run_id), "skipped", False, 0, HOST, USER, 1, 2, VERSION, _command(line), at,
        at, None, at, 40, "{}", "{}", json.dumps([note]), None, None, None, None, json.dumps(evidence), slot_at, None,
    ))  # fmt: skip


def _add_run(
    plan: Plan,
    random: Random,
    found: Made,
    line: Line,
    slot_at: datetime,
    run_id: UUID,
    ran: tuple[datetime, float],
    trouble: Trouble | None,
) -> None:
    started_at, took_s = ran
    failure = trouble or _mishap(random, line)
    status = failure.status if failure else "completed"
    if failure is not None:
        took_s = 3_300.0 if status == "timeout" else min(took_s, random.uniform(0.3, 9))
    finished_at = started_at + timedelta(seconds=took_s)
    told = counts.of(plan, random, line.job, started_at, took_s) if failure is None else counts.NOTHING
    replayed_at = trouble.ends(plan) if trouble is not None and trouble.name == "database" else None
    found.rows["ops.slots"].append((
        line.job, "", slot_at, local_text(slot_at, ZONE), "ran", HOST, run_id, started_at, None, "", None, started_at,
    ))  # fmt: skip
    found.rows["ops.job_history"].append((
        run_id, line.scope, line.job, str(run_id), status, told.degraded, _exit_code(failure, told), HOST, USER, 1, 2,
        VERSION, _command(line), started_at, finished_at, 60, finished_at, round(took_s * 1000), told.counts,
        told.metrics, told.notes, told.memory, failure.error_class if failure else None,
        failure.message if failure else None, failure.hint if failure else None, None, slot_at, replayed_at,
    ))  # fmt: skip
    if failure is None:
        found.completed.append(Ran(line.job, run_id, slot_at, started_at))
    if finished_at > plan.as_of - PRUNED_BEFORE:
        events = found.rows["ops.sync_events"]
        for level, event, fields in counts.events(random, line.job, told, failure):
            number = len(events) + 1
            events.append((number, run_id, line.scope, line.job, finished_at, level, event, json.dumps(fields)))


def _exit_code(failure: Trouble | None, told: counts.Told) -> int:
    return failure.exit_code if failure else 3 if told.degraded else 0


def _mishap(random: Random, line: Line) -> Trouble | None:
    """What happens now and then."""
    chance = random.random()
    if chance < 0.0035:
        return Trouble("", 0, 0, line.job, "failed", "ConnectionLost", "the connection to PostgreSQL was lost",
                       "the next slot tries again", 75)  # fmt: skip
    if chance < 0.0045:
        return Trouble("", 0, 0, line.job, "abandoned", "Abandoned", "its lock was gone and its row said running",
                       "the next run went on from the checkpoint", 137)  # fmt: skip
    if chance < 0.0052:
        return Trouble("", 0, 0, line.job, "interrupted", "Interrupted", "ended by SIGTERM", "a deploy did it", 143)
    return None


def _command(line: Line) -> str:
    return f"jobctl {line.job} --scheduled{line.options}"
