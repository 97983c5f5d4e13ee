"""What of a week's report the runs, the queue, the branches and the incidents tell."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

import psycopg

from jobctl.alerts import store as incidents
from jobctl.alerts.conditions.run_fact import ASKED_FOR
from jobctl.archives import store as archives
from jobctl.branches import standing
from jobctl.embeddings import status
from jobctl.queue import backlog, past_tries
from jobctl.reports import model, words
from jobctl.reports.week import Week
from jobctl.runtime import past_runs
from jobctl.schedule import slots
from jobctl.settings import Settings

INGEST: Final = "ingest-branch"
MOST_INCIDENTS: Final = 50


class Operations:
    """`is_recent`: the week is the last one or lasts still, so that what is known only of now says something of it."""

    def __init__(
        self, conn: psycopg.Connection, settings: Settings, week: Week, as_of: datetime, *, is_recent: bool
    ) -> None:
        self._conn = conn
        self._settings = settings
        self._week = week
        self._as_of = as_of
        self._is_recent = is_recent
        self._since, self._until = week.start, min(week.end, as_of)

    def branches(self) -> tuple[model.Branch, ...]:
        """Those that are activated, and others of which a run has read."""
        counted = past_runs.counted(self._conn, INGEST, self._since, self._until)
        return tuple(
            _branch(each, counted.get(each.slug), self._as_of)
            for each in standing.at(self._conn, self._as_of)
            if each.active or each.slug in counted
        )

    def queue(self) -> model.Queue:
        ended = past_tries.ended(self._conn, self._since, self._until)
        if not self._is_recent:
            return model.Queue(ended.tries, ended.succeeded, ended.failed, None, None, None)
        due = backlog.by_type(self._conn)
        return model.Queue(
            tries=ended.tries,
            succeeded=ended.succeeded,
            failed=ended.failed,
            due=sum(each.due for each in due),
            oldest_due_s=max((each.oldest_s for each in due), default=None),
            failed_tasks=past_tries.failed_tasks(self._conn),
        )

    def embeddings(self) -> model.Embeddings | None:
        if not self._is_recent:
            return None
        version = self._settings.embed_model_version
        found = status.standing(self._conn, model_version=version, hour_ago=self._as_of - timedelta(hours=1))
        current = [each for each in found if each.is_current]
        names = ("items", "embedded", "pending", "failed", "stale", "missing")
        return model.Embeddings(**{name: sum(getattr(each, name) for each in current) for name in names})

    def jobs(self) -> tuple[model.Job, ...]:
        """Those that ran, and those that should have."""
        asked_for = sorted(ASKED_FOR)
        ran = {each.job: each for each in past_runs.of_jobs(self._conn, self._since, self._until, asked_for)}
        zone = self._settings.timezone
        by_day: dict[tuple[str, object], tuple[int, int]] = {
            (each.job, each.day): (each.good, each.bad)
            for each in past_runs.of_days(self._conn, self._since, self._until, zone, asked_for)
        }
        missed = slots.missed_between(self._conn, self._since, self._until)
        return tuple(self._job(name, ran.get(name), missed, by_day) for name in sorted({*ran, *missed}))

    def _job(
        self,
        name: str,
        found: past_runs.JobRuns | None,
        missed: Mapping[str, int],
        by_day: Mapping[tuple[str, object], tuple[int, int]],
    ) -> model.Job:
        nothing = (0, 0)
        return model.Job(
            name=words.one_line(name, 60),
            good=found.good if found is not None else 0,
            bad=found.bad if found is not None else 0,
            skipped=found.skipped if found is not None else 0,
            degraded=found.degraded if found is not None else 0,
            median_ms=found.median_ms if found is not None else None,
            slowest_ms=found.slowest_ms if found is not None else None,
            slowest_run=None if found is None or found.slowest_run is None else str(found.slowest_run),
            missed=missed.get(name, 0),
            days=tuple(model.DayRuns(day, *by_day.get((name, day), nothing)) for day in self._week.days),
        )

    def runs_kept_since(self) -> datetime | None:
        """Since when all of them are: the oldest there is, or the newest that went to the archive."""
        oldest, gone = past_runs.kept_since(self._conn), archives.gone_until(self._conn, "ops.job_history")
        return oldest if oldest is None or gone is None else max(oldest, gone)

    def incidents(self) -> model.Some[model.Incident]:
        rows = incidents.open_between(self._conn, self._since, self._until)
        told = [
            model.Incident(
                incident_id=each.incident_id,
                severity=each.severity,
                title=words.one_line(each.title, 120),
                opened_at=each.opened_at,
                resolved_at=each.resolved_at
                if each.resolved_at is not None and each.resolved_at <= self._as_of
                else None,
                lasted_s=_inside(each.opened_at, each.resolved_at, self._since, self._until),
            )
            for each in rows
        ]
        return model.some(told, MOST_INCIDENTS)


def _branch(found: standing.Standing, counted: past_runs.Counted | None, as_of: datetime) -> model.Branch:
    expected = found.expected_freshness
    return model.Branch(
        slug=found.slug,
        runs=counted.runs if counted is not None else 0,
        read=counted.read if counted is not None else None,
        changed=counted.changed if counted is not None else None,
        rejected=counted.rejected if counted is not None else None,
        rejects_open=found.rejects_open,
        loaded_at=found.loaded_at,
        age_s=None if found.loaded_at is None else (as_of - found.loaded_at).total_seconds(),
        expected_s=None if expected is None else expected.total_seconds(),
    )


def _inside(opened_at: datetime, resolved_at: datetime | None, since: datetime, until: datetime) -> float:
    """Seconds of it between both moments."""
    ended_at = until if resolved_at is None else min(resolved_at, until)
    return max((ended_at - max(opened_at, since)).total_seconds(), 0.0)
