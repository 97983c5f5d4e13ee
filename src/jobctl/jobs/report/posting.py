"""The letter on its way: rows in the outbox, committed with the run's fence, then sent; and who must hear of the rest.

What is wrong with the way (no sender, no server) is told at the end of the run and stops nothing else of it: the mails
wait, and `retry-failed` tries them hourly.
"""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import psycopg

from jobctl.errors import ConfigurationError, DataError, JobctlError
from jobctl.jobs.look_around import of_mails
from jobctl.redact import Redactor
from jobctl.reports import mailing, sending
from jobctl.reports.letter import Letter
from jobctl.reports.week import Week
from jobctl.runtime.run import Run
from jobctl.settings import Settings

LOOKED_AT: Final = ("report-mail",)


class Posted(NamedTuple):
    """`size` is that of one mail as a server is given it, in bytes; None where there is no sender to write it for."""

    counts: Mapping[str, int]
    notes: tuple[str, ...]
    size: int | None = None
    is_whole: bool = True
    error: JobctlError | None = None


def post(
    run: Run,
    conn: psycopg.Connection,
    settings: Settings,
    redactor: Redactor,
    letter: Letter,
    week: Week,
    recipients: Sequence[str],
) -> Posted:
    if not recipients:
        return Posted({"mails": 0}, ("nobody gets it: set REPORT_EMAILS, or give --to",))
    try:
        size = mailing.size_of(settings, letter, week=week.name, recipient=recipients[0], now=run.now)
        with run.effect(conn):
            made = mailing.put(
                conn,
                settings,
                week=week.name,
                recipients=recipients,
                letter=letter,
                run_id=run.run_id,
                now=run.now,
            )
    except (ConfigurationError, DataError) as error:
        return Posted({"mails": 0}, (), is_whole=False, error=error)
    known = len(recipients) - made
    notes = [f"{known:,} of {len(recipients):,} have this week's mail already"] if known > 0 else []
    if run.dry_run:
        return Posted({"mails": made}, tuple(notes), size)
    error: JobctlError | None = None
    sent = sending.Sent(left=made)
    try:
        sent = sending.send_due(settings, run.database, redactor, stopping=run.stop.event, progress=run.progress)
    except ConfigurationError as caught:
        error = caught
    if settings.alert_settings.enabled:
        with run.effect(conn):
            run.tell(conn, of_mails(conn, settings), looked_at=LOOKED_AT)
    if sent.left:
        notes.append(f"{sent.left:,} mails wait" + (f": {sent.problem}" if sent.problem else ""))
    if sent.unknown or sent.failed:
        notes.append(
            f"{sent.failed:,} mails were refused, {sent.unknown:,} may have arrived or not: jobctl report outbox"
        )
    is_whole = not (sent.left or sent.unknown or sent.failed)
    return Posted({"mails": made, **sent.counts()}, tuple(notes), size, is_whole, error)
