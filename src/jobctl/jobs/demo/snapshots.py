"""The year's metrics: worked out by `jobs/metrics` itself, as of each moment at which the demo's runs of it completed.

Of the last days each run; of the last quarter the last run of each day, and of the time before that of each Sunday. So
each trend has something to be held against; thousands of further hours would say the same and take minutes.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import psycopg

from jobctl.alerts.conditions.figures import of_figures
from jobctl.jobs.demo.incidents import Look
from jobctl.jobs.demo.plan import Plan
from jobctl.jobs.demo.runs import Ran
from jobctl.jobs.metrics import alerting
from jobctl.jobs.metrics.definitions import definitions_of
from jobctl.jobs.metrics.figures import Totals
from jobctl.jobs.metrics.job import facts_of, rulers_of, trends_of
from jobctl.jobs.metrics.judging import Judged, judge
from jobctl.service_levels import days, health, hours, pauses, reading
from jobctl.service_levels.bugs import Meaning
from jobctl.service_levels.velocity import week_starts
from jobctl.settings import Settings

HOURLY_FOR: Final = timedelta(days=2)
DAILY_FOR: Final = timedelta(days=91)
SUNDAY: Final = 6


def chosen(plan: Plan, settings: Settings, completed: Sequence[Ran]) -> list[tuple[Ran, bool]]:
    """The runs of `metrics` whose figures are kept, and whether each is the last of its day."""
    zone = ZoneInfo(settings.timezone)
    runs = [each for each in completed if each.job == "metrics"]
    last = {each.started_at.astimezone(zone).date(): each for each in runs}
    chosen: list[tuple[Ran, bool]] = []
    for each in runs:
        day = each.started_at.astimezone(zone).date()
        is_last_of_day = each is last[day]
        is_kept = is_last_of_day and (day.weekday() == SUNDAY or each.started_at >= plan.as_of - DAILY_FOR)
        if is_kept or each.started_at >= plan.as_of - HOURLY_FOR:
            chosen.append((each, is_last_of_day))
    return chosen


def hours_kept_from(plan: Plan, settings: Settings) -> datetime:
    return plan.as_of - timedelta(seconds=min(settings.metric_settings.keep_hours_s, 15 * 86_400))


class Keeper:
    """Keeps the figures of one run after the other."""

    def __init__(self, conn: psycopg.Connection, plan: Plan, settings: Settings) -> None:
        self._conn = conn
        self._settings = settings
        self._zone = ZoneInfo(settings.timezone)
        self._hours_from = hours_kept_from(plan, settings)
        self._definitions = definitions_of(settings)
        self._version = self._definitions.version
        self._rulers = rulers_of(self._definitions, plan.as_of)
        self._known = reading.projects(conn)
        self._meanings: dict[str, Meaning] = {}
        hours.keep_rules(conn, self._version, self._definitions.as_json())

    def keep(self, ran: Ran, *, is_last_of_day: bool) -> Look:
        """Gives what somebody had to hear of then."""
        conn, as_of = self._conn, ran.started_at
        rulers = self._rulers._replace(as_of=as_of, starts=week_starts(as_of, self._definitions.office.zone))
        hour = as_of.replace(minute=0, second=0, microsecond=0)
        page = judge(self._known, facts_of(conn, self._known, rulers, self._meanings), rulers)
        totals, watched = Totals(rulers.starts, all_projects=True), alerting.Watched()
        totals.take(page)
        watched.take(page)
        if as_of >= self._hours_from:
            hours.keep_projects(conn, hour, {each.project.project_id: each.at_risk for each in page.projects})
        if is_last_of_day:
            self._keep_day(ran, page.projects)
            if as_of >= self._hours_from:
                ids = [each.project_id for each in self._known]
                pauses.see(conn, ids, page.paused, now=as_of)
        listed = [each.project.project_id for each in totals.listed]
        told = totals.figures(as_of, self._definitions.rules.currency, *trends_of(conn, hour, listed))
        told |= {"rules_version": self._version, "health_version": health.VERSION}
        hours.keep(conn, hour, told, run_id=ran.run_id, version=self._version, now=as_of)
        figures = watched.figures(totals.at_risk, self._definitions.rules.currency, as_of)
        verdicts = of_figures(figures, self._settings.alert_settings.conditions, as_of)
        return Look(as_of, verdicts, alerting.LOOKED_AT)

    def _keep_day(self, ran: Ran, judged: Sequence[Judged]) -> None:
        found = [
            days.Day(each.project.project_id, each.facts, each.health.score, each.health.band.value) for each in judged
        ]
        days.keep(
            self._conn,
            ran.started_at.astimezone(self._zone).date(),
            found,
            version=self._version,
            health_version=health.VERSION,
            now=ran.started_at,
            may_replace=True,
        )
