"""What the tests of the weekly mail have in common: a letter, settings, and rows."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg

from jobctl.db.connection import Database
from jobctl.redact import Redactor
from jobctl.reports import mailing, sending
from jobctl.reports.letter import Attachment, Image, Letter
from jobctl.reports.sending import Sent
from jobctl.settings import Settings

WEEK = "2026-W47"
AT = datetime(2026, 11, 23, 9, 0, 0, tzinfo=UTC)
PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 20
LETTER = Letter(
    subject="3 critical bugs, € 41,200 a day at risk — week 47",
    html='<!doctype html><html><body><p>Größe</p>\n.\n<img src="cid:trend@jobctl" alt="trend"></body></html>',
    text="The week\n.\n..\nGröße: 12\nFrom here on it goes well.\n",
    images=(Image("trend@jobctl", PNG, "trend"), Image("heat", PNG[::-1], "heat")),
    attachments=(Attachment("projects.csv", "name,größe\r\nocto/cat,1\r\n".encode()),),
)
SHORT = Letter(subject="Week 47", html="<p>all is well</p>", text="all is well\n")
STATES = "SELECT address, state FROM ops.report_mails WHERE week = %(week)s ORDER BY mail_id"
EMPTY = "TRUNCATE ops.report_mails, ops.report_letters"


def settings_for(directory: Path, **changes: object) -> Settings:
    given = {"data_dir": directory, "email_from": "Reports <reports@example.org>"}
    return Settings.model_validate({**given, **changes})


def put(
    conn: psycopg.Connection, settings: Settings, *recipients: str, letter: Letter = SHORT, week: str = WEEK
) -> int:
    with conn.transaction():
        return mailing.put(conn, settings, week=week, recipients=recipients, letter=letter, run_id=None, now=AT)


def send(settings: Settings, database: Database, **options: Any) -> Sent:
    given: dict[str, Any] = {"waits_s": (), **options}
    return sending.send_due(settings, database, Redactor(settings.secrets()), **given)


def states(conn: psycopg.Connection, week: str = WEEK) -> dict[str, str]:
    return dict(conn.execute(STATES, {"week": week}).fetchall())


# The sender as a process of its own, to be killed. Arguments: settings as JSON, and the database.
SENDER = """
import json, sys
from jobctl.db.connection import Database
from jobctl.redact import Redactor
from jobctl.reports import sending
from jobctl.settings import Settings

settings = Settings.model_validate(json.loads(sys.argv[1]))
print("begun", flush=True)
sending.send_due(settings, Database(sys.argv[2], "jobctl-test"), Redactor(settings.secrets()), waits_s=())
print("done", flush=True)
"""


def sender_arguments(database: Database, **settings: object) -> list[str]:
    return ["-c", SENDER, json.dumps(settings, default=str), database.dsn]
