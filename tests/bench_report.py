"""A week as the report tells it: made by hand for what is shown, and rows of a year in bulk for what is read."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

import psycopg
from psycopg.types.json import Jsonb

from jobctl.reports.links import Links
from jobctl.reports.model import (
    Branch,
    Bug,
    DayRisk,
    DayRuns,
    Embeddings,
    Figures,
    Goal,
    Incident,
    Job,
    Pace,
    Project,
    Pull,
    Queue,
    Report,
    Risk,
    Sync,
    WeekPace,
    some,
)
from jobctl.reports.week import Week, week_of

ZONE: Final = ZoneInfo("Europe/Berlin")
WEEK: Final = week_of(date(2026, 11, 18), ZONE)  # 2026-W47
NOW: Final = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)  # Monday 09:00
LINKS: Final = Links("https://github.com", None, WEEK)
PAGES: Final = Links("https://github.com", "https://ops.example.org/jobctl/{about}", WEEK)
DAY: Final = timedelta(days=1)


def a_report(word: str = "", **changes: Any) -> Report:
    """With something in each part; `word` is added to whatever somebody else may write."""
    report = Report(
        week=WEEK,
        as_of=WEEK.end,
        made_at=NOW,
        success_goal=0.995,
        stuck_days=14,
        figures=figures(),
        trend=tuple(DayRisk(WEEK.sunday - DAY * back, a_day(back)) for back in range(83, -1, -1)),
        paces=tuple(WeekPace(WEEK.before(back).name, 12.0 + back % 4, 30.0 - back) for back in range(11, -1, -1)),
        projects=projects(word),
        bugs=some([bug(nth, word) for nth in range(12)], 20),
        unassigned=4,
        pulls=some([pull(nth, word) for nth in range(14)], 20),
        branches=(
            Branch(f"airports{word}", 168, 1_204_511, 9_210, 41, 12, WEEK.end - timedelta(hours=1), 3_600.0, 7_200.0),
            Branch(f"towns{word}", 160, 204_511, 210, 0, 0, WEEK.end - timedelta(days=3), 259_200.0, 86_400.0),
            Branch(f"never{word}", 0, None, None, None, 0, None, None, 86_400.0),
        ),
        queue=Queue(48_211, 48_109, 102, 17, 340.0, 3),
        embeddings=Embeddings(1_400_000, 1_398_000, 1_700, 200, 100, 0),
        jobs=jobs(word),
        runs_kept_since=WEEK.start - 300 * DAY,
        incidents=some([incident(nth, word) for nth in range(3)], 50),
        sync=Sync(240, 2, 1, 86_400.0),
    )
    return replace(report, **changes)


def a_day(back: int) -> float | None:
    """Of the last 84 days; of two of them nothing was kept."""
    return None if back in (40, 41) else 12_750.0 - 45 * back + (back % 7) * 400 - (back % 17) * 150


def figures(**changes: Any) -> Figures:
    return replace(
        Figures(
            hour=WEEK.end - timedelta(hours=1),
            currency="USD",
            projects=240,
            risk=Risk(12_750.0, 83, 10_800.0),
            by_severity=(
                ("critical", Risk(10_000.0, 4, 7_500.0)),
                ("high", Risk(2_000.0, 9, 2_500.0)),
                ("medium", Risk(750.0, 45, 800.0)),
                ("low", Risk(0.0, 25, 0.0)),
            ),
            goals=(Goal("first_response", 210, 9, 3, 4, 21), Goal("resolution", 180, 12, 5, 6, 40)),
            goals_before=(Goal("first_response", 200, 9, 1, 4, 21), Goal("resolution", 170, 12, 2, 6, 40)),
            unassigned_critical=4,
            pace=Pace(14.0, 12.5, 31.0, 41.5, 180.25),
            pace_before=Pace(13.0, 12.5, 29.0, 44.0, 190.0),
        ),
        **changes,
    )


def projects(word: str = "") -> tuple[Project, ...]:
    bands = ("critical", "warning", "healthy", "healthy", "warning", "healthy", "unknown")
    scores = {"critical": 41.5, "warning": 62.0, "healthy": 88.0, "unknown": None}
    told: list[Project] = []
    for nth in range(40):
        band, before = bands[nth % 7], bands[(nth + nth // 7) % 7]
        why = ("open pull requests not touched for 14 days: 62 %", "median hours to the first response: 130")
        told.append(
            Project(
                name=f"octo/project-{nth}{word}",
                team=f"team {nth % 3}{word}",
                owner=f"ann{word}",
                criticality=("critical", "high", "medium", "low")[nth % 4],
                score=scores[band],
                band=band,
                score_before=scores[before],
                band_before=before,
                per_day=100.0 * nth if band != "unknown" else None,
                bugs=nth if band != "unknown" else None,
                reasons=why if band == "critical" else (),
            )
        )
    return tuple(told)


def project_of(name: str, band: str, before: str | None) -> Project:
    return Project(name, None, None, "medium", 40.0, band, None, before, 0.0, 0)


def bug(nth: int, word: str = "") -> Bug:
    return Bug(
        project=f"octo/project-{nth}{word}",
        number=100 + nth,
        title=f"Checkout answers 500 where the cart has more than {nth + 40} lines{word}",
        opened_at=WEEK.end - timedelta(days=nth + 1, hours=3),
        owners=() if nth % 3 == 0 else (f"ann{word}", f"bob{word}"),
        per_day=2_500.0,
        is_breached=nth % 2 == 0,
    )


def pull(nth: int, word: str = "") -> Pull:
    return Pull(
        project=f"octo/project-{nth}{word}",
        number=500 + nth,
        title=f"Retry the feed when its server closes early{word}",
        author=f"carol{word}",
        opened_at=WEEK.end - timedelta(days=60 + nth),
        touched_at=WEEK.end - timedelta(days=45 - nth),
        waits_for="a first review" if nth % 2 else "merge or changes",
    )


def jobs(word: str = "") -> tuple[Job, ...]:
    return (
        job("ingest-branch", 24, word),
        job("metrics", 24, word, bad=1),
        job("sync", 1, word, missed=1),
        job("work", 288, word, bad=2),
        job("retry-failed", 24, word),
        job(f"run backup{word}", 1, bad=1),
    )


def job(name: str, a_day: int, word: str = "", *, bad: int = 0, missed: int = 0) -> Job:
    """`bad` on the Wednesday."""
    days = tuple(
        DayRuns(day, a_day - (bad if nth == 2 else 0), bad if nth == 2 else 0) for nth, day in enumerate(WEEK.days)
    )
    return Job(
        name=f"{name}{word}",
        good=7 * a_day - bad,
        bad=bad,
        skipped=a_day % 3,
        degraded=0,
        median_ms=2_140.0,
        slowest_ms=61_233.0,
        slowest_run="0f9b6c1e-0000-4000-8000-000000000001",
        missed=missed,
        days=days,
    )


def incident(nth: int, word: str = "") -> Incident:
    opened = WEEK.start + timedelta(days=nth, hours=5)
    return Incident(
        incident_id=nth + 1,
        severity="critical" if nth == 0 else "warning",
        title=f"ingest-branch airports failed: SourceError{word}",
        opened_at=opened,
        resolved_at=None if nth == 0 else opened + timedelta(hours=2),
        lasted_s=(WEEK.end - opened).total_seconds() if nth == 0 else 7_200.0,
    )


# Rows ----------------------------------------------------------------------------------------------------------------


def kept_figures(per_day: float = 12_750.0, bugs: int = 83, **changes: Any) -> dict[str, Any]:
    """A row of dev.metric_hours as `jobctl metrics` writes it."""

    def told(money: float, number: int) -> dict[str, Any]:
        return {"bugs": number, "per_day": money, "trend": {}}

    severities = {"low": (0.0, bugs), "medium": (0.0, 0), "high": (0.0, 0), "critical": (per_day, 0)}
    states = {"on_track": 5, "at_risk": 1, "breached": 2, "met": 30, "missed": 3}
    pace = {
        "resolved_median_4": 14.0,
        "resolved_median_12": 12.5,
        "merged_per_week": 31.0,
        "cycle_h": 41.5,
        "cycle_p90_h": 180.0,
    }
    return {
        "currency": "USD",
        "projects": 2,
        "revenue_at_risk": told(per_day, bugs) | {"by_severity": {name: told(*of) for name, of in severities.items()}},
        "unassigned_critical": 1,
        "service_levels": {
            goal: {severity: dict(states) for severity in severities} for goal in ("first_response", "resolution")
        },
        "breaches": [],
        "velocity": {"all": pace, "teams": {}},
        **changes,
    }


RULES = "INSERT INTO dev.metric_rules (version, rules) VALUES ('v', '{}') ON CONFLICT DO NOTHING"
HOUR = """
INSERT INTO dev.metric_hours (hour, computed_at, run_id, rules_version, figures)
VALUES (%(hour)s, %(hour)s, gen_random_uuid(), 'v', %(figures)s)
"""


def keep_hour(conn: psycopg.Connection, hour: datetime, **changes: Any) -> None:
    conn.execute(RULES)
    conn.execute(HOUR, {"hour": hour, "figures": Jsonb(kept_figures(**changes))})


RUN = """
INSERT INTO ops.job_history (run_id, job, scope, correlation_id, status, degraded, exit_code, host, os_user,
    supervisor_pid, version, command, started_at, finished_at, duration_ms, counts)
VALUES (gen_random_uuid(), %(job)s, %(scope)s, 'c', %(status)s, %(degraded)s, %(exit_code)s, 'h', 'u', 1, '1', 'jobctl',
    %(at)s, %(at)s::timestamptz + %(took)s * interval '1 ms', %(took)s, %(counts)s)
"""


def keep_run(
    conn: psycopg.Connection,
    job: str,
    at: datetime,
    *,
    status: str = "completed",
    scope: str = "",
    exit_code: int = 0,
    took: int = 1_000,
    degraded: bool = False,
    counts: dict[str, int] | None = None,
) -> None:
    values = {"job": job, "scope": scope, "status": status, "degraded": degraded, "exit_code": exit_code, "at": at}
    conn.execute(RUN, values | {"took": took, "counts": Jsonb(counts or {})})


def is_week(week: Week) -> bool:
    return week.end - week.start in (7 * DAY, 7 * DAY + timedelta(hours=1), 7 * DAY - timedelta(hours=1))
