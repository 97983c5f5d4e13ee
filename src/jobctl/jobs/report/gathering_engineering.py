"""What of a week's report `jobctl metrics` has kept, and the few issues that are named beside its figures."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from functools import cached_property
from typing import Any, Final

import psycopg

from jobctl.jobs.metrics.definitions import definitions_of
from jobctl.reports import model, words
from jobctl.reports.week import Week
from jobctl.service_levels import bugs as judgement
from jobctl.service_levels import days, health, hours, named, reading
from jobctl.service_levels.bugs import Meaning, Rules
from jobctl.service_levels.facts import Bug, Window
from jobctl.settings import Settings

WEEKS: Final = 12
SLACK: Final = timedelta(days=1)  # what was kept so much earlier still tells of a moment
PAGE: Final = 500  # projects
CRITICAL: Final = judgement.SEVERITIES.index("critical")
MOST_REASONS: Final = 2
_INSTANT: Final = timedelta(microseconds=1)


class Engineering:
    def __init__(self, conn: psycopg.Connection, settings: Settings, week: Week, as_of: datetime) -> None:
        self._conn = conn
        self._rules: Rules = definitions_of(settings).rules
        self._week = week
        self._as_of = as_of

    @cached_property
    def _kept(self) -> Mapping[str, Any] | None:
        return self._kept_at(self._as_of)

    def _kept_before(self) -> Mapping[str, Any] | None:
        is_over = self._as_of >= self._week.end
        return self._kept_at(self._week.before(1).end if is_over else self._as_of - timedelta(weeks=1))

    def _kept_at(self, moment: datetime) -> Mapping[str, Any] | None:
        """The figures of the last hour before it."""
        found = hours.before(self._conn, moment - _INSTANT, hours.Span("then", timedelta(0), SLACK))
        return None if found is None else {**found.figures, "hour": found.hour}

    def figures(self) -> model.Figures | None:
        now, then = self._kept, self._kept_before()
        if now is None:
            return None
        of_then: Mapping[str, Any] | None = None if then is None else then["revenue_at_risk"]
        risk = now["revenue_at_risk"]
        return model.Figures(
            hour=now["hour"],
            currency=now["currency"],
            projects=now["projects"],
            risk=_risk(risk, of_then),
            by_severity=tuple(
                (name, _risk(risk["by_severity"][name], None if of_then is None else of_then["by_severity"][name]))
                for name in model.SEVERITIES
            ),
            goals=_goals(now["service_levels"]),
            goals_before=None if then is None else _goals(then["service_levels"]),
            unassigned_critical=now["unassigned_critical"],
            pace=_pace(now["velocity"]["all"]),
            pace_before=None if then is None else _pace(then["velocity"]["all"]),
        )

    def trend(self) -> tuple[model.DayRisk, ...]:
        """Each day's last figures, up to the last day of the week."""
        ends = {self._end_of(day): day for back in range(WEEKS - 1, -1, -1) for day in self._week.before(back).days}
        moments = [moment for moment in ends if moment - SLACK < self._as_of]
        if not moments:
            return ()
        found = hours.points(self._conn, [min(moment, self._as_of) for moment in moments], SLACK)
        return tuple(model.DayRisk(ends[moment], point.per_day) for moment, point in zip(moments, found, strict=True))

    def _end_of(self, day: date) -> datetime:
        """The first moment of the next day."""
        after = day + timedelta(days=1)
        return datetime(after.year, after.month, after.day, tzinfo=self._week.zone).astimezone(self._week.end.tzinfo)

    def paces(self) -> tuple[model.WeekPace, ...]:
        """As each week's end had them."""
        weeks = [self._week.before(back) for back in range(WEEKS - 1, -1, -1)]
        found = hours.points(self._conn, [min(each.end, self._as_of) for each in weeks], SLACK)
        return tuple(
            model.WeekPace(each.name, point.resolved_4, point.merged) for each, point in zip(weeks, found, strict=True)
        )

    def projects(self) -> tuple[model.Project, ...]:
        day = min(self._week.sunday, self._as_of.astimezone(self._week.zone).date())
        return tuple(_project(each) for each in days.of_week(self._conn, day))

    def critical_bugs(self) -> list[model.Bug]:
        """Those that are open, the costliest first, and of the same cost the oldest."""
        known = reading.projects(self._conn)
        names = {each.project_id: each.full_name for each in known}
        found: list[tuple[Bug, float]] = []
        for start in range(0, len(known), PAGE):
            found += self._critical_of([each.project_id for each in known[start : start + PAGE]])
        found.sort(key=lambda pair: (-pair[1], pair[0].created_at, pair[0].node_id))
        titles = named.names(self._conn, [bug.node_id for bug, _ in found])
        breached = {each["issue"] for each in (self._kept or {}).get("breaches", ())}
        told: list[model.Bug] = []
        for bug, per_day in found:
            title = titles.get(bug.node_id)
            project = names[bug.project_id]
            told.append(
                model.Bug(
                    project=project,
                    number=bug.number,
                    title=words.one_line(title.title if title is not None else ""),
                    opened_at=bug.created_at,
                    owners=tuple(words.one_line(name, 40) for name in (title.assignees if title is not None else ())),
                    per_day=per_day,
                    is_breached=f"{project}#{bug.number}" in breached,
                )
            )
        return told

    def _critical_of(self, ids: Sequence[int]) -> list[tuple[Bug, float]]:
        rules = self._rules
        meanings: dict[str, Meaning] = {}
        for name in reading.label_names(self._conn, ids):
            meaning = judgement.meaning(rules, name)
            if meaning != judgement.NO_MEANING:
                meanings[name] = meaning
        if not meanings:
            return []
        found: list[tuple[Bug, float]] = []
        for bug in reading.bugs(self._conn, ids, Window(self._as_of, self._as_of), meanings, rules.impact_field):
            verdict = judgement.judge(rules, bug.severity, bug.label_impact, bug.form_text, bug.imported)
            if bug.closed_at is None and verdict.severity == CRITICAL:
                found.append((bug, float(verdict.impact)))
        return found

    def stuck_pulls(self, stuck_days: int, *, limit: int) -> model.Some[model.Pull]:
        rows = named.stuck_pulls(self._conn, self._as_of - timedelta(days=stuck_days), limit=limit)
        pulls = tuple(
            model.Pull(
                project=each.project,
                number=each.number,
                title=words.one_line(each.title),
                author=None if each.author is None else words.one_line(each.author, 40),
                opened_at=each.opened_at,
                touched_at=each.touched_at,
                waits_for="merge or changes" if each.is_reviewed else "a first review",
            )
            for each in rows
        )
        return model.Some(pulls, rows[0].total if rows else 0)


