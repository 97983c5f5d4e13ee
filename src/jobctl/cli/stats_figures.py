"""The figures of `jobctl stats`, gathered, and as one object."""

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from datetime import datetime

    import psycopg

    from jobctl.monitor.runs.faults import Slow
    from jobctl.monitor.runs.health import Health
    from jobctl.monitor.runs.statistics import Figures, Statistics
    from jobctl.settings import Settings


class Found(NamedTuple):
    by: str
    statistics: "Statistics"
    items: "tuple[Figures, ...]"
    slow: "list[Slow]"
    running: int
    recent_failures: int
    health: "Health"


def gather(settings: "Settings", since: "datetime", until: "datetime", *, by: str, job: str | None) -> Found:
    import socket
    from datetime import timedelta

    from jobctl.cli.session import reading
    from jobctl.monitor.runs import faults, glance, statistics

    conditions = settings.alert_settings.conditions
    limit = conditions["slow-run"]
    with reading(settings, "stats") as conn:
        counted = statistics.statistics(conn, since=since, until=until, zone=settings.timezone, job=job)
        slow = faults.slow(conn, since=since, until=until, job=job, default_s=limit.of("over_s"), limits_s=limit.jobs)
        health, unfinished = glance.health_now(conn, conditions, host=socket.gethostname(), now=until)
        failures = faults.failures_since(conn, until - timedelta(days=1))
        items = _items(conn, counted, by)
    running = sum(run.state == "running" for run in unfinished)
    return Found(by, counted, items, slow, running, failures, health)


def _items(conn: "psycopg.Connection", counted: "Statistics", by: str) -> "tuple[Figures, ...]":
    if by == "type":
        from jobctl.monitor.runs import tries

        return tuple(tries.by_type(conn, since=counted.since, until=counted.until))
    return counted.days if by == "day" else counted.jobs


def as_json(found: Found) -> dict[str, Any]:
    """`summary` and `statistics` have the names by which other tools know them."""
    return {
        "since": found.statistics.since,
        "until": found.statistics.until,
        "by": found.by,
        "summary": {
            "runningJobs": found.running,
            "recentFailures": found.recent_failures,
            "slowJobs": len(found.slow),
            "healthStatus": found.health.status,
        },
        "statistics": {
            each.name: {
                "total": each.total,
                "completed": each.completed,
                "failed": each.failed,
                "successRate": each.success_rate,
                "avgExecutionTimeMs": each.avg_ms,
            }
            for each in found.statistics.jobs
        },
        "total": _figures(found.statistics.total),
        "items": [_figures(each) for each in found.items],
        "slow": [each._asdict() for each in found.slow],
        "next": None,
    }


def _figures(each: "Figures") -> dict[str, Any]:
    return {**each._asdict(), "success_rate": each.success_rate}
