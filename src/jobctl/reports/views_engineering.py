"""The sections on engineering: revenue at risk, service levels, bugs, pull requests, velocity, health. Pure."""

from collections.abc import Iterable, Mapping
from typing import Final

from jobctl.reports.links import Links
from jobctl.reports.model import BANDS, Bug, Figures, Goal, Pace, Project, Report
from jobctl.reports.unread import section
from jobctl.reports.view import Cell, Fact, Picture, Section, Table
from jobctl.reports.words import NOT_KNOWN, change, count, money, more, number, percent, signed, span

MOST_ROWS: Final = 10
NOTHING_KEPT: Final = "No figures were kept in the last day of this week; jobctl metrics keeps them hourly."
BAND_TONE: Final = {"critical": "bad", "warning": "warn", "healthy": "good", "unknown": ""}

Pictures = Mapping[str, Picture]


def engineering(report: Report, links: Links, pictures: Pictures) -> tuple[Section, ...]:
    return (
        section(report, _revenue(report, links, pictures), "figures", "trend"),
        section(report, _service_levels(report, links), "figures"),
        section(report, _bugs(report, links), "bugs"),
        section(report, _pulls(report, links), "pulls"),
        section(report, _velocity(report, links, pictures), "figures", "paces"),
        section(report, _health(report, links, pictures), "projects"),
    )


def _revenue(report: Report, links: Links, pictures: Pictures) -> Section:
    source = links.about("revenue")
    if report.figures is None:
        return Section("Revenue at risk", source.url, source.command, notes=(NOTHING_KEPT,))
    figures = report.figures
    risk = figures.risk
    facts = [
        Fact("Open bugs cost a day", Cell(money(risk.per_day, figures.currency), source.url)),
        Fact("A week before", Cell(_before(risk.before, risk.share, figures.currency), source.url)),
        Fact("Open bugs", Cell(f"{risk.bugs:,}", source.url)),
    ]
    rows = tuple(
        (
            Cell(name),
            Cell(f"{of.bugs:,}", source.url),
            Cell(money(of.per_day, figures.currency), source.url),
            Cell(NOT_KNOWN if of.change is None else signed(of.change), None, _rise(of.change)),
        )
        for name, of in figures.by_severity
        if of.bugs or of.before
    )
    table = Table(("severity", "bugs", "a day", "on last week"), rows, frozenset({1, 2, 3}))
    is_drawn = "revenue" in pictures or "trend" in report.unread
    notes = () if is_drawn else ("Too few days were kept to draw a trend.",)
    return Section(
        "Revenue at risk",
        source.url,
        source.command,
        tuple(facts),
        (table,) if rows else (),
        pictures.get("revenue"),
        notes,
    )


def _before(before: float | None, share: float | None, currency: str) -> str:
    if before is None:
        return f"{NOT_KNOWN}: nothing was kept then"
    return money(before, currency) + (f" ({change(share)})" if share is not None else "")


def _rise(by: float | None) -> str:
    return "" if not by else "bad" if by > 0 else "good"


def _service_levels(report: Report, links: Links) -> Section:
    source = links.about("service-levels")
    title = "Service levels"
    if report.figures is None:
        return Section(title, source.url, source.command, notes=(NOTHING_KEPT,))
    before = {goal.name: goal for goal in report.figures.goals_before or ()}
    rows = tuple(
        (
            Cell(goal.name.replace("_", " ")),
            Cell(percent(goal.met_share, 0), source.url),
            Cell(_then(before.get(goal.name))),
            Cell(f"{goal.met:,}", source.url),
            Cell(f"{goal.missed:,}", source.url),
            Cell(f"{goal.breached:,}", source.url, "bad" if goal.breached else ""),
            Cell(f"{goal.at_risk:,}", source.url, "warn" if goal.at_risk else ""),
        )
        for goal in report.figures.goals
    )
    columns = ("goal", "share met", "last week", "met", "missed", "breached", "at risk")
    note = "Met and missed in 30 days; breached and at risk are open now. The share counts what can no longer be met."
    return Section(
        title,
        source.url,
        source.command,
        tables=(Table(columns, rows, frozenset(range(1, 7)), note, frozenset({2, 3})),),
    )


def _then(goal: Goal | None) -> str:
    return NOT_KNOWN if goal is None else percent(goal.met_share, 0)


def _bugs(report: Report, links: Links) -> Section:
    source = links.about("bugs")
    currency = report.figures.currency if report.figures is not None else ""
    rows = tuple(
        (
            Cell(f"{bug.project}#{bug.number}", links.issue(bug.project, bug.number)),
            Cell(bug.title),
            Cell(_age(report, bug), None, "bad" if bug.is_breached else ""),
            Cell(", ".join(bug.owners), None) if bug.owners else Cell("nobody", None, "bad"),
            Cell(money(bug.per_day, currency).strip()),
        )
        for bug in report.bugs.shown[:MOST_ROWS]
    )
    if not rows:
        return Section("Critical bugs", source.url, source.command, notes=("No critical bug is open.",))
    facts = (
        Fact("Open", Cell(f"{report.bugs.total:,}", source.url)),
        Fact("Nobody's", Cell(f"{report.unassigned:,}", source.url, "bad" if report.unassigned else "")),
    )
    columns = ("bug", "what", "age", "owner", "a day")
    late = "* beyond its goal" if any(bug.is_breached for bug in report.bugs.shown[:MOST_ROWS]) else ""
    note = "; ".join(filter(None, (late, more(report.bugs.total - len(rows), "critical-bugs.csv"))))
    return Section(
        "Critical bugs",
        source.url,
        source.command,
        facts,
        (Table(columns, rows, frozenset({2, 4}), note, frozenset({4})),),
    )


