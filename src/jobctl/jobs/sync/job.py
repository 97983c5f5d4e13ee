"""Keep the projects true to GitHub.

Cron asks daily: what has changed on GitHub in each of the repositories that are followed? Read: GitHub's API,
dev.projects, dev.sync_cursors, dev.etags. Written: all other tables of dev, in transactions that each hold what one
page said, its ETag and the cursor.

Running it twice is safe: what did not change is not written, and mostly not even sent (304). So is ending it anywhere:
the next run goes on at the page where this one ended. One run at a time works on the whole database.

What the day of a changed project looks like, its health among it, is worked out at the end (jobs/metrics), and who must
hear that the quota is low is told.

Projects are done several at once, those first that were brought to their end longest ago; one with a schedule of its
own is left out until it is due, unless it is named. One project's failure is its
outcome and leaves the others alone. What ends the run: credentials that are not accepted, GitHub answering nobody, and
what ends any run. A limit, the budget and the time end it for now: what is left is the next run's.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from datetime import datetime
from zoneinfo import ZoneInfo

import psycopg

from jobctl import clock
from jobctl.alerts.conditions.figures import Figure, of_figures
from jobctl.db.sqlstate import explain
from jobctl.errors import JobctlError, UsageError
from jobctl.github.budget import Budget
from jobctl.github.client import Client
from jobctl.github.connect import is_anonymous, open_client
from jobctl.github.etag_store import StoredEtags
from jobctl.github.failures import Outcome as Became
from jobctl.jobs.metrics import job as metrics
from jobctl.jobs.sync import cleaning, tokenless
from jobctl.jobs.sync.choosing import Chosen, choose
from jobctl.jobs.sync.doing import COMPLETE, Doing, Done
from jobctl.jobs.sync.session import Choice, OutOfTime
from jobctl.jobs.sync.telling import told
from jobctl.jobs.sync.watching import Nobody, Watch
from jobctl.projects import store
from jobctl.projects.project import Project
from jobctl.runtime.outcome import Outcome
from jobctl.runtime.run import Run
from jobctl.settings import Settings

SILENT_IN_A_ROW = 3  # projects for each thread, that GitHub gave no answer for: it is down


@dataclass(frozen=True, slots=True)
class Options:
    """Without `names`, all active projects that are due. No request is sent after `until`, by clock.monotonic."""

    settings: Settings
    until: float
    names: Sequence[str] = ()
    since: datetime | None = None
    full: bool = False
    budget: int | None = None
    watch: Watch = field(default_factory=Nobody)


def sync(run: Run, options: Options) -> Outcome:
    """Sync the projects, clean up, and tell what became of each."""
    return _Sync(run, options).outcome()


class _Sync:
    """One run, with what became of its projects so far."""

    def __init__(self, run: Run, options: Options) -> None:
        self._run = run
        self._options = options
        self._done: list[Done] = []
        self._error: JobctlError | None = None
        self._silent = self._demos = 0

    def outcome(self) -> Outcome:
        run, settings, etags = self._run, self._options.settings, StoredEtags()
        projects, not_due = self._projects()
        choice = Choice(
            settings.sync_settings,
            self._options.full,
            self._options.since,
            has_token=not is_anonymous(settings),
            watch=self._options.watch,
        )
        asked = open_client(
            settings,
            until=self._options.until,
            sleep=run.stop.event.wait,
            check=self._check,
            etags=etags,
            budget=Budget(self._options.budget),
        )
        with asked as client:
            self._sync_all(Doing(run, client, etags, choice), projects)
            left = 0 if choice.has_token else self._details_without_token(client, choice, projects)
        cleaned: dict[str, int] = {}
        days = 0
        with run.connect("sync") as conn:
            if self._error is None:
                archived = settings.archive_settings.takes
                cleaned = cleaning.clean(run, conn, settings.sync_settings, etags.used, archived=archived)
                days = self._days()
            if self._error is None:
                self._tell_quota(conn, client)
            freshness = store.freshness(conn, without=[each.project_id for each in not_due])
        counted = {
            **cleaned,
            "project_days": days,
            "not_due": 0 if self._options.names else len(not_due),
            "details_left": left,
        }
        outcome = told(self._done, len(projects), client.account, freshness, counted, self._error, choice)
        if self._demos:
            note = f"{self._demos} sample projects were left out: GitHub knows nothing of them (jobctl demo remove)"
            return outcome._replace(notes=[*outcome.notes, note])
        return outcome

    def _details_without_token(self, client: Client, choice: Choice, projects: Sequence[Project]) -> int:
        """By REST, when all projects are done; gives how many pull requests wait for the next run."""
        if self._error is not None or self._run.dry_run:
            return 0
        try:
            return tokenless.fetch(self._run, client, choice, projects, self._done)
        except JobctlError as error:
            self._error = self._run.stop.reason or error
        except psycopg.Error as error:
            self._error = self._run.stop.reason or explain(error)
        return 0

    def _days(self) -> int:
        """Keep the day's facts of what has changed."""
        changed = [
            each.project_id
            for each in self._done
            if each.outcome in COMPLETE and (each.outcome is not Became.UNCHANGED or each.counts["details_updated"])
        ]
        if not changed:
            return 0
        try:
            found = metrics.metrics(self._run, metrics.Options(self._options.settings, changed))
        except JobctlError as error:
            self._error = self._run.stop.reason or error
            return 0
        return found.counts["project_days"]

    def _tell_quota(self, conn: psycopg.Connection, client: Client) -> None:
        alerts = self._options.settings.alert_settings
        figures = [
            Figure(
                "quota-low",
                f"GitHub {account} {resource}".replace("  ", " "),
                quota.remaining / quota.limit,
                f"{quota.remaining:,} of {quota.limit:,} {resource} requests an hour are left of GitHub's quota",
            )
            for (account, resource), quota in sorted(client.quotas.items())
        ]
        if figures and alerts.enabled:
            with self._run.effect(conn):
                self._run.tell(conn, of_figures(figures, alerts.conditions, self._run.now))

    def _projects(self) -> Chosen:
        """Those of this run, and the active ones that need none yet."""
        with self._run.connect("sync") as conn:
            active = store.to_sync(conn)
            named = {one.project_id: one for one in (store.require(conn, name) for name in self._options.names)}
            if not named:
                self._demos = store.count_demos(conn)
        samples = [one.full_name for one in named.values() if one.is_demo]
        if samples:
            raise UsageError(
                f"{', '.join(samples)}: a sample project, of which GitHub knows nothing",
                hint="jobctl demo remove takes all of them away",
            )
        chosen = choose(active, self._run.now, ZoneInfo(self._options.settings.timezone))
        return chosen._replace(due=list(named.values())) if named else chosen

    def _check(self) -> None:
        """Raises when nothing more is to be asked."""
        self._run.stop.check()
        if self._error is not None:
            raise self._error
        if clock.monotonic() > self._options.until:
            raise OutOfTime("the run's time is up", hint="the next run goes on from here")

    def _sync_all(self, doing: Doing, projects: Sequence[Project]) -> None:
        self._options.watch.all(len(projects))
        at_once = min(self._options.settings.sync_settings.projects_at_once, max(1, len(projects)))
        with ThreadPoolExecutor(at_once, thread_name_prefix="sync") as pool:
            futures = [pool.submit(self._unless_ended(doing.sync), project) for project in projects]
            for future in as_completed(futures):
                self._take(future, at_once)

    def _unless_ended(self, sync_one: Callable[[Project], Done]) -> Callable[[Project], Done | None]:
        def begun(project: Project) -> Done | None:
            try:
                self._check()
            except JobctlError:
                return None
            return sync_one(project)

        return begun

    def _take(self, future: "Future[Done | None]", at_once: int) -> None:
        """Note what became of a project, and whether that ends the run."""
        try:
            done = future.result()
        except JobctlError as error:
            self._error = self._error or self._run.stop.reason or error
            return
        except psycopg.Error as error:
            self._error = self._error or self._run.stop.reason or explain(error)
            return
        self._error = self._error or self._run.stop.reason
        if done is None:
            return
        self._done.append(done)
        self._silent = self._silent + 1 if done.is_silent else 0
        self._options.watch.end(done.was, done.outcome)
        done.tell(self._run)
        if self._silent >= SILENT_IN_A_ROW * at_once and done.error is not None and self._error is None:
            self._error = done.error