def _risk(now: Mapping[str, Any], then: Mapping[str, Any] | None) -> model.Risk:
    return model.Risk(now["per_day"], now["bugs"], None if then is None else then["per_day"])


def _goals(levels: Mapping[str, Any]) -> tuple[model.Goal, ...]:
    return tuple(
        model.Goal(name, **{state: sum(of[state] for of in levels[name].values()) for state in STATES})
        for name in GOALS
    )


GOALS: Final = ("first_response", "resolution")
STATES: Final = ("met", "missed", "breached", "at_risk", "on_track")


def _pace(of: Mapping[str, float | None]) -> model.Pace:
    return model.Pace(
        of["resolved_median_4"], of["resolved_median_12"], of["merged_per_week"], of["cycle_h"], of["cycle_p90_h"]
    )


def _project(row: days.OfWeek) -> model.Project:
    facts = row.facts or {}
    bugs = facts.get("open_bugs")
    return model.Project(
        name=row.full_name,
        team=None if row.team is None else words.one_line(row.team, 40),
        owner=None if row.owner is None else words.one_line(row.owner, 40),
        criticality=row.criticality,
        score=row.health,
        band=row.band or "unknown",
        score_before=row.health_before,
        band_before=row.band_before,
        per_day=facts.get("per_day"),
        bugs=None if bugs is None else int(bugs),
        reasons=_reasons(row) if row.band == "critical" else (),
    )


def _reasons(row: days.OfWeek) -> tuple[str, ...]:
    """The inputs that lost it most points; of facts that another version judged, none."""
    if row.facts is None or row.health_version != health.VERSION:
        return ()
    lost = [part for part in health.judge(row.facts).parts if part.lost]
    lost.sort(key=lambda part: -(part.lost or 0.0))
    return tuple(_reason(part) for part in lost[:MOST_REASONS])


def _reason(part: health.Part) -> str:
    """Without its window, which `jobctl metrics health` tells."""
    value = part.value or 0.0
    said = (
        f"{value:.0%}".replace("%", " %") if part.input.name.endswith("_share") else f"{value:,.1f}".removesuffix(".0")
    )
    return f"{part.input.about.partition(',')[0]}: {said}"
