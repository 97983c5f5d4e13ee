"""The report's tables in full, as files for a spreadsheet. Pure.

A spreadsheet takes a cell that begins with one of `=+-@`, a tab or a line break for a formula, and runs it. So a text
that begins like that gets a quote before it; a number stays one, also a negative one. What nobody knows is empty.
"""

import csv
import io
import zipfile
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

from jobctl.reports.letter import Attachment
from jobctl.reports.model import Bug, Pull, Report

LARGEST_PLAIN: Final = 16_000  # bytes of all tables together; what is more goes into one archive
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n")

Value = str | int | float | datetime | None


def attachments(report: Report, bugs: Sequence[Bug], pulls: Sequence[Pull]) -> tuple[Attachment, ...]:
    """`bugs` and `pulls` are more of them than the report itself has."""
    files = [Attachment(name, content) for name, content in _files(report, bugs, pulls)]
    if sum(len(each.content) for each in files) <= LARGEST_PLAIN:
        return tuple(files)
    return (Attachment(f"report-{report.week.name}.zip", _zipped(files, report.made_at), "application/zip"),)


def _files(report: Report, bugs: Sequence[Bug], pulls: Sequence[Pull]) -> Iterable[tuple[str, bytes]]:
    if report.projects:
        columns = ("project", "team", "owner", "criticality", "health", "band", "health_before", "band_before", "moved")
        rows = (
            (each.name, each.team, each.owner, each.criticality, each.score, each.band, each.score_before,
             each.band_before, each.moved, each.bugs, each.per_day, "; ".join(each.reasons))
            for each in report.projects
        )  # fmt: skip
        yield "projects.csv", table((*columns, "open_bugs", "at_risk_per_day", "reasons"), rows)
    if bugs:
        yield (
            "critical-bugs.csv",
            table(
                ("project", "number", "title", "opened_at", "owners", "per_day", "breached"),
                (
                    (each.project, each.number, each.title, each.opened_at, " ".join(each.owners), each.per_day,
                     "yes" if each.is_breached else "no")
                    for each in bugs
                ),
            ),
        )  # fmt: skip
    if pulls:
        columns = ("project", "number", "title", "author", "opened_at", "touched_at", "waits_for")
        rows = (
            (each.project, each.number, each.title, each.author, each.opened_at, each.touched_at, each.waits_for)
            for each in pulls
        )
        yield "stuck-pulls.csv", table(columns, rows)
    if report.jobs:
        columns = (
            "job",
            "succeeded",
            "failed",
            "skipped",
            "degraded",
            "missed",
            "median_ms",
            "slowest_ms",
            "slowest_run",
        )
        rows = (
            (each.name, each.good, each.bad, each.skipped, each.degraded, each.missed, each.median_ms, each.slowest_ms,
             each.slowest_run)
            for each in report.jobs
        )  # fmt: skip
        yield "jobs.csv", table(columns, rows)
    if report.branches:
        columns = ("branch", "runs", "read", "changed", "rejected", "rejects_open", "loaded_at", "age_s", "expected_s")
        rows = (
            (each.slug, each.runs, each.read, each.changed, each.rejected, each.rejects_open, each.loaded_at,
             each.age_s, each.expected_s)
            for each in report.branches
        )  # fmt: skip
        yield "branches.csv", table(columns, rows)


def table(columns: Sequence[str], rows: Iterable[Sequence[Value]]) -> bytes:
    """As RFC 4180 has it, with a mark by which Excel knows UTF-8."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(columns)
    writer.writerows([_cell(value) for value in row] for row in rows)
    return out.getvalue().encode("utf-8-sig", "replace")


def _cell(value: Value) -> str | int | float | None:
    if isinstance(value, datetime):
        return value.isoformat(timespec="seconds")
    if isinstance(value, str) and value.startswith(_FORMULA):
        return f"'{value}"
    return value


def _zipped(files: Sequence[Attachment], made_at: datetime) -> bytes:
    """The same tables give the same bytes."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for each in files:
            entry = zipfile.ZipInfo(each.filename, made_at.timetuple()[:6])
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, each.content, zipfile.ZIP_DEFLATED)
    return out.getvalue()
