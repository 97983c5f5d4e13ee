"""Reads what a week's report says, through the stores of those who know it. Writes nothing, judges nothing anew."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

import psycopg

from jobctl.jobs.report.gathering_engineering import Engineering
from jobctl.jobs.report.gathering_operations import Operations
from jobctl.jobs.report.reading import Reading
from jobctl.projects import store as projects
from jobctl.reports.model import Bug, Pull, Queue, Report, Some, Sync, some
from jobctl.reports.week import Week
from jobctl.settings import Settings

MOST_SHOWN = 20  # of a list that the letter's tables have in full
MOST_LISTED = 200  # in the tables of bugs and pull requests: a mail stays small, and beyond it nobody reads
REFUSED = ("forbidden", "gone")
NO_QUEUE = Queue(0, 0, 0, None, None, None)
NO_SYNC = Sync(0, 0, 0, None)


class Gathered(NamedTuple):
    """The report, and of its lists what the tables have of them: the first ones."""

    report: Report
    bugs: Sequence[Bug]
    pulls: Sequence[Pull]


def gather(conn: psycopg.Connection, settings: Settings, week: Week, now: datetime, reading: Reading) -> Gathered:
    """As of the week's end, or as of now while it lasts. What could not be read is empty and named in `unread`; raises
    the database's error where nothing could."""
    as_of = min(week.end, now)
    of_report = settings.report_settings
    engineering = Engineering(conn, settings, week, as_of)
    operations = Operations(conn, settings, week, as_of, is_recent=now - week.end < timedelta(weeks=1))
    part = reading.part
    bugs = part("bugs", engineering.critical_bugs, [])
    pulls = part("pulls", lambda: engineering.stuck_pulls(of_report.stuck_days, limit=MOST_LISTED), Some((), 0))
    jobs, kept_since = part("jobs", lambda: (operations.jobs(), operations.runs_kept_since()), ((), None))
    report = Report(
        week=week,
        as_of=as_of,
        made_at=now,
        success_goal=of_report.success_goal,
        stuck_days=of_report.stuck_days,
        figures=part("figures", engineering.figures, None),
        trend=part("trend", engineering.trend, ()),
        paces=part("paces", engineering.paces, ()),
        projects=part("projects", engineering.projects, ()),
        bugs=some(bugs, MOST_SHOWN),
        unassigned=sum(not bug.owners for bug in bugs),
        pulls=Some(pulls.shown[:MOST_SHOWN], pulls.total),
        branches=part("branches", operations.branches, ()),
        queue=part("queue", operations.queue, NO_QUEUE),
        embeddings=part("embeddings", operations.embeddings, None),
        jobs=jobs,
        runs_kept_since=kept_since,
        incidents=part("incidents", operations.incidents, Some((), 0)),
        sync=part("sync", lambda: _sync(conn), NO_SYNC),
        unread=reading.unread,
    )
    reading.require_any()
    return Gathered(report, bugs[:MOST_LISTED], pulls.shown)


def _sync(conn: psycopg.Connection) -> Sync:
    outcomes, fresh = projects.outcomes(conn), projects.freshness(conn)
    return Sync(
        projects=fresh.projects,
        never=fresh.projects - fresh.synced,
        failing=sum(outcomes.get(name, 0) for name in REFUSED),
        oldest_s=fresh.oldest_s,
    )
