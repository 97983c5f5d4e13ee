"""The tallies of what was promised (`slo`), counted in the history of runs: three windows in one question each."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

import psycopg
from psycopg.types.json import Jsonb

from jobctl.alerts.conditions import ASKED_FOR, BAD
from jobctl.monitor.runs import slo
from jobctl.monitor.runs.slo import Level, Promise, Rhythm, Tallies, Tally
from jobctl.schedule.expression import ExpressionError, parse
from jobctl.schedule.plan import JobSchedule
from jobctl.schedule.registry import Schedule
from jobctl.settings_monitor import SloSettings

# What of a job's counts is all, and what of it is bad.
PARTS: Final[Mapping[str, tuple[str, tuple[str, ...], str]]] = {
    "ingest-branch": ("read", ("rejected",), "records"),
    "work": ("claimed", ("retried", "failed"), "tries"),
    "sync": ("projects", ("failed",), "projects"),
}
NOBODY: Final = Tallies(Tally(), Tally(), Tally())

RUNS = """
SELECT h.job,
    count(*) AS total, count(*) FILTER (WHERE r.is_bad) AS bad,
    count(*) FILTER (WHERE h.started_at >= %(long)s), count(*) FILTER (WHERE h.started_at >= %(long)s AND r.is_bad),
    count(*) FILTER (WHERE h.started_at >= %(short)s), count(*) FILTER (WHERE h.started_at >= %(short)s AND r.is_bad)
FROM ops.job_history AS h CROSS JOIN LATERAL (
    SELECT h.status = ANY (%(bad)s) OR h.status = 'interrupted' AND h.exit_code <> ALL (%(asked_for)s) AS is_bad
) AS r
WHERE h.started_at >= %(since)s AND h.started_at <= %(until)s AND (h.status = 'completed' OR r.is_bad)
GROUP BY h.job ORDER BY h.job
"""

# A limit of 0, and none at all, is: not this one.
DURATIONS = """
SELECT d.job, count(*), count(*) FILTER (WHERE d.is_bad),
    count(*) FILTER (WHERE d.started_at >= %(long)s), count(*) FILTER (WHERE d.started_at >= %(long)s AND d.is_bad),
    count(*) FILTER (WHERE d.started_at >= %(short)s), count(*) FILTER (WHERE d.started_at >= %(short)s AND d.is_bad),
    percentile_disc(0.95) WITHIN GROUP (ORDER BY d.duration_ms)
FROM (
    SELECT h.job, h.started_at, h.duration_ms, h.duration_ms > l.limit_ms AS is_bad
    FROM ops.job_history AS h CROSS JOIN LATERAL (
        SELECT coalesce(%(limits)s::jsonb ->> (h.job || '/' || h.scope), %(limits)s::jsonb ->> h.job)::bigint
            AS limit_ms
    ) AS l
    WHERE h.started_at >= %(since)s AND h.started_at <= %(until)s AND h.status = 'completed' AND l.limit_ms > 0
) AS d
GROUP BY d.job ORDER BY d.job
"""

COUNTED = """
SELECT h.job, w.nth, sum((h.counts ->> (p.part ->> 'all'))::bigint)::float8,
    sum((SELECT sum((h.counts ->> b)::bigint) FROM pg_catalog.jsonb_array_elements_text(p.part -> 'bad') AS b))::float8,
    sum((h.counts ->> 'projects')::bigint * (1 - (h.metrics ->> 'completion_rate')::float8))
FROM ops.job_history AS h
CROSS JOIN LATERAL (SELECT %(parts)s::jsonb -> h.job AS part) AS p
JOIN pg_catalog.unnest(%(windows)s::timestamptz[]) WITH ORDINALITY AS w (since, nth) ON h.started_at >= w.since
WHERE h.started_at >= %(since)s AND h.started_at <= %(until)s AND h.job = ANY (%(jobs)s)
  AND h.counts ? (p.part ->> 'all')
GROUP BY h.job, w.nth
"""

# From the end of one ingest that completed to the end of the next the data is as old as the first; what goes beyond the
# limit is stale. Before a branch's first one in the window nothing is known.
FRESHNESS = """
WITH ends AS (
    SELECT h.finished_at AS fresh_at,
        coalesce(lead(h.finished_at) OVER (PARTITION BY h.scope ORDER BY h.finished_at), %(until)s) AS until
    FROM ops.job_history AS h JOIN branch.branches AS b ON b.slug = h.scope AND b.active
    WHERE h.job = 'ingest-branch' AND h.status = 'completed' AND h.started_at >= %(since)s AND h.started_at <= %(until)s
)
SELECT w.nth, sum(greatest(0, extract(epoch FROM e.until - greatest(e.fresh_at, w.since))))::float8,
    sum(greatest(0, extract(epoch FROM e.until - greatest(e.fresh_at + %(limit)s::interval, w.since))))::float8
