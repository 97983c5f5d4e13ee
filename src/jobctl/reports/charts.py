"""The report's charts as Vega-Lite specifications, each with the words that say the same numbers. Pure.

None where there is nothing to draw: the section says so. They are drawn at twice the size at which a mail shows them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from jobctl.reports import palette
from jobctl.reports.model import BANDS, Job, Report
from jobctl.reports.words import count, day, money, number, one_line, percent, weekday

WIDTH: Final = 520  # of the whole picture, in the mail's own pixels
MOST_JOBS: Final = 12
_MANY_BAD: Final = 0.05

Spec = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Chart:
    name: str
    spec: Spec
    alt: str
    trend: tuple[float | None, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "alt", one_line(self.alt, 2_000))


def all_charts(report: Report) -> dict[str, Chart]:
    """By name, those that there are data for."""
    makers: Sequence[Callable[[Report], Chart | None]] = (revenue, velocity, health, runs)
    return {chart.name: chart for make in makers if (chart := make(report)) is not None}


def revenue(report: Report) -> Chart | None:
    """What open bugs cost a day, over the last weeks. Days of which nothing was kept are gaps."""
    known = [each for each in report.trend if each.per_day is not None]
    if report.figures is None or len(known) < 2:
        return None
    currency = report.figures.currency
    first, last = known[0], known[-1]
    values = [{"day": each.day.isoformat(), "amount": each.per_day, "is_last": each is last} for each in report.trend]
    most = max(known, key=lambda each: each.per_day or 0)
    x = {
        "field": "day",
        "type": "temporal",
        "scale": {"type": "utc"},  # or days would depend on the zone of the machine that draws
        "title": None,
        "axis": _axis(format="%-d %b", tickCount=6, grid=False),
    }
    y = {"field": "amount", "type": "quantitative", "title": f"{currency} a day", "axis": _axis(tickCount=4)}
    area = {"type": "area", "line": {"color": palette.MONEY, "strokeWidth": 2}, "color": palette.MONEY}
    point = {"type": "point", "filled": True, "size": 60, "color": palette.MONEY, "opacity": 1}
    spec = _chart(
        150,
        {"values": values},
        layer=[
            {"mark": {**area, "fillOpacity": 0.12}, "encoding": {"x": x, "y": y}},
            {"mark": point, "transform": [{"filter": "datum.is_last"}], "encoding": {"x": x, "y": y}},
        ],
    )
    alt = (
        f"Revenue at risk a day: {money(last.per_day or 0, currency)} on {day(last.day)}, "
        f"{money(first.per_day or 0, currency)} on {day(first.day)}; "
        f"the most was {money(most.per_day or 0, currency)} on {day(most.day)}."
    )
    by_week = tuple(each.per_day for each in report.trend[::-1][::7][::-1])
    return Chart("revenue", spec, alt, by_week)


def velocity(report: Report) -> Chart | None:
    """Bugs resolved and pull requests merged a week, as each week's end had them."""
    known = [each for each in report.paces if each.resolved is not None or each.merged is not None]
    if len(known) < 2:
        return None
    names = {"resolved": "bugs resolved", "merged": "pull requests merged"}
    values = [
        {"week": each.week[5:], "a week": getattr(each, name), "what": said}
        for each in report.paces
        for name, said in names.items()
    ]
    encoding = {
        "x": {"field": "week", "type": "ordinal", "title": None, "sort": None, "axis": _axis(labelAngle=0, grid=False)},
        "y": {"field": "a week", "type": "quantitative", "title": "a week", "axis": _axis(tickCount=4)},
        "color": {
            "field": "what",
            "type": "nominal",
            "title": None,
            "scale": {"domain": list(names.values()), "range": [palette.BUGS, palette.PULLS]},
            "legend": {"orient": "top", "symbolType": "stroke", "labelFontSize": 12},
        },
        "strokeDash": {
            "field": "what",
            "type": "nominal",
            "scale": {"domain": list(names.values()), "range": [[1, 0], [6, 3]]},
            "legend": None,
        },
    }
    mark = {"type": "line", "strokeWidth": 2, "point": {"filled": True, "size": 30}}
    spec = _chart(140, {"values": values}, mark=mark, encoding=encoding)
    last, first = known[-1], known[0]
    alt = (
        f"A week, in {last.week}: {number(last.resolved)} bugs resolved, {number(last.merged)} pull requests merged; "
        f"in {first.week}: {number(first.resolved)} and {number(first.merged)}."
    )
    return Chart("velocity", spec, alt, tuple(each.resolved for each in report.paces))


