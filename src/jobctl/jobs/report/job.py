"""Tell a lead on Monday what the week was like, in one mail that is read in a minute; then tidy up.

Cron asks once a week: what changed, what is wrong, what needs a decision? Read: what metrics has kept
(dev.metric_hours, dev.project_days) and the issues named beside it, ops.job_history, ops.slots, ops.incidents, the
queue, the branches. All of it is read in one snapshot, so that its numbers fit together; a part that the database gives
up (`reading`) is told as not read, and makes the run degraded. Written: ops.report_letters
and ops.report_mails, an event for each change of a project's health, and the archive's files with their rows of
ops.archives, whose own rows then leave the database.

Running it twice is safe: a recipient has one row a week, and a second run makes none; a change of health is told once;
what was archived is gone. The report is made before anything is archived, so it has the whole week. Who only wants to
look (`is_look`) is shown the report, and nothing is written or sent.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import psycopg

from jobctl.db.sqlstate import translated
from jobctl.jobs.report import archiving, health_events, posting
from jobctl.jobs.report.gathering import Gathered, gather
from jobctl.jobs.report.reading import Reading
from jobctl.redact import Redactor
from jobctl.reports import rendering
from jobctl.reports.decisions import decisions
from jobctl.reports.letter import Letter
from jobctl.reports.links import Links, github_pages
from jobctl.reports.model import Part
from jobctl.reports.unread import said
from jobctl.reports.view import View
from jobctl.reports.week import Week
from jobctl.runtime.outcome import Outcome
from jobctl.runtime.run import Run
from jobctl.settings import Settings


@dataclass(frozen=True, slots=True)
class Made:
    """What there is to look at. The letter is made when it is asked for: drawing takes half a second."""

    view: View
    text: Callable[[], str]
    letter: Callable[[], Letter]


@dataclass(frozen=True, slots=True)
class Options:
    """`show` is given what was made, in the worker's process. `until`: the monotonic moment after which no further file
    of the archive is begun."""

    settings: Settings
    redactor: Redactor
    week: Week
    until: float = math.inf
    recipients: Sequence[str] = ()
    is_look: bool = False
    show: Callable[[Made], None] = lambda made: None


def report(run: Run, options: Options) -> Outcome:
    rendering.require_packages()
    settings, week = options.settings, options.week
    with translated(), run.connect("report") as conn:
        found = _gathered(run, conn, options)
        run.stop.check()
        shown = rendering.shown(found.report, links_of(settings, week))
        templates = settings.report_settings.templates

        @cache
        def letter_once() -> Letter:
            return rendering.letter_of(shown, found.bugs, found.pulls, templates=templates)

        options.show(Made(shown.view, lambda: rendering.text_of(shown, templates=templates), letter_once))
        counts = counts_of(found)
        unread = tuple(said(found.report, part) for part in found.report.unread)
        if options.is_look:
            told = {"report": found.report.as_json()}
            return Outcome(counts=counts, notes=unread, degraded=bool(unread), evidence=told)
        letter = letter_once()
        run.stop.check()
        posted = posting.post(run, conn, settings, options.redactor, letter, week, options.recipients)
        checked = health_events.note_changes(conn, run, today=run.now.astimezone(week.zone).date())
    archived = archiving.archive(run, archiving.Options(settings, options.until))
    return Outcome(
        counts={
            **counts,
            "recipients": len(options.recipients),
            **posted.counts,
            **checked.counts,
            **archived.counts,
        },
        notes=[*unread, *posted.notes, *archived.notes],
        degraded=bool(unread) or not posted.is_whole,
        error=posted.error or archived.error,
        evidence={"report": found.report.as_json(), "letter": account_of(letter, posted.size)},
    )


def _gathered(run: Run, conn: psycopg.Connection, options: Options) -> Gathered:
    """In one snapshot. It is asked for with BEGIN: behind a pooler a transaction's first statement sets its limits, and
    after that it is too late."""
    reading = Reading(conn, options.redactor, run.stop)
    conn.isolation_level, conn.read_only = psycopg.IsolationLevel.REPEATABLE_READ, True
    try:
        with run.database.transaction(conn):
            found = gather(conn, options.settings, options.week, run.now, reading)
    finally:
        if not conn.closed:
            conn.isolation_level = conn.read_only = None
    for part, why in found.report.unread.items():
        run.event("report_part_unread", level="warning", part=part, reason=why)
    return found


def links_of(settings: Settings, week: Week) -> Links:
    said = settings.report_settings
    return Links(said.github_url or github_pages(settings.github_api_url), said.link, week)


def counts_of(found: Gathered) -> dict[str, int]:
    """Without those of parts that could not be read."""
    of = found.report
    counts: dict[Part, tuple[str, int]] = {
        "projects": ("projects", len(of.projects)),
        "bugs": ("critical_bugs", of.bugs.total),
        "pulls": ("stuck_pulls", of.pulls.total),
        "incidents": ("incidents", of.incidents.total),
    }
    return dict(each for part, each in counts.items() if part not in of.unread) | {"decisions": len(decisions(of))}


def account_of(letter: Letter, size: int | None) -> dict[str, Any]:
    """How large it is, in bytes; `size` is that of the whole mail, encoded as a server is given it."""
    return {
        "subject": letter.subject,
        "mail": size,
        "html": len(letter.html.encode()),
        "text": len(letter.text.encode()),
        "images": [{"name": each.content_id, "bytes": len(each.png)} for each in letter.images],
        "attachments": [{"name": each.filename, "bytes": len(each.content)} for each in letter.attachments],
    }
