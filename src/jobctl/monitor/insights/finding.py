"""What is worth doing, why it is believed, and how to do it. Pure."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final, Literal, NamedTuple

Severity = Literal["high", "medium", "low"]
Value = str | int | float | bool | datetime | None
_RANK: Final[Mapping[Severity, int]] = {"high": 0, "medium": 1, "low": 2}


class Finding(NamedTuple):
    """`what` is the sentence a person reads, `evidence` the numbers that it rests on, `basis` why they are enough, and
    `do` the command or setting. Of two that are as severe the one of more `weight` (a share, or how many times too
    much) comes first."""

    code: str
    severity: Severity
    subject: str
    what: str
    evidence: Mapping[str, Value]
    basis: str
    do: str
    weight: float = 0.0


def ordered(findings: Iterable[Finding]) -> list[Finding]:
    """What matters most first; what is alike in that by its name, so that the order is always the same."""
    return sorted(findings, key=lambda each: (_RANK[each.severity], -each.weight, each.code, each.subject))


def subject_of(job: str, scope: str) -> str:
    return f"{job} {scope}" if scope else job