FROM ends AS e CROSS JOIN pg_catalog.unnest(%(windows)s::timestamptz[]) WITH ORDINALITY AS w (since, nth)
GROUP BY w.nth
"""


def levels(
    conn: psycopg.Connection,
    promised: SloSettings,
    schedules: Sequence[Schedule],
    plan: Sequence[JobSchedule],
    zone: str,
    now: datetime,
) -> list[Level]:
    """All of them, in the order of their kinds. A job's rhythm is that of its installed lines, else of the plan."""
    windows = [
        now - timedelta(seconds=each) for each in (promised.window_s, promised.burn_long_s, promised.burn_short_s)
    ]
    parameters: dict[str, Any] = {
        "since": windows[0],
        "long": windows[1],
        "short": windows[2],
        "until": now,
        "windows": windows,
        "bad": sorted(BAD),
        "asked_for": sorted(ASKED_FOR),
    }
    return [
        *_success(conn, promised, parameters),
        *_durations(conn, promised, rhythms(schedules, plan, zone, now), parameters),
        *_counted(conn, promised, parameters),
        _freshness(conn, promised, parameters),
    ]


def rhythms(schedules: Sequence[Schedule], plan: Sequence[JobSchedule], zone: str, now: datetime) -> dict[str, Rhythm]:
    """By job, and by `job/scope` where a line has a scope of its own."""
    found: dict[str, Rhythm] = {}
    lines = [(entry.job, "", entry.at.text, zone) for entry in plan]
    lines += [(line.job, line.scope, line.expression, line.zone) for line in schedules]
    for job, scope, expression, of_zone in lines:
        try:
            rhythm = slo.rhythm(parse(expression), ZoneInfo(of_zone), now)
        except (ExpressionError, OSError, ValueError):
            continue
        name = f"{job}/{scope}" if scope else job
        if rhythm is not None:
            found[name] = rhythm
        else:
            found.pop(name, None)
    return found


def _success(conn: psycopg.Connection, promised: SloSettings, parameters: Mapping[str, Any]) -> list[Level]:
    found = {job: _tallies(numbers) for job, *numbers in conn.execute(RUNS, parameters)}
    every = _sum(found.values())
    return [
        Level(Promise("success", subject, promised.success_share, "runs"), tallies)
        for subject, tallies in (("", every), *found.items())
    ]


def _durations(
    conn: psycopg.Connection, promised: SloSettings, rhythm_of: Mapping[str, Rhythm], parameters: Mapping[str, Any]
) -> list[Level]:
    usual = {"hourly": promised.hourly_s, "daily": promised.daily_s, "weekly": promised.weekly_s}
    limits_s = {name: usual[rhythm] for name, rhythm in rhythm_of.items()} | dict(promised.jobs)
    limits = Jsonb({name: round(limit * 1_000) for name, limit in limits_s.items()})
    rows = {job: numbers for job, *numbers in conn.execute(DURATIONS, {**parameters, "limits": limits})}
    jobs = sorted({name.partition("/")[0] for name, limit in limits_s.items() if limit > 0})
    return [
        Level(
            Promise("duration", job, promised.duration_share, "runs", limits_s.get(job)),
            _tallies(rows[job][:6]) if job in rows else NOBODY,
            rows[job][6] if job in rows else None,
        )
        for job in jobs
    ]


def _counted(conn: psycopg.Connection, promised: SloSettings, parameters: Mapping[str, Any]) -> list[Level]:
    parts = {job: {"all": every, "bad": list(bad)} for job, (every, bad, _) in PARTS.items()}
    rows: dict[tuple[str, int], tuple[Tally, Tally]] = {}
    for job, nth, total, bad, left in conn.execute(COUNTED, {**parameters, "parts": Jsonb(parts), "jobs": list(parts)}):
        rows[job, nth] = Tally(total or 0, bad or 0), Tally(total or 0, left or 0)
    none = (Tally(), Tally())
    of = {job: [rows.get((job, nth), none) for nth in (1, 2, 3)] for job in PARTS}
    return [
        Level(
            Promise("sync completion", "sync", promised.sync_share, "projects"), Tallies(*(e[1] for e in of["sync"]))
        ),
        *(
            Level(Promise("errors", job, 1 - promised.error_share, unit), Tallies(*(each[0] for each in of[job])))
            for job, (_, _, unit) in PARTS.items()
        ),
    ]


def _freshness(conn: psycopg.Connection, promised: SloSettings, parameters: Mapping[str, Any]) -> Level:
    limit = timedelta(seconds=promised.freshness_s)
    found = {nth: Tally(*numbers) for nth, *numbers in conn.execute(FRESHNESS, {**parameters, "limit": limit})}
    return Level(
        Promise("freshness", "", promised.freshness_share, "seconds", promised.freshness_s),
        Tallies(*(found.get(nth, Tally()) for nth in (1, 2, 3))),
    )


def _tallies(numbers: Sequence[int]) -> Tallies:
    whole, long, short = (Tally(*numbers[nth : nth + 2]) for nth in (0, 2, 4))
    return Tallies(whole, long, short)


def _sum(every: "Sequence[Tallies] | Any") -> Tallies:
    parts = [[getattr(each, window) for each in every] for window in Tallies._fields]
    return Tallies(*(Tally(sum(one.total for one in of), sum(one.bad for one in of)) for of in parts))
