"""Say what is wrong in engineering right now: revenue at risk, goals breached, pace, health.

Cron asks hourly: what do the open bugs cost a day and how has that changed, which goals are at risk or breached, how
fast do things get done, and how healthy is each project? Read: dev.projects, dev.issues and what hangs on them,
dev.impacts. Written: dev.project_hours, dev.project_days, dev.issue_pauses, and last dev.metric_hours with the rules'
version, and the alerts of what it found.

Running it twice is safe: an hour and a day have one row each, which the later run of them brings up to date. A run that
ends halfway leaves an hour without its row in dev.metric_hours, which no trend looks at.

Of a past moment (`as_of`) it works out what the rows of today tell of it, fills in what was never kept and changes
nothing that was. Of some projects alone it tells all and keeps theirs, but no total.
"""

from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final
from zoneinfo import ZoneInfo

import psycopg

from jobctl.alerts.conditions.figures import of_figures
from jobctl.db.sqlstate import translated
from jobctl.jobs.metrics import alerting
from jobctl.jobs.metrics.definitions import definitions_of, kinds_of
from jobctl.jobs.metrics.figures import Totals
from jobctl.jobs.metrics.judging import COMPLETED_WITHIN, Facts, Page, Rulers, judge
from jobctl.jobs.metrics.tallies import THROUGHPUT_WEEKS
from jobctl.runtime.outcome import Outcome
from jobctl.runtime.run import Run
from jobctl.service_levels import bugs, days, health, hours, pauses, reading
from jobctl.service_levels.bugs import SEVERITIES, Meaning
from jobctl.service_levels.facts import Known, Window
from jobctl.service_levels.goals import Definitions
from jobctl.service_levels.velocity import week_starts
from jobctl.settings import Settings

PAGE: Final = 500  # projects
MOST_NOTES: Final = 5
KEPT: Final = ("project_hours", "project_days", "pauses", "pruned")


@dataclass(frozen=True, slots=True)
class Options:
    """Without `project_ids`, all that are followed. `as_of` is a moment that is over; without it, now."""

    settings: Settings
    project_ids: Sequence[int] | None = None
    as_of: datetime | None = None


def metrics(run: Run, options: Options) -> Outcome:
    """Page by page: gather, judge, keep; then all together."""
    with translated(), run.connect("metrics") as conn:
        return _Metrics(run, options, conn).outcome()


class _Metrics:
    """One run, with what it has found so far."""

    def __init__(self, run: Run, options: Options, conn: psycopg.Connection) -> None:
        self._run = run
        self._conn = conn
        self._settings = options.settings
        self._project_ids = options.project_ids
        self._is_past = options.as_of is not None
        self._as_of = options.as_of or run.now
        self._hour = self._as_of.replace(minute=0, second=0, microsecond=0)
        self._day = self._as_of.astimezone(ZoneInfo(options.settings.timezone)).date()
        self._definitions = definitions_of(options.settings)
        self._version = self._definitions.version
        self._rulers = rulers_of(self._definitions, self._as_of)
        self._totals = Totals(self._rulers.starts, all_projects=options.project_ids is None)
        self._watched = alerting.Watched()
        self._meanings: dict[str, Meaning] = {}
        self._kept = dict.fromkeys(KEPT, 0)

    def outcome(self) -> Outcome:
        known = reading.projects(self._conn, self._project_ids)
        keeps_hour = not (self._is_past and hours.is_kept(self._conn, self._hour))
        done = 0
        with closing(self._read(list(_pages(known)))) as pages:
            for page, found in pages:
                self._run.stop.check()
                judged = judge(page, found, self._rulers)
                self._totals.take(judged)
                self._watched.take(judged)
                with self._run.effect(self._conn, wait_for_disk=False):
                    self._keep(judged, keeps_hour=keeps_hour)
                done += len(page)
                self._run.progress(done, len(known))
        told = self._figures()
        with self._run.effect(self._conn):
            if self._project_ids is None and keeps_hour:
                self._keep_total(told)
            if not self._is_past:
                self._prune()
                self._tell()
        risk = self._totals.at_risk
        return Outcome(
            counts={**self._totals.counts(), **self._kept},
            metrics={"revenue_per_day": float(risk.total)},
            notes=self._notes(),
            evidence=told,
        )

    def _read(self, pages: Sequence[Sequence[Known]]) -> Generator[tuple[Sequence[Known], Facts], None, None]:
        """Page by page; the next one is read, by a connection of its own, while this one is judged and kept."""
        if len(pages) <= 1:
            yield from ((page, facts_of(self._conn, page, self._rulers, self._meanings)) for page in pages)
            return
        with self._run.connect("metrics ahead") as conn, ThreadPoolExecutor(1, thread_name_prefix="read") as pool:
            following = pool.submit(facts_of, conn, pages[0], self._rulers, self._meanings)
            for nth, page in enumerate(pages, 1):
                found = following.result()
                if nth < len(pages):
                    following = pool.submit(facts_of, conn, pages[nth], self._rulers, self._meanings)
                yield page, found

    def _keep(self, page: Page, *, keeps_hour: bool) -> None:
        ids = [each.project.project_id for each in page.projects]
        hours.keep_rules(self._conn, self._version, self._definitions.as_json())
        if keeps_hour:
            at_risk = {each.project.project_id: each.at_risk for each in page.projects}
            self._kept["project_hours"] += hours.keep_projects(self._conn, self._hour, at_risk)
        self._kept["project_days"] += days.keep(
            self._conn,
            self._day,
            [
                days.Day(each.project.project_id, each.facts, each.health.score, each.health.band.value)
                for each in page.projects
            ],
            version=self._version,
            health_version=health.VERSION,
            now=self._run.now,
            may_replace=not self._is_past,
        )
        if not self._is_past:
            self._kept["pauses"] += pauses.see(self._conn, ids, page.paused, now=self._as_of)

    def _figures(self) -> dict[str, object]:
        """With the trend of all, where it is of all, and of each project that is listed."""
        listed = [each.project.project_id for each in self._totals.listed]
        of_all, of_projects = trends_of(self._conn, self._hour, listed, all_projects=self._project_ids is None)
        told = self._totals.figures(self._as_of, self._definitions.rules.currency, of_all, of_projects)
        return {**told, "rules_version": self._version, "health_version": health.VERSION}

    def _keep_total(self, told: dict[str, object]) -> None:
        hours.keep_rules(self._conn, self._version, self._definitions.as_json())
        hours.keep(self._conn, self._hour, told, run_id=self._run.run_id, version=self._version, now=self._run.now)

    def _prune(self) -> None:
        keep = self._settings.metric_settings
        all_before = self._as_of - timedelta(seconds=keep.keep_days_s)
        self._kept["pruned"] = hours.prune(
            self._conn, projects_before=self._as_of - timedelta(seconds=keep.keep_hours_s), all_before=all_before
        ) + days.prune(self._conn, before=all_before.date())

    def _tell(self) -> None:
        """Of all projects, so what is not found any more is over. Of some alone nothing is told: the next hour does."""
        alerts = self._settings.alert_settings
        if self._project_ids is None and alerts.enabled:
            figures = self._watched.figures(self._totals.at_risk, self._definitions.rules.currency, self._as_of)
            verdicts = of_figures(figures, alerts.conditions, self._as_of)
            self._run.tell(self._conn, verdicts, looked_at=alerting.LOOKED_AT)

    def _notes(self) -> list[str]:
        if not self._totals.projects:
            return ["no project is followed: jobctl project add OWNER/REPO"]
        passed_over = sorted({each.passed_over for each in self._meanings.values() if each.passed_over})
        more = len(passed_over) - MOST_NOTES
        return passed_over[:MOST_NOTES] + ([f"and {more} more labels whose amount cannot be read"] if more > 0 else [])