def _age(report: Report, bug: Bug) -> str:
    return span((report.as_of - bug.opened_at).total_seconds()) + ("*" if bug.is_breached else "")


def _pulls(report: Report, links: Links) -> Section:
    source = links.about("pulls")
    title = "Pull requests stuck"
    rows = tuple(
        (
            Cell(f"{pull.project}#{pull.number}", links.pull(pull.project, pull.number)),
            Cell(pull.title),
            Cell(span((report.as_of - pull.touched_at).total_seconds())),
            Cell(pull.author or NOT_KNOWN),
            Cell(pull.waits_for),
        )
        for pull in report.pulls.shown[:MOST_ROWS]
    )
    if not rows:
        note = f"No open pull request has been untouched for {report.stuck_days} days."
        return Section(title, source.url, source.command, notes=(note,))
    facts = (Fact(f"Untouched for {report.stuck_days} days or more", Cell(f"{report.pulls.total:,}", source.url)),)
    note = more(report.pulls.total - len(rows), "stuck-pulls.csv")
    table = Table(("pull request", "what", "untouched", "by", "waits for"), rows, frozenset({2}), note, frozenset({3}))
    return Section(title, source.url, source.command, facts, (table,))


def _velocity(report: Report, links: Links, pictures: Pictures) -> Section:
    source = links.about("velocity")
    if report.figures is None:
        return Section("Velocity", source.url, source.command, notes=(NOTHING_KEPT,))
    now, then = report.figures.pace, report.figures.pace_before
    rows = tuple(
        (Cell(name), Cell(_pace(now, field, unit), source.url), Cell(_pace(then, field, unit)))
        for name, field, unit in (
            ("bugs resolved a week, median of 4 weeks", "resolved_4", ""),
            ("bugs resolved a week, median of 12 weeks", "resolved_12", ""),
            ("pull requests merged a week, 4 weeks", "merged", ""),
            ("pull request cycle time, median of 90 days", "cycle_h", "h"),
            ("pull request cycle time, p90 of 90 days", "cycle_p90_h", "h"),
        )
    )
    table = Table(("", "now", "last week"), rows, frozenset({1, 2}))
    return Section("Velocity", source.url, source.command, tables=(table,), picture=pictures.get("velocity"))


def _pace(pace: Pace | None, field: str, unit: str) -> str:
    return NOT_KNOWN if pace is None else number(getattr(pace, field), unit)


def _health(report: Report, links: Links, pictures: Pictures) -> Section:
    source = links.about("health")
    if not report.projects:
        return Section("Health of projects", source.url, source.command, notes=("No project is followed.",))
    before = report.bands_before
    facts = [
        Fact(
            band,
            Cell(_band(report.bands[band], before, band), source.url, BAND_TONE[band] if report.bands[band] else ""),
        )
        for band in BANDS
    ]
    critical = sorted((each for each in report.projects if each.band == "critical"), key=_by_weight)
    moved = sorted((each for each in report.projects if each.moved and each.band != "critical"), key=_by_move)
    tables: list[Table] = []
    if critical:
        rows = _projects(critical[:MOST_ROWS], report.figures, links)
        note = more(len(critical) - len(rows), "projects.csv")
        tables.append(
            Table(
                ("critical", "health", "last week", "at risk a day", "why"),
                rows,
                frozenset({1, 2, 3}),
                note,
                frozenset({2, 3}),
            )
        )
    if moved:
        rows = tuple(
            (
                Cell(each.name, links.project(each.name)),
                Cell(_score(each.score), None, BAND_TONE[each.band]),
                Cell(_score(each.score_before)),
                Cell(f"{each.band_before} → {each.band}", None, "good" if each.moved > 0 else "bad"),
            )
            for each in moved[:MOST_ROWS]
        )
        note = more(len(moved) - len(rows), "projects.csv")
        tables.append(Table(("moved", "health", "last week", "band"), rows, frozenset({1, 2}), note))
    notes = [] if before is not None else ["Nothing was kept a week before, so nothing can have moved."]
    if not critical and report.bands["unknown"] < len(report.projects):
        notes.append("No project is critical.")
    return Section(
        "Health of projects",
        source.url,
        source.command,
        tuple(facts),
        tuple(tables),
        pictures.get("health"),
        tuple(notes),
    )


def _band(projects: int, before: dict[str, int] | None, band: str) -> str:
    return count(projects, "project") + (f", {before[band]:,} last week" if before is not None else "")


def _projects(projects: Iterable[Project], figures: Figures | None, links: Links) -> tuple[tuple[Cell, ...], ...]:
    currency = figures.currency if figures is not None else ""
    return tuple(
        (
            Cell(each.name, links.project(each.name)),
            Cell(_score(each.score), None, "bad"),
            Cell(_score(each.score_before)),
            Cell(NOT_KNOWN if each.per_day is None else money(each.per_day, currency).strip()),
            Cell("; ".join(each.reasons)),
        )
        for each in projects
    )


def _score(score: float | None) -> str:
    return NOT_KNOWN if score is None else f"{score:.0f}"


def _by_weight(each: Project) -> tuple[int, float, str]:
    """What matters most first, and of that what is worst."""
    order = ("critical", "high", "medium", "low")
    at = order.index(each.criticality) if each.criticality in order else len(order)
    return at, each.score or 0.0, each.name


def _by_move(each: Project) -> tuple[int, float, str]:
    """Those that sank first."""
    return each.moved, each.score or 0.0, each.name
