"""What no run's end tells and somebody must hear of all the same: a part of the hourly jobs.

Gathered through the stores, judged by pure conditions, handed over in one transaction: how each job's runs ended in the
last week, what of the queue is due and for how long, how old the branches are, how the weekly mails stand, what is left
on this host's disks, and the team's own rules. It is a complete look, so what it finds no more is over.
"""

import os
import socket
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import psycopg

from jobctl import clock
from jobctl.alerts import facts, rules, store
from jobctl.alerts.conditions import mails
from jobctl.alerts.conditions.branches import Freshness, of_branches
from jobctl.alerts.conditions.disks import Room, of_disks
from jobctl.alerts.conditions.queue import Backlog, of_backlogs
from jobctl.alerts.conditions.rates import of_success_rates
from jobctl.alerts.conditions.run_fact import ASKED_FOR
from jobctl.alerts.verdict import Verdict
from jobctl.branches import store as branch_store
from jobctl.errors import JobctlError
from jobctl.queue import backlog
from jobctl.redact import Redactor
from jobctl.reports import mail_store
from jobctl.runtime.run import Run
from jobctl.settings import Settings

LOOKED_AT = ("success-rate", "queue-backlog", "stale-branch", "report-mail")
MAILS_OF = timedelta(days=14)  # whoever waits for an older report has asked


class RuleFailed(JobctlError):
    """A rule's query could not be run; the others were judged."""


def look_around(run: Run, conn: psycopg.Connection, settings: Settings, redactor: Redactor) -> list[Verdict]:
    """Raises RuleFailed after everything else is done."""
    alerts, now = settings.alert_settings, clock.utc_now()
    if not alerts.enabled:
        return []
    known = alerts.conditions
    window_s = known["success-rate"].of("window_s")
    rates = facts.rates(conn, now - timedelta(seconds=window_s), sorted(ASKED_FOR))
    verdicts = of_success_rates(rates, known, now)
    verdicts += of_backlogs([Backlog(*each) for each in backlog.by_type(conn)], known, now)
    verdicts += of_branches(_freshness(conn), known, now)
    verdicts += of_mails(conn, settings)
    verdicts += of_disks(rooms(settings), socket.gethostname(), known, now)
    judged = [rules.judge(conn, name, rule) for name, rule in alerts.rules.items() if rule.enabled]
    verdicts += [verdict for each in judged for verdict in each.verdicts]
    with run.effect(conn):
        run.tell(conn, verdicts, looked_at=LOOKED_AT)
        if not run.dry_run:
            store.prune(conn, now - timedelta(seconds=alerts.keep_history_s))
    failed = [each for each in judged if each.error]
    if failed:
        said = "; ".join(f"{each.name}: {redactor.text(each.error, limit=300)}" for each in failed)
        raise RuleFailed(f"rules could not be judged: {said}", hint="jobctl alerts rules shows each")
    return verdicts


def of_mails(conn: psycopg.Connection, settings: Settings) -> list[Verdict]:
    """How the weekly mails of the last weeks stand: all that can be said of the condition report-mail."""
    now = clock.utc_now()
    weeks = [mails.Mails(*each) for each in mail_store.standings(conn, now - MAILS_OF)]
    return mails.of_mails(weeks, settings.alert_settings.conditions, now)


def _freshness(conn: psycopg.Connection) -> list[Freshness]:
    now = clock.utc_now()
    return [
        Freshness(branch.slug, (now - branch.loaded_at).total_seconds(), branch.expected_freshness.total_seconds())
        for branch in branch_store.list_branches(conn, active=True)
        if branch.expected_freshness is not None and branch.loaded_at is not None
    ]


def rooms(settings: Settings) -> list[Room]:
    """Of each file system that runs here write to, once."""
    places: dict[str, Path] = {"data": settings.data_dir}
    if settings.log_file is not None and settings.log_file != Path("-"):
        places["log"] = settings.log_file.parent
    if settings.textfile_dir is not None:
        places["textfile"] = settings.textfile_dir
    found: dict[int, Room] = {}
    for place, path in places.items():
        with suppress(OSError):  # it is not there: what writes to it tells that
            device, room = path.stat().st_dev, os.statvfs(path)
            free, whole = room.f_frsize * room.f_bavail, room.f_frsize * room.f_blocks
            found.setdefault(device, Room(place, str(path), free, whole))
    return list(found.values())