def trends_of(
    conn: psycopg.Connection, hour: datetime, listed: Sequence[int], *, all_projects: bool = True
) -> tuple[dict[str, Sequence[Decimal] | None], dict[str, dict[int, Sequence[Decimal]]]]:
    """What was kept an hour, a day and a week before: of all, or of those listed together, and of each of them."""
    of_all: dict[str, Sequence[Decimal] | None] = {}
    of_projects: dict[str, dict[int, Sequence[Decimal]]] = {}
    for span in hours.SPANS:
        kept = hours.before(conn, hour, span)
        then = {} if kept is None else hours.of_projects(conn, kept.hour, listed)
        of_projects[span.name] = then
        if kept is None:
            of_all[span.name] = None
        elif all_projects:
            of_all[span.name] = kept.by_severity
        else:
            of_all[span.name] = [sum((of[at] for of in then.values()), Decimal(0)) for at in range(len(SEVERITIES))]
    return of_all, of_projects


def _pages(known: Sequence[Known]) -> Iterator[Sequence[Known]]:
    for start in range(0, len(known), PAGE):
        yield known[start : start + PAGE]


def rulers_of(definitions: Definitions, as_of: datetime) -> Rulers:
    return Rulers(as_of, definitions.rules, kinds_of(definitions), week_starts(as_of, definitions.office.zone))


def facts_of(conn: psycopg.Connection, page: Sequence[Known], rulers: Rulers, meanings: dict[str, Meaning]) -> Facts:
    """`meanings` has those of the labels met so far, and takes in the new ones."""
    ids = [each.project_id for each in page]
    starts = rulers.starts
    window = Window(rulers.as_of, min(starts[0], rulers.as_of - COMPLETED_WITHIN))
    here: dict[str, Meaning] = {}
    for name in reading.label_names(conn, ids):
        if name not in meanings:
            meanings[name] = bugs.meaning(rulers.rules, name)
        if meanings[name] != bugs.NO_MEANING:
            here[name] = meanings[name]
    return Facts(
        reading.bugs(conn, ids, window, here, rulers.rules.impact_field) if here else [],
        reading.flow(conn, ids, window),
        reading.merged(conn, ids, window, (starts[-1 - THROUGHPUT_WEEKS], starts[-1])),
        reading.people(conn, ids, window),
        pauses.of_projects(conn, ids, rulers.as_of, [name for name, said in here.items() if said.pauses]),
    )
