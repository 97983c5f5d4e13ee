"""What could not be read of a week: said in its place, so that nobody takes it for what is not there. Pure.

Each part of the report is read on its own (`jobs/report/reading.py`). In the model one that was not read is empty, and
`Report.unread` says why; whoever tells of it asks that first.
"""

from dataclasses import replace
from typing import Final

from jobctl.reports.model import Part, Report
from jobctl.reports.view import Cell, Section, Tile
from jobctl.reports.words import NOT_KNOWN

NAMES: Final[dict[Part, str]] = {
    "figures": "the figures of engineering",
    "trend": "the trend of revenue at risk",
    "paces": "the course of velocity",
    "projects": "the health of projects",
    "bugs": "critical bugs",
    "pulls": "stuck pull requests",
    "branches": "records",
    "queue": "the queue",
    "embeddings": "embeddings",
    "jobs": "the jobs' runs",
    "incidents": "incidents",
    "sync": "the access to projects",
}


def names(report: Report) -> str:
    return ", ".join(NAMES[part] for part in report.unread)


def said(report: Report, part: Part) -> str:
    """One sentence; empty where the part was read."""
    why = report.unread.get(part)
    return "" if why is None else f"{NAMES[part][:1].upper()}{NAMES[part][1:]} could not be read: {why}"


def section(report: Report, made: Section, part: Part, *beside: Part) -> Section:
    """As it was made; without `part`, which it tells of, it says that alone."""
    if part in report.unread:
        return Section(made.title, made.source_url, made.source, notes=(said(report, part),))
    return noted(report, made, *beside)


def noted(report: Report, made: Section, *parts: Part) -> Section:
    """With a note for each of the parts that it lacks."""
    return replace(made, notes=(*made.notes, *filter(None, (said(report, each) for each in parts))))


def tile(report: Report, made: Tile, part: Part) -> Tile:
    if part not in report.unread:
        return made
    return replace(made, value=Cell(NOT_KNOWN, made.value.url), detail=Cell("could not be read"))
