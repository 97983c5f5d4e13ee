"""Which errors are the same error: messages with what differs between two of them taken out. Pure.

Numbers, times, ids, hex, what stands in quotes and the paths of URLs give way to a mark; the numbers that say what kind
of error it is (HTTP 503, SQLSTATE 40001, exit 2) stay.
"""

import re
from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

LONGEST_READ = 2_000
LONGEST_SHOWN = 200

_KEPT = r"(?P<kept>\b(?:http|status|code|errno|sqlstate|exit)(?:/[0-9.]+)?\W{0,2}[0-9][0-9A-Z]{0,4}\b)"
_MARKS = {
    "url": r"\b(?P<host>[a-z][a-z0-9+.-]*://[^\s/?#'\"<>]+)[^\s'\"<>]*",
    "quoted": r"(?<!\w)(?:'[^'\n]*'|\"[^\"\n]*\"|`[^`\n]*`)(?!\w)",
    "id": r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b",
    "time": r"\b\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?: ?Z\b| ?[+-]\d\d:?\d\d\b)?)?",
    "hex": r"\b(?:0x[0-9a-f]+|(?=[a-f]*\d)(?=\d*[a-f])[0-9a-f]{8,})\b",
    "number": r"\d(?:[\d.,:_]*\d)?",
}
_ONE_OF = re.compile("|".join([_KEPT, *(f"(?P<{name}>{form})" for name, form in _MARKS.items())]), re.IGNORECASE)


class Failure(NamedTuple):
    """A kind of failure as it was met `failures` times with the very same words."""

    type: str
    error_class: str | None
    error_message: str | None
    failures: int
    first_at: datetime
    last_at: datetime
    task_id: int


class Pattern(NamedTuple):
    """Failures that differ only in what was taken out; `task_id` is one of the tasks that met it, a late one."""

    error_class: str
    pattern: str
    failures: int
    types: tuple[str, ...]
    first_at: datetime
    last_at: datetime
    task_id: int


def generalise(message: str) -> str:
    """The message without what makes it a message of its own."""
    text = _ONE_OF.sub(_mark, " ".join(message[:LONGEST_READ].split()))
    return text if len(text) <= LONGEST_SHOWN else text[: LONGEST_SHOWN - 1] + "…"


def group(failures: Iterable[Failure]) -> list[Pattern]:
    """The commonest first; of equally common ones the latest."""
    found: dict[tuple[str, str], list[Failure]] = {}
    for failure in failures:
        key = (failure.error_class or "", generalise(failure.error_message or ""))
        found.setdefault(key, []).append(failure)
    patterns = [
        Pattern(
            error_class,
            pattern,
            sum(each.failures for each in alike),
            tuple(sorted({each.type for each in alike})),
            min(each.first_at for each in alike),
            max(each.last_at for each in alike),
            max(alike, key=lambda each: each.last_at).task_id,
        )
        for (error_class, pattern), alike in found.items()
    ]
    return sorted(
        patterns, key=lambda each: (-each.failures, -each.last_at.timestamp(), each.error_class, each.pattern)
    )


def _mark(match: re.Match[str]) -> str:
    kind = match.lastgroup or ""
    if kind == "kept":
        return match[0]
    if kind == "quoted":
        return f"{match[0][0]}…{match[0][0]}"
    if match["url"]:
        return match["host"] if len(match["host"]) == len(match[0]) else f"{match['host']}/…"
    return "N" if kind == "number" else f"<{kind}>"
