"""Which projects' health has changed its band, and why, in words. Pure.

The reasons are the inputs whose points moved most, from the facts of the last check to those of now: of a project that
fell those that lost, of one that rose those that won. Where there is nothing to compare with (the score has another
version, or there was none) they are what costs most points now. Of one whose health is no longer known, what is
missing.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, Final, NamedTuple

from jobctl.service_levels import health
from jobctl.service_levels.health import VERSION, Band, Part

RANK: Final = {Band.HEALTHY: 2, Band.WARNING: 1, Band.CRITICAL: 0}
MOST_REASONS: Final = 3
LEAST_POINTS: Final = 0.5


class Judged(NamedTuple):
    """A band with the score and the facts that gave it."""

    band: str
    score: float | None
    version: str
    facts: Mapping[str, Any]


class Change(NamedTuple):
    """`direction`: down, up, lost (no longer known) or found (known again)."""

    project_id: int
    project: str
    day: date
    was: str
    band: str
    was_score: float | None
    score: float | None
    direction: str
    reasons: tuple[str, ...]

    @property
    def level(self) -> str:
        """What became worse, or is critical, is a warning."""
        return "warning" if self.direction == "down" or self.band == Band.CRITICAL else "info"

    @property
    def said(self) -> str:
        scores = f" ({_score(self.was_score)} to {_score(self.score)})"
        why = f": {'; '.join(self.reasons)}" if self.reasons else ""
        return f"{self.project} went from {self.was} to {self.band}{scores}{why}"


def change(project_id: int, project: str, day: date, was: Judged, now: Judged) -> Change | None:
    """None: the band is the same."""
    if was.band == now.band:
        return None
    if now.band == Band.UNKNOWN:
        direction, reasons = "lost", _missing(was, now)
    elif was.band == Band.UNKNOWN:
        direction, reasons = "found", _costly(now)
    else:
        direction = "down" if RANK[Band(now.band)] < RANK[Band(was.band)] else "up"
        reasons = _moved(was, now, falls=direction == "down") or _costly(now)
    return Change(project_id, project, day, was.band, now.band, was.score, now.score, direction, tuple(reasons))


def in_order(changes: Sequence[Change]) -> list[Change]:
    """Critical first, then what fell, then what is not known, then what rose."""
    rank = {"down": 0, "lost": 1, "found": 2, "up": 3}
    return sorted(changes, key=lambda each: (each.band != Band.CRITICAL, rank[each.direction], each.project.lower()))


def _moved(was: Judged, now: Judged, *, falls: bool) -> list[str]:
    """Nothing, where the two scores are not of this version."""
    if (was.version, now.version) != (VERSION, VERSION):
        return []
    before = {part.input.name: part for part in health.judge(was.facts).parts}
    moved: list[tuple[float, str]] = []
    for part in health.judge(now.facts).parts:
        earlier = before[part.input.name]
        if part.won is None or earlier.won is None:
            continue
        points = earlier.won - part.won if falls else part.won - earlier.won
        if points >= LEAST_POINTS:
            moved.append((points, f"{part.input.about}: {_value(earlier)} then, {_value(part)} now"))
    return [said for _, said in sorted(moved, key=lambda each: -each[0])[:MOST_REASONS]]


def _costly(now: Judged) -> list[str]:
    parts = [part for part in health.judge(now.facts).parts if part.lost is not None and part.lost >= LEAST_POINTS]
    worst = sorted(parts, key=lambda part: -(part.lost or 0.0))[:MOST_REASONS]
    return [f"{part.input.about}: {_value(part)}, {part.lost:g} of {part.input.weight} points lost" for part in worst]


def _missing(was: Judged, now: Judged) -> list[str]:
    known = {part.input.name for part in health.judge(was.facts).parts if part.won is not None}
    gone = [part.input.about for part in health.judge(now.facts).parts if part.won is None and part.input.name in known]
    more = f" and {len(gone) - MOST_REASONS} more" if len(gone) > MOST_REASONS else ""
    return [f"not known any more: {', '.join(gone[:MOST_REASONS])}{more}"] if gone else ["too little is known of it"]


def _value(part: Part) -> str:
    return "not known" if part.value is None else f"{part.value:,.2f}".rstrip("0").rstrip(".")


def _score(score: float | None) -> str:
    return "no score" if score is None else f"{score:g}"
