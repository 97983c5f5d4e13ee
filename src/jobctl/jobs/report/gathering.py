"""Reads what a week's report says, through the stores of those who know it. Writes nothing, judges nothing anew."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

import psycopg

from jobctl.jobs.report.gathering_engineering import Engineering
from jobctl.jobs.report.gathering_operations import Operations
from jobctl.projects import store as projects
from jobctl.reports.model import Bug, Pull, Report, Some, Sync, some
from jobctl.reports.week import Week
from jobctl.settings import Settings

MOST_SHOWN = 20  # of a list that the letter's tables have in full
MOST_LISTED = 200  # in the tables of bugs and pull requests: a mail stays small, and beyond it nobody reads
REFUSED = ("forbidden", "gone")


class Gathered(NamedTuple):
    """The report, and of its lists what the tables have of them: the first ones."""

    report: Report
    bugs: Sequence[Bug]
    pulls: Sequence[Pull]


def gather(conn: psycopg.Connection, settings: Settings, week: Week, now: datetime) -> Gathered:
    """As of the week's end, or as of now while it lasts."""
    as_of = min(week.end, now)
    of_report = settings.report_settings
    engineering = Engineering(conn, settings, week, as_of)
    operations = Operations(conn, settings, week, as_of, is_recent=now - week.end < timedelta(weeks=1))
    bugs = engineering.critical_bugs()
    pulls = engineering.stuck_pulls(of_report.stuck_days, limit=MOST_LISTED)
    outcomes, fresh = projects.outcomes(conn), projects.freshness(conn)
    report = Report(
        week=week,
        as_of=as_of,
        made_at=now,
        success_goal=of_report.success_goal,
        stuck_days=of_report.stuck_days,
        figures=engineering.figures(),
        trend=engineering.trend(),
        paces=engineering.paces(),
        projects=engineering.projects(),
        bugs=some(bugs, MOST_SHOWN),
        unassigned=sum(not bug.owners for bug in bugs),
        pulls=Some(pulls.shown[:MOST_SHOWN], pulls.total),
        branches=operations.branches(),
        queue=operations.queue(),
        embeddings=operations.embeddings(),
        jobs=operations.jobs(),
        runs_kept_since=operations.runs_kept_since(),
        incidents=operations.incidents(),
        sync=Sync(
            projects=fresh.projects,
            never=fresh.projects - fresh.synced,
            failing=sum(outcomes.get(name, 0) for name in REFUSED),
            oldest_s=fresh.oldest_s,
        ),
    )
    return Gathered(report, bugs[:MOST_LISTED], pulls.shown)
