"""Tell a lead on Monday what the week was like, in one mail that is read in a minute.

Cron asks once a week: what changed, what is wrong, what needs a decision? Read: what metrics has kept
(dev.metric_hours, dev.project_days) and the issues named beside it, ops.job_history, ops.slots, ops.incidents, the
queue, the branches. All of it is read in one snapshot, so that its numbers fit together. Written: a row for each mail.

Running it twice is safe: a recipient has one row a week, and a second run makes none. Who only wants to look
(`is_look`) is shown the report, and nothing is written or sent.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

from jobctl.db.sqlstate import translated
from jobctl.jobs.report.gathering import Gathered, gather
from jobctl.reports import charts, rendering, views
from jobctl.reports.decisions import decisions
from jobctl.reports.letter import Letter
from jobctl.reports.links import Links, github_pages
from jobctl.reports.view import View
from jobctl.reports.week import Week
from jobctl.runtime.outcome import Outcome
from jobctl.runtime.run import Run
from jobctl.settings import Settings

SNAPSHOT = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"


@dataclass(frozen=True, slots=True)
class Made:
    """What there is to look at. The letter is made when it is asked for: drawing takes half a second."""

    view: View
    text: Callable[[], str]
    letter: Callable[[], Letter]


@dataclass(frozen=True, slots=True)
class Options:
    """`show` is given what was made, in the worker's process."""

    settings: Settings
    week: Week
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
        notes = [] if options.recipients else ["nobody gets it: set REPORT_EMAILS, or give --to"]
        return Outcome(
            counts={**counts, "recipients": len(options.recipients)},
            notes=notes,
            evidence={"report": found.report.as_json(), "letter": account_of(letter)},
        )


def _gathered(run: Run, conn: psycopg.Connection, settings: Settings, week: Week) -> Gathered:
    with run.database.transaction(conn):
        conn.execute(SNAPSHOT)
        return gather(conn, settings, week, run.now)


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


def account_of(letter: Letter) -> dict[str, Any]:
    """How large it is, in bytes; what a server is given is larger, since it is encoded."""
    return {
        "subject": letter.subject,
        "html": len(letter.html.encode()),
        "text": len(letter.text.encode()),
        "images": [{"name": each.content_id, "bytes": len(each.png)} for each in letter.images],
        "attachments": [{"name": each.filename, "bytes": len(each.content)} for each in letter.attachments],
    }
