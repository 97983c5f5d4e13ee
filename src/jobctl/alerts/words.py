"""What people are told of an incident, in words that no channel obeys. Pure: an incident in, a message out.

The text is neutral on any channel, for a branch's data may stand in an error message: one line a fact, no control or
invisible characters, nothing that mentions a person or a channel, no link, and never longer than MAX_TEXT. The one link
is the runbook's, whose address is a setting; channels that can show it add it themselves.
"""

import hashlib
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from typing import Any, NamedTuple, cast

from jobctl.alerts.lifecycle import Incident, Notice
from jobctl.durations import format_duration

MAX_TEXT = 2_500  # a section of a Slack message takes 3,000 characters
MAX_TITLE = 150
MAX_FACT = 1_000
MAX_NAME = 100
MOST_FACTS = 10
MOST_ALERTS = 5

# Characters that some channel reads as markup, and what looks like them and means nothing.
_INERT = str.maketrans({"@": "\uff20", "<": "\u2039", ">": "\u203a", "`": "'"})
_LINK_SCHEME = re.compile(r"://|\b(mailto|tel|javascript|data):", re.IGNORECASE)


class Told(NamedTuple):
    """A message, as it stands in the outbox and as each channel takes it. Every text in it is neutral."""

    notice: Notice
    incident_id: int
    severity: str
    title: str
    lines: Sequence[tuple[str, str]]
    page: str = ""
    runbook_url: str | None = None

    @property
    def text(self) -> str:
        return cut("\n".join([self.title, *(f"{word}: {said}" for word, said in self.lines)]), MAX_TEXT)

    def as_payload(self) -> dict[str, object]:
        return {**self._asdict(), "lines": [list(line) for line in self.lines], "text": self.text}

    @classmethod
    def of(cls, payload: Mapping[str, object]) -> "Told":
        """From the outbox. What an earlier release left there has a title and a text."""
        given = cast("Mapping[str, Any]", payload)
        if "lines" not in given:
            head, *rest = str(given.get("text", "")).split("\n")
            parts = [line.partition(": ") for line in rest]
            return cls("opened", 0, "warning", head, [(word, said) for word, _, said in parts])
        lines = [(str(word), str(said)) for word, said in given["lines"]]
        url = given.get("runbook_url")
        return cls(given["notice"], int(given["incident_id"]), str(given["severity"]), str(given["title"]), lines,
                   str(given["page"]), str(url) if url else None)  # fmt: skip


def told(
    notice: Notice,
    incident_id: int,
    incident: Incident,
    *,
    redact: Callable[[str], str],
    zone: tzinfo = UTC,
    runbook_url: str | None = None,
) -> Told:
    """The message of one notice."""

    def fact(text: str, longest: int = MAX_FACT) -> str:
        return neutral(redact(text), longest)

    def moment(at: datetime) -> str:
        return f"{at.astimezone(zone):%Y-%m-%d %H:%M:%S %Z}"

    title = fact(incident.title, MAX_TITLE)
    end = incident.resolved_at
    began = {"opened": "", "again": "still: ", "resolved": "resolved: ", "flapping": "flapping: "}[notice]
    lines: list[tuple[str, str]] = []
    if notice == "resolved":
        assert end is not None
        lasted = format_duration(round((end - incident.opened_at).total_seconds()))
        lines.append(("lasted", f"{lasted}, from {moment(incident.opened_at)} to {moment(end)}"))
    else:
        lines += [(fact(word, MAX_NAME), fact(said)) for word, said in incident.facts[:MOST_FACTS]]
        lines.append(("since", moment(incident.opened_at)))
    if notice == "flapping":
        lines.append(("flapping", "it comes and goes; told again when it was calm"))
    if incident.occurrences > 1:
        lines.append(("seen", f"{incident.occurrences:,} times, last {moment(incident.last_seen_at)}"))
    others = [alert.title for alert in incident.alerts.values() if alert.title != incident.title]
    if others:
        shown = [fact(other, MAX_TITLE) for other in others[:MOST_ALERTS]]
        rest = [f"{len(others) - MOST_ALERTS} more"] if len(others) > MOST_ALERTS else []
        lines.append(("with", "; ".join([*shown, *rest])))
    lines.append(("incident", f"{incident_id or 'not yet numbered'}, {incident.severity}"))
    page = f"; runbook ops/runbooks/{incident.page}.md" if incident.page else ""
    lines.append(("look", f"jobctl alerts {f'show {incident_id}' if incident_id else 'list'}{page}"))
    link = f"{runbook_url.rstrip('/')}/{incident.page}.md" if runbook_url and incident.page else None
    return Told(notice, incident_id, incident.severity, cut(f"jobctl: {began}{title}", MAX_TITLE), lines,
                incident.page, link)  # fmt: skip


def neutral(text: str, longest: int) -> str:
    """One line of plain words: what a channel could obey is shown instead."""
    # Cut before the slow part, and again after it, since defused text is longer.
    plain = cut(text, 2 * longest)
    if not (plain.isascii() and plain.isprintable()):
        plain = "".join(map(_shown, plain))
    plain = plain.translate(_INERT)
    plain = (
        _LINK_SCHEME.sub(lambda match: match[0].replace(":", "[:]"), plain).replace("](", "] (").replace("=?", "= ?")
    )
    return cut(" ".join(plain.split()), longest)


def key(text: str) -> str:
    """The text itself where it is plain and short, as nearly always; else what may be shown of it, and a digest."""
    shown = neutral(text, MAX_TITLE)
    if text == shown:
        return text
    return f"{shown}~{hashlib.blake2b(text.encode('utf-8', 'surrogatepass'), digest_size=8).hexdigest()}"


def cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"


def _shown(character: str) -> str:
    """Line breaks and other controls end words; what cannot be seen (direction marks, joiners) is left out."""
    kind = unicodedata.category(character)
    if kind in ("Cc", "Zl", "Zp"):
        return " "
    if kind == "Cf":
        return ""
    return "\ufffd" if kind in ("Cs", "Co", "Cn") else character
