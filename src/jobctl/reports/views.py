"""From what a week's report says to the shape in which it is shown. Pure; the words of a section stand beside it."""

from jobctl.reports.charts import Chart
from jobctl.reports.decisions import Decision, decisions, headline, subject
from jobctl.reports.links import Links
from jobctl.reports.model import Report
from jobctl.reports.unread import tile
from jobctl.reports.view import Cell, Picture, Tile, View
from jobctl.reports.views_engineering import engineering
from jobctl.reports.views_operations import operations
from jobctl.reports.words import NOT_KNOWN, change, count, days, moment, money, number, percent

IMAGE_DOMAIN = "report.jobctl.invalid"


def content_id(name: str) -> str:
    return f"{name}@{IMAGE_DOMAIN}"


def view_of(report: Report, links: Links, charts: dict[str, Chart]) -> View:
    """`charts` are those that were drawn, by their names."""
    pictures = {name: Picture(content_id(name), chart.alt, chart.trend) for name, chart in charts.items()}
    asked = decisions(report)
    zone = report.week.zone
    so_far = "" if report.is_over else ", so far"
    pressing = sum(each.is_pressing for each in asked)
    waiting = f"{count(len(asked), 'decision')} to take" + (f", {pressing} pressing" if pressing else "")
    return View(
        subject=subject(report),
        title=f"Week {report.week.number}",
        subtitle=f"{days(report.week.monday, report.week.sunday)}{so_far}",
        preheader=f"{headline(report)[:1].upper()}{headline(report)[1:]}. {waiting if asked else 'Nothing to decide'}.",
        tiles=_tiles(report, links),
        decisions=tuple(_decision(each, links) for each in asked),
        sections=(*engineering(report, links, pictures), *operations(report, links, pictures)),
        footer=(
            f"Figures as of {moment(report.as_of, zone)}; written {moment(report.made_at, zone)}.",
            f"Again: jobctl report --week {report.week.name} --preview",
        ),
    )


def _decision(each: Decision, links: Links) -> Cell:
    if each.number and each.about == "pulls":
        url = links.pull(each.project, each.number)
    elif each.number:
        url = links.issue(each.project, each.number)
    elif each.project:
        url = links.project(each.project)
    else:
        url = links.about(each.about).url if each.about else None
    return Cell(each.said, url, "bad" if each.is_pressing else "")


def _tiles(report: Report, links: Links) -> tuple[Tile, ...]:
    return (
        tile(report, _risk(report, links), "figures"),
        tile(report, _goals(report, links), "figures"),
        tile(report, _pace(report, links), "figures"),
        tile(report, _health(report, links), "projects"),
        tile(report, _jobs(report, links), "jobs"),
        tile(report, _records(report, links), "branches"),
    )


def _risk(report: Report, links: Links) -> Tile:
    url = links.about("revenue").url
    if report.figures is None:
        return Tile("Revenue at risk a day", Cell(NOT_KNOWN, url), Cell("nothing was kept"))
    risk = report.figures.risk
    value = Cell(money(risk.per_day, report.figures.currency), url)
    if risk.before is None:
        return Tile("Revenue at risk a day", value, Cell("last week not known"))
    if risk.share is None:
        detail = Cell("none last week" if risk.per_day else "as last week", None, "bad" if risk.per_day else "")
    else:
        tone = "bad" if risk.share > 0.005 else "good" if risk.share < -0.005 else ""
        detail = Cell(f"{change(risk.share)} on last week", None, tone)
    return Tile("Revenue at risk a day", value, detail)


def _goals(report: Report, links: Links) -> Tile:
    url = links.about("service-levels").url
    figures = report.figures
    judged = [] if figures is None else [goal for goal in figures.goals if goal.met_share is not None]
    if not judged:
        return Tile("Service levels met", Cell(NOT_KNOWN, url), Cell("no cycle was completed or breached"))
    met = sum(goal.met for goal in judged)
    lost = sum(goal.missed + goal.breached for goal in judged)
    breached = sum(goal.breached for goal in judged)
    detail = Cell(
        f"{breached:,} breached now" if breached else "none breached now", None, "bad" if breached else "good"
    )
    return Tile("Service levels met", Cell(percent(met / (met + lost), 0), url), detail)


def _pace(report: Report, links: Links) -> Tile:
    url = links.about("velocity").url
    label = "Bugs resolved a week"
    if report.figures is None or report.figures.pace.resolved_4 is None:
        return Tile(label, Cell(NOT_KNOWN, url), Cell("no whole week is known"))
    pace = report.figures.pace
    detail = f"median of 4; {number(pace.resolved_12)} of 12"
    return Tile(label, Cell(number(pace.resolved_4), url), Cell(detail))


def _health(report: Report, links: Links) -> Tile:
    url = links.about("health").url
    if not report.projects:
        return Tile("Projects", Cell("none", url), Cell("jobctl project add"))
    bands = report.bands
    if bands["unknown"] == len(report.projects):
        return Tile("Projects in health", Cell(NOT_KNOWN, url), Cell(count(len(report.projects), "project")))
    up, down = len(report.moved_up), len(report.moved_down)
    moved = Cell(f"{up} up, {down} down", None, "bad" if down > up else "good" if up > down else "")
    detail = Cell("last week not known") if report.bands_before is None else moved
    critical = bands["critical"]
    return Tile("Projects critical", Cell(f"{critical:,} of {len(report.projects):,}", url), detail)


def _jobs(report: Report, links: Links) -> Tile:
    url = links.about("jobs").url
    good, bad = report.runs
    if report.success is None:
        return Tile("Job runs succeeded", Cell(NOT_KNOWN, url), Cell("no run ended"))
    is_met = report.success >= report.success_goal
    detail = f"{bad:,} of {good + bad:,} failed" if bad else f"all of {good:,}"
    missed = f", {report.missed:,} missed" if report.missed else ""
    value = Cell(percent(report.success), url, "" if is_met else "bad")
    return Tile("Job runs succeeded", value, Cell(detail + missed, None, "" if is_met else "bad"))


def _records(report: Report, links: Links) -> Tile:
    url = links.about("ingest").url
    read = [each.read for each in report.branches if each.read is not None]
    if not read:
        detail = "no run read any" if report.branches else "there is no branch"
        return Tile("Records read", Cell(NOT_KNOWN, url), Cell(detail))
    rejected = sum(each.rejected or 0 for each in report.branches)
    share = rejected / sum(read) if sum(read) else 0.0
    detail = f"{rejected:,} rejected ({percent(share)})" if rejected else "none rejected"
    return Tile("Records read", Cell(f"{sum(read):,}", url), Cell(detail, None, "warn" if rejected else ""))
