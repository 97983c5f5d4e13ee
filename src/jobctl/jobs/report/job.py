"""Tell a lead on Monday what the week was like, in one mail that is read in a minute; then tidy up.

Cron asks once a week: what changed, what is wrong, what needs a decision? Read: what metrics has kept
(dev.metric_hours, dev.project_days) and the issues named beside it, ops.job_history, ops.slots, ops.incidents, the
queue, the branches. All of it is read in one snapshot, so that its numbers fit together. Written: ops.report_letters
and ops.report_mails, an event for each change of a project's health, and the archive's files with their rows of
ops.archives, whose own rows then leave the database.

Running it twice is safe: a recipient has one row a week, and a second run makes none; a change of health is told once;
what was archived is gone. The report is made before anything is archived, so it has the whole week. Who only wants to
look (`is_look`) is shown the report, and nothing is written or sent.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import psycopg

from jobctl.archives.failures import ArchiveError
from jobctl.db.sqlstate import translated
from jobctl.jobs.report import archiving, health_events, posting
from jobctl.jobs.report.gathering import Gathered, gather
from jobctl.redact import Redactor
from jobctl.reports import charts, rendering, views
from jobctl.reports.decisions import decisions
from jobctl.reports.letter import Letter
from jobctl.reports.links import Links, github_pages
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
        found = _gathered(run, conn, settings, week)
        run.stop.check()
        links = links_of(settings, week)
        templates = settings.report_settings.templates
        letter: Letter | None = None

        def letter_once() -> Letter:
            nonlocal letter
            letter = letter or rendering.letter_of(found.report, links, found.bugs, found.pulls, templates=templates)
            return letter

        options.show(
            Made(
                view=views.view_of(found.report, links, charts.all_charts(found.report)),
                text=lambda: rendering.text_of(found.report, links, templates=templates),
                letter=letter_once,
            )
        )
        counts = counts_of(found)
        if options.is_look:
            return Outcome(counts=counts, evidence={"report": found.report.as_json()})
        letter = letter_once()
        run.stop.check()
        posted = posting.post(run, conn, settings, options.redactor, letter, week, options.recipients)
        checked = health_events.note_changes(conn, run, today=run.now.astimezone(week.zone).date())
    archived = _archived(run, settings, options.until)
    told = {"report": found.report.as_json(), "letter": account_of(letter, posted.size)}
    return Outcome(
        counts={
            **counts,
            "recipients": len(options.recipients),
            **posted.counts,
            **checked.counts,
            **archived.counts,
        },
        notes=[*posted.notes, *archived.notes],
        degraded=not posted.is_whole,
        error=posted.error or archived.error,
        evidence=told,
    )


class _Archived(NamedTuple):
    counts: Mapping[str, int]
    notes: Sequence[str]
    error: ArchiveError | None = None


def _archived(run: Run, settings: Settings, until: float) -> _Archived:
    """A disk that is full keeps no report from anybody: it is told at the end."""
    try:
        return _Archived(*archiving.archive(run, archiving.Options(settings, until)))
    except ArchiveError as error:
        return _Archived({}, (), error)


def _gathered(run: Run, conn: psycopg.Connection, settings: Settings, week: Week) -> Gathered:
    """In one snapshot. It is asked for with BEGIN: behind a pooler a transaction's first statement sets its limits, and
    after that it is too late."""
    conn.isolation_level, conn.read_only = psycopg.IsolationLevel.REPEATABLE_READ, True
    try:
        with run.database.transaction(conn):
            return gather(conn, settings, week, run.now)
    finally:
        if not conn.closed:
            conn.isolation_level = conn.read_only = None


def links_of(settings: Settings, week: Week) -> Links:
    said = settings.report_settings
    return Links(said.github_url or github_pages(settings.github_api_url), said.link, week)


def counts_of(found: Gathered) -> dict[str, int]:
    of = found.report
    return {
        "projects": len(of.projects),
        "critical_bugs": of.bugs.total,
        "stuck_pulls": of.pulls.total,
        "incidents": of.incidents.total,
        "decisions": len(decisions(of)),
    }


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
