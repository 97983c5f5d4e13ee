"""Where verdicts become incidents, and incidents messages: inside the caller's transaction, on its connection.

After every run its last runs are judged (`runs_ended`), which costs two questions where nothing is wrong and nothing is
open, and a third, how its like was before, of a run that was no trifle. Whoever has measured something hands over
verdicts (`judged`). What is to be told goes into the outbox, once for each channel, and is sent when the caller's work
is committed (delivery.py).

An alert that cannot be kept takes nothing else along: the caller's row is written, and the log tells.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

import psycopg

from jobctl import clock, log
from jobctl.alerts import anomalies, causes, facts, ledger, outbox, same_hour, store, words
from jobctl.alerts.conditions.judge import gone
from jobctl.alerts.conditions.run_fact import RunFact
from jobctl.alerts.conditions.runs import of_runs
from jobctl.alerts.ledger import Change
from jobctl.alerts.lifecycle import Policy
from jobctl.alerts.verdict import Verdict
from jobctl.redact import Redactor
from jobctl.settings import Settings

LOG = log.get_logger()


class Ended(NamedTuple):
    """A run of this job and scope has just got its end."""

    job: str
    scope: str
    is_told: bool = False


def policy_of(settings: Settings) -> Policy:
    alerts = settings.alert_settings
    return Policy(
        can_tell=bool(settings.alert_channels()),
        realert_every=timedelta(seconds=alerts.realert_every_s),
        flaps=alerts.flaps,
        calm=timedelta(seconds=alerts.calm_s),
        forget_after=timedelta(seconds=alerts.forget_after_s),
    )


def runs_ended(conn: psycopg.Connection, settings: Settings, redactor: Redactor, ended: Iterable[Ended]) -> None:
    """Judge the state that these runs leave, in the transaction of their rows."""
    _safely(conn, lambda: _runs_ended(conn, settings, redactor, ended))


def _runs_ended(conn: psycopg.Connection, settings: Settings, redactor: Redactor, ended: Iterable[Ended]) -> None:
    verdicts: list[Verdict] = []
    has_completed = False
    for job, scope, is_told in ended:
        runs = facts.last_runs(conn, job, scope)
        if not runs:
            continue
        has_completed = has_completed or runs[0].is_good
        verdicts += of_runs(runs, job, scope, settings.alert_settings.conditions, is_told=is_told)
        verdicts += _anomalies(conn, settings, job, scope, runs[0])
    settled = [cause for cause in causes.SHARED if causes.is_over_by(cause, job_completed=has_completed)]
    said = [stored(verdict, redactor) for verdict in verdicts]
    _work_through(conn, settings, redactor, said, settled=settled)


def _anomalies(conn: psycopg.Connection, settings: Settings, job: str, scope: str, last: RunFact) -> Sequence[Verdict]:
    """One question more, of a run that completed and was no trifle: how its like was on former days."""
    if not last.is_good:
        return []
    known, zone = settings.alert_settings.conditions, ZoneInfo(settings.timezone)
    weeks = anomalies.weeks_wanted(last, job, scope, known)
    past = facts.past(conn, job, scope, same_hour.before(last.started_at, zone, weeks)) if weeks else []
    return anomalies.of_run(last, past, job, scope, known, zone)


def judged(
    conn: psycopg.Connection,
    settings: Settings,
    redactor: Redactor,
    verdicts: Sequence[Verdict],
    *,
    looked_at: Collection[str] = (),
) -> None:
    """Take verdicts that somebody else has made, inside a transaction. `looked_at` are conditions at which it was a
    complete look: what it says nothing of any more is over."""

    def work() -> None:
        said = [stored(verdict, redactor) for verdict in verdicts]
        _work_through(conn, settings, redactor, said, looked_at=looked_at)

    _safely(conn, work)


def time_passed(conn: psycopg.Connection, settings: Settings, redactor: Redactor) -> None:
    """Tell again what is due, end what is calm, forget what nobody judges any more."""
    _safely(conn, lambda: _work_through(conn, settings, redactor, ()))


def _safely(conn: psycopg.Connection, work: Callable[[], None]) -> None:
    try:
        with conn.transaction():
            work()
    except Exception as error:
        if conn.closed:  # the row that it tells of is lost with it, and will be written anew
            raise
        LOG.error("alert_not_kept", error=error)  # noqa: TRY400 - one line, no stack


def _work_through(
    conn: psycopg.Connection,
    settings: Settings,
    redactor: Redactor,
    verdicts: Sequence[Verdict],
    *,
    settled: Collection[str] = (),
    looked_at: Collection[str] = (),
) -> None:
    """`verdicts` are as `stored` gives them."""
    if not any(verdict.is_firing for verdict in verdicts) and not store.is_any_open(conn):
        return
    store.lock(conn)
    now = clock.utc_now()
    alerts = settings.alert_settings
    since = now - timedelta(seconds=alerts.flap_window_s)
    kept = store.open_incidents(conn)
    if looked_at:
        verdicts = [*verdicts, *gone(store.known_firing(kept), verdicts, looked_at, now)]
    numbers = {each.incident.cause: each.incident_id for each in kept}
    policy = policy_of(settings)
    if store.holds_demo(conn):  # what is open when it is gone, and true, is told then
        policy = policy._replace(can_tell=False)
    recent = store.recent(conn, {each.cause for each in verdicts if each.is_firing}, since)
    changes = ledger.work_through(
        [each.incident for each in kept],
        verdicts,
        policy,
        now,
        recent=lambda cause: recent.get(cause, 0),
        settled=settled,
    )
    changed = [(numbers[each.after.cause] if each.before is not None else None, each) for each in changes]
    events: list[store.NewEvent] = []
    for incident_id, change in zip(store.save(conn, changed), changes, strict=True):
        events += _told(conn, settings, redactor, incident_id, change)
    store.add_events(conn, events)


def stored(verdict: Verdict, redactor: Redactor) -> Verdict:
    """Redacted and neutral, as everything that is kept or told of it."""

    def clean(text: str, longest: int = words.MAX_FACT) -> str:
        return words.neutral(redactor.text(text), longest)

    about = verdict.about
    return verdict._replace(
        subject=words.key(redactor.text(verdict.subject)),
        cause=words.key(redactor.text(verdict.cause)),
        title=clean(verdict.title, words.MAX_TITLE),
        facts=tuple((clean(word, words.MAX_NAME), clean(said)) for word, said in verdict.facts),
        about=about._replace(
            job=clean(about.job, words.MAX_NAME),
            scope=clean(about.scope, words.MAX_NAME),
            host=clean(about.host, words.MAX_NAME),
        ),
    )


def _told(
    conn: psycopg.Connection, settings: Settings, redactor: Redactor, incident_id: int, change: Change
) -> list[store.NewEvent]:
    """What goes into the outbox is put there; gives what is to stand in the incident's history."""
    events: list[store.NewEvent] = []
    if change.before is None and not change.told:
        events.append(store.NewEvent(incident_id, "opened", change.after.title))
    if not change.after.is_open and not any(notice == "resolved" for notice, _ in change.told):
        events.append(store.NewEvent(incident_id, "resolved", change.after.title))
    for notice, incident in change.told:
        message = words.told(
            notice,
            incident_id,
            incident,
            redact=redactor.text,
            zone=ZoneInfo(settings.timezone),
            runbook_url=settings.alert_settings.runbook_url,
        )
        channels = settings.alert_channels()
        for channel in channels:
            key = f"{channel}/incident/{incident_id}/{incident.notices}"
            outbox.put(conn, channel, key, message.as_payload(), change.about.run_id)
        events.append(store.NewEvent(incident_id, notice, message.title))
        LOG.info("alert_kept", incident_id=incident_id, notice=notice, title=message.title, channels=list(channels))
    return events
