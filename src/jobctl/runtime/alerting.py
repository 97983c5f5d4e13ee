"""What a finished run tells people, and when it tells nobody. Pure: report in, text and key out.

An alert is about one scope of one run, and there is one for each cause (job, scope, error class) and window of time:
the window's beginning is part of the key, so a job that fails each minute alerts once a window. Windows are fixed and
counted from midnight UTC (for a length that divides a day), so that all hosts agree on them without asking.

The text is neutral on any channel, for a branch's data may stand in an error message: one line a fact, no control or
invisible characters, nothing that mentions a person or a channel, no link, and never longer than MAX_TEXT.
"""

import hashlib
import re
import signal
import unicodedata
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo
from typing import NamedTuple
from uuid import UUID

from jobctl.runtime.outcome import ABANDONED, COMPLETED, FAILED, INTERRUPTED, MISSED, TIMEOUT, ScopeReport

COOL_DOWN = timedelta(hours=6)
MAX_TEXT = 2_500  # a section of a Slack message takes 3,000 characters
MAX_TITLE = 150
MAX_MESSAGE = 1_000
MAX_HINT = 300
MAX_NAME = 100

# Somebody wanted the run to end: a person at a terminal, a deploy, a shutdown. Any other signal is an accident.
ASKED_FOR = frozenset(128 + number for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP))

# Characters that some channel reads as markup, and what looks like them and means nothing.
_INERT = str.maketrans({"@": "\uff20", "<": "\u2039", ">": "\u203a", "`": "'"})
_LINK_SCHEME = re.compile(r"://|\b(mailto|tel|javascript|data):", re.IGNORECASE)


class Alert(NamedTuple):
    key: str
    title: str
    text: str


class Who(NamedTuple):
    """Whose run it was."""

    job: str
    run_id: UUID
    host: str


def alert_of(
    report: ScopeReport,
    who: Who,
    *,
    redact: Callable[[str], str],
    zone: tzinfo = UTC,
    cool_down: timedelta = COOL_DOWN,
) -> Alert | None:
    """The alert for a scope that has ended, or None where nobody has to hear of it."""
    if not is_worth_telling(report):
        return None
    cause = report.error.class_ if report.error is not None else "Degraded"

    def fact(text: str, longest: int = MAX_NAME) -> str:
        return neutral(redact(text), longest)

    subject = fact(who.job) + (f" {fact(report.scope)}" if report.scope else "")
    became = "degraded" if report.status == COMPLETED else report.status
    lines = [f"jobctl: {subject} {became}", f"status: {report.status}, exit code {report.exit_code}"]
    if report.error is not None:
        lines.append(f"error: {fact(cause)}: {fact(report.error.message, MAX_MESSAGE)}")
        if report.error.hint:
            lines.append(f"hint: {fact(report.error.hint, MAX_HINT)}")
    elif report.notes:
        lines.append(f"notes: {fact('; '.join(report.notes), MAX_MESSAGE)}")
    ended = report.finished_at.astimezone(zone)
    lines += [
        f"host: {fact(who.host)}, ended {ended:%Y-%m-%d %H:%M:%S %Z}",
        f"run: {who.run_id}",
        "look: jobctl db psql, table ops.job_history, and the log lines with this run id",
    ]
    title = cut(f"{lines[0]}: {fact(cause)}", MAX_TITLE)
    begins = window(report.finished_at, cool_down)
    key = "/".join(("alert", *(_key_part(text, fact(text)) for text in (who.job, report.scope, cause)), begins))
    return Alert(key, title, cut("\n".join(lines), MAX_TEXT))


def is_worth_telling(report: ScopeReport) -> bool:
    if report.status == INTERRUPTED:
        return report.exit_code not in ASKED_FOR
    if report.status in (FAILED, TIMEOUT, ABANDONED, MISSED):
        return True
    return report.degraded and not report.is_told


def window(at: datetime, width: timedelta) -> str:
    """When the window that `at` lies in began."""
    width_s = width.total_seconds()
    return f"{datetime.fromtimestamp(at.timestamp() // width_s * width_s, UTC):%Y-%m-%dT%H:%M:%SZ}"


def neutral(text: str, longest: int) -> str:
    """One line of plain words: what a channel could obey is shown instead."""
    # Cut before the slow part, and again after it, since defused text is longer.
    plain = "".join(_shown(character) for character in cut(text, 2 * longest)).translate(_INERT)
    plain = _LINK_SCHEME.sub(lambda match: match[0].replace(":", "[:]"), plain).replace("](", "] (")
    return cut(" ".join(plain.split()), longest)


def cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"


def _key_part(text: str, shown: str) -> str:
    """The text itself where it is a plain short name, as nearly always; else what may be shown of it, and a digest."""
    if text == shown and "/" not in text:
        return text
    return f"{shown}~{hashlib.blake2b(text.encode('utf-8', 'surrogatepass'), digest_size=8).hexdigest()}"


def _shown(character: str) -> str:
    """Line breaks and other controls end words; what cannot be seen (direction marks, joiners) is left out."""
    kind = unicodedata.category(character)
    if kind in ("Cc", "Zl", "Zp"):
        return " "
    if kind == "Cf":
        return ""
    return "\ufffd" if kind in ("Cs", "Co", "Cn") else character
