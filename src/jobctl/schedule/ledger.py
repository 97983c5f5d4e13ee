"""The slot ledger: nothing is missed silently.

Every start of any job judges the slots that have passed since somebody last looked, for all jobs and all hosts, so all
jobs watch each other; a scheduled start claims its own slot first. All of it is by the hosts' clocks, since those fire
cron; the database's clock only stamps rows.

    begin      lines of this host's crontab -> ops.schedules; pause? slot claimed?; then the others' slots are judged
    end        the lock was held after all; or the run did the work of the missed slots before it
    owed       what a catch-up has to start
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import psycopg

from jobctl.schedule import host_facts, pauses, registry, slots, verdicts
from jobctl.schedule.crontab_text import program_of
from jobctl.schedule.expression import parse
from jobctl.schedule.installed import InstalledLine
from jobctl.schedule.pause import Refusal
from jobctl.schedule.plan import Change, planned
from jobctl.schedule.registry import Line, Schedule
from jobctl.schedule.slots import Slot
from jobctl.schedule.verdicts import HostFacts

# Another host's line is judged here only when its own host had time to do so, with what it alone knows.
OTHER_HOST_GRACE = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Start:
    """A start of a job, as its process knows it before it has asked the database. `line` is the installed line it
    came from and `slot_at` the slot it answers for; both None for a start by hand."""

    job: str
    scope: str
    run_id: UUID
    host: str
    os_user: str
    now: datetime
    line: Line | None = None
    slot_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Missed:
    """A slot that was found missed just now."""

    job: str
    scope: str
    slot_at: datetime
    slot_local: str
    host: str
    reason: str


def begin(conn: psycopg.Connection, start: Start) -> Refusal | None:
    """Refuse the start when its job is paused or its slot is another run's; else the slot is this run's."""
    paused = pauses.refusal(conn, start.job, start.scope, start.now)
    if paused is not None:
        if start.line is not None and start.slot_at is not None:
            slots.judge(
                conn,
                start.job,
                start.scope,
                start.slot_at,
                slot_local=_local(start.line, start.slot_at),
                verdict=verdicts.PAUSED,
                host=start.host,
                reason=str(paused.evidence["pause"]),
                evidence=paused.evidence,
            )
        return paused
    if start.line is None or start.slot_at is None:
        return None
    claimed = slots.claim(
        conn,
        start.job,
        start.scope,
        start.slot_at,
        slot_local=_local(start.line, start.slot_at),
        verdict=verdicts.of_start(
            parse(start.line.expression),
            start.slot_at,
            ZoneInfo(start.line.zone),
            start.now,
            start_grace_s=start.line.start_grace_s,
        ),
        host=start.host,
        run_id=start.run_id,
        started_at=start.now,
    )
    if claimed:
        return None
    other = slots.get(conn, start.job, start.scope, start.slot_at)
    assert other is not None
    return Refusal(
        f"skipped: the slot {other.slot_local} was answered by run {other.run_id} on {other.host}",
        {"slot_at": start.slot_at.isoformat(), "answered_by": str(other.run_id), "answered_on": other.host},
    )


def judge(conn: psycopg.Connection, *, host: str, now: datetime) -> list[Missed]:
    """Give every slot that is over its verdict; returns those that this call found missed."""
    missed: list[Missed] = []
    # A line that two hosts or two users have is one promise: the second finds the slot's row there.
    for schedule in registry.installed(conn):
        is_here = schedule.host == host
        grace = timedelta(seconds=schedule.start_grace_s) + (timedelta() if is_here else OTHER_HOST_GRACE)
        until = now - grace
        zone = ZoneInfo(schedule.zone)
        found, start = verdicts.due(
            parse(schedule.expression), zone, evaluated_until=schedule.evaluated_until, until=until
        )
        if not found:
            continue
        with conn.transaction():
            quiet = pauses.since(conn, start)
            facts = _facts(conn, schedule, now, since=start) if is_here else None
            for slot_at in found:
                local = verdicts.local_text(slot_at, zone)
                if slots.take_from_history(conn, schedule.job, schedule.scope, slot_at, slot_local=local):
                    continue
                verdict, reason, evidence = verdicts.of_absence(
                    schedule.job, schedule.scope, slot_at, pauses=quiet, facts=facts
                )
                is_new = slots.judge(
                    conn,
                    schedule.job,
                    schedule.scope,
                    slot_at,
                    slot_local=local,
                    verdict=verdict,
                    host=schedule.host,
                    reason=reason,
                    evidence=evidence,
                )
                if is_new and verdict == verdicts.MISSED:
                    missed.append(Missed(schedule.job, schedule.scope, slot_at, local, schedule.host, reason))
            registry.mark_evaluated(conn, schedule.schedule_id, until)
    return missed


def locked(conn: psycopg.Connection, start: Start, reason: str) -> None:
    """The claimed slot's run found its lock held everywhere."""
    if start.slot_at is not None:
        slots.skipped_locked(conn, start.job, start.scope, start.slot_at, run_id=start.run_id, reason=reason)