def health(report: Report) -> Chart | None:
    """How many projects are in each band, now and a week before."""
    rows = [("this week", report.bands)]
    if report.bands_before is not None:
        rows.append(("last week", report.bands_before))
    if not sum(report.bands[band] for band in BANDS if band != "unknown"):
        return None
    values = [
        {"when": when, "band": band, "projects": bands[band], "order": nth}
        for when, bands in rows
        for nth, band in enumerate(BANDS)
        if bands[band]
    ]
    y = {"field": "when", "type": "nominal", "title": None, "sort": None, "axis": _axis(grid=False)}
    x = {"field": "projects", "type": "quantitative", "title": "projects", "stack": "zero", "axis": _axis(tickCount=5)}
    order = {"field": "order", "type": "quantitative"}
    colours = {"domain": list(BANDS), "range": [palette.BANDS[band][0] for band in BANDS]}
    inks = {"domain": list(BANDS), "range": [palette.BANDS[band][1] for band in BANDS]}
    color = {"field": "band", "type": "nominal", "title": None, "scale": colours, "legend": {"orient": "top"}}
    ink = {"field": "band", "type": "nominal", "scale": inks, "legend": None}
    widest = max(sum(bands.values()) for _, bands in rows)
    text_encoding = {"y": y, "x": {**x, "bandPosition": 0.5}, "order": order, "text": {"field": "projects"}}
    spec = _chart(
        44 * len(rows),
        {"values": values},
        layer=[
            {
                "mark": {"type": "bar", "height": {"band": 0.7}},
                "encoding": {"y": y, "x": x, "order": order, "color": color},
            },
            {
                "mark": {"type": "text", "fontSize": 12, "fontWeight": "bold"},
                "transform": [{"filter": f"datum.projects >= {widest / 25}"}],
                "encoding": {**text_encoding, "color": ink},
            },
        ],
        resolve={"scale": {"color": "independent"}},
    )
    alt = "; ".join(
        f"Health of projects {when}: " + ", ".join(f"{bands[band]:,} {band}" for band in BANDS) for when, bands in rows
    )
    return Chart("health", spec, f"{alt}.")


def runs(report: Report) -> Chart | None:
    """Each job's runs on each day of the week: how many, and how many of them failed."""
    jobs = _told(report.jobs)
    if not jobs:
        return None
    values = [
        {"job": job.name, "day": weekday(each.day), **_heat(each.good, each.bad)} for job in jobs for each in job.days
    ]
    sort = [weekday(each) for each in report.week.days]
    x = {
        "field": "day",
        "type": "ordinal",
        "sort": sort,
        "title": None,
        "axis": _axis(orient="top", labelAngle=0, grid=False),
    }
    y = {
        "field": "job",
        "type": "ordinal",
        "sort": [job.name for job in jobs],
        "title": None,
        "axis": _axis(grid=False, labelLimit=150),
    }
    fills = {"domain": list(palette.HEAT), "range": [fill for fill, _ in palette.HEAT.values()]}
    inks = {"domain": list(palette.HEAT), "range": [ink for _, ink in palette.HEAT.values()]}
    spec = _chart(
        28 * len(jobs),
        {"values": values},
        layer=[
            {
                "mark": {"type": "rect", "stroke": "#ffffff", "strokeWidth": 2},
                "encoding": {
                    "x": x,
                    "y": y,
                    "color": {"field": "heat", "type": "nominal", "scale": fills, "legend": None},
                },
            },
            {
                "mark": {"type": "text", "fontSize": 11},
                "encoding": {
                    "x": x,
                    "y": y,
                    "text": {"field": "said"},
                    "color": {"field": "heat", "type": "nominal", "scale": inks, "legend": None},
                },
            },
        ],
        resolve={"scale": {"color": "independent"}},
    )
    told = "; ".join(
        f"{job.name} {job.good:,} of {count(job.good + job.bad, 'run')} succeeded ({percent(job.success)})"
        for job in jobs
    )
    return Chart("runs", spec, f"Runs of each job by day of the week: {told}.")


def _told(jobs: Sequence[Job]) -> list[Job]:
    """Those that ran; of many the ones that failed most, in the order of all."""
    ran = [job for job in jobs if job.good + job.bad]
    kept = sorted(ran, key=lambda job: (job.success or 0.0, job.name))[:MOST_JOBS]
    return [job for job in ran if job in kept]


def _heat(good: int, bad: int) -> dict[str, str]:
    if not good + bad:
        return {"heat": "none", "said": "–"}
    if not bad:
        return {"heat": "good", "said": f"{good:,}"}
    heat = "many" if bad / (good + bad) > _MANY_BAD else "few"
    return {"heat": heat, "said": f"{bad:,} failed"}


def _axis(**given: Any) -> Spec:
    return {"labelFontSize": 12, "titleFontSize": 12, "domain": False, "ticks": False, "labelPadding": 6, **given}


def _chart(height: int, data: Spec, **parts: Any) -> Spec:
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "width": WIDTH,
        "height": height,
        "autosize": {"type": "fit-x", "contains": "padding"},
        "padding": 4,
        "background": palette.LIGHT["card"],
        "data": data,
        "config": {
            "font": "sans-serif",
            "view": {"stroke": None},
            "axis": {
                "labelColor": palette.LIGHT["muted"],
                "titleColor": palette.LIGHT["muted"],
                "titleFontWeight": "normal",
                "gridColor": "#e5e7eb",
            },
            "legend": {"labelColor": palette.LIGHT["ink"], "labelFontSize": 12},
        },
        **parts,
    }