def done(conn: psycopg.Connection, start: Start) -> int:
    """The run has done its work: where one run does the work of all slots before it, they are covered."""
    if start.line is None or start.slot_at is None or start.line.catch_up != "latest":
        return 0
    return slots.cover(conn, start.job, start.scope, start.slot_at, run_id=start.run_id)


@dataclass(frozen=True, slots=True)
class Owed:
    """A slot whose line's command is to be started once more."""

    slot: Slot
    command: str


def owed(conn: psycopg.Connection, *, host: str, os_user: str, now: datetime) -> list[Owed]:
    """What this host and user have to catch up, oldest first, each counted as tried. systemd does its own
    (`Persistent=`), and stops what a unit starts beside itself."""
    found: list[Owed] = []
    for schedule in registry.installed(conn):
        if (schedule.host, schedule.os_user) != (host, os_user) or schedule.source == "systemd":
            continue
        if schedule.catch_up == "none":
            continue
        due = slots.owed(
            conn,
            schedule.job,
            schedule.scope,
            since=max(schedule.installed_at, now - verdicts.OLDEST),
            each=schedule.catch_up == "all",
            cap=schedule.catch_up_cap,
        )
        command = program_of(schedule.command)
        found += [Owed(slot, command) for slot in due if slots.count_try(conn, slot, now)]
    return sorted(found, key=lambda owed: owed.slot.slot_at)


def lines_of(
    installed: Sequence[InstalledLine], os_user: str, changes: Mapping[str, Change] | None = None
) -> list[Line]:
    """The user's installed lines, each with what the plan says of its job; of a wrapped command it says nothing."""
    plan = {entry.job: entry for entry in planned(changes or {})}
    lines: list[Line] = []
    for line in installed:
        if line.os_user != os_user:
            continue
        entry = plan.get(line.job)
        grace_s, catch_up, cap = (entry.start_grace_s, entry.catch_up, entry.cap) if entry else (120, "none", 0)
        lines.append(
            Line(
                source=line.source,
                job=line.job,
                scope=line.scope,
                expression=line.expression.text,
                zone=line.zone,
                command=line.command,
                start_grace_s=grace_s,
                catch_up=catch_up,
                catch_up_cap=cap,
            )
        )
    return lines


LAST_SIGN_OF_LIFE = """
SELECT max(started_at) FROM ops.job_history WHERE host = %(host)s AND started_at < %(until)s
"""


def _facts(conn: psycopg.Connection, schedule: Schedule, now: datetime, *, since: datetime) -> HostFacts:
    booted_at = host_facts.booted_at(now)
    row = None
    if booted_at is not None and booted_at > since:  # else the host was up, whatever its runs say
        row = conn.execute(LAST_SIGN_OF_LIFE, {"host": schedule.host, "until": booted_at}).fetchone()
    return HostFacts(
        booted_at=booted_at,
        cron_started_at=host_facts.cron_started_at(now),
        command_is_there=host_facts.command_is_there(schedule.command),
        last_sign_of_life_at=row[0] if row else None,
    )


def _local(line: Line, slot_at: datetime) -> str:
    return verdicts.local_text(slot_at, ZoneInfo(line.zone))
