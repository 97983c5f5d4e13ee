"""Two runs side by side. Pure: the facts of each in, one row a fact out, with what differs marked.

Scopes are compared with their like; where each run has one scope, those two are compared whatever their names. Facts of
which a run always has its own (its id, when it began) are not compared.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple, TypeGuard

NOTABLE_SHARE: Final = 0.5  # a number that grew or fell by as much is marked as notable


class Side(NamedTuple):
    """One scope of a run. `events` are how often it met each event of level warning or error."""

    job: str
    scope: str
    state: str
    exit_code: int | None
    host: str
    os_user: str
    version: str
    command: str
    slot_at: datetime | None
    duration_ms: int | None
    peak_memory_bytes: int | None
    counts: Mapping[str, Any]
    metrics: Mapping[str, Any]
    evidence: Mapping[str, Any]
    error_class: str | None
    error_message: str | None
    events: Mapping[str, int] = {}


class Difference(NamedTuple):
    """A fact of both. `change` is B less A, `share` that by A; null where one of them is no number, or A is zero."""

    scope: str
    kind: str
    name: str
    a: Any
    b: Any
    change: float | None
    share: float | None
    is_different: bool
    is_notable: bool


def compare(a: Sequence[Side], b: Sequence[Side]) -> list[Difference]:
    found: list[Difference] = []
    for scope, left, right in _paired(a, b):
        facts = (_facts(left), _facts(right))
        # In the order of the first, and what only the second has at its end.
        for kind, name in [*facts[0], *(key for key in facts[1] if key not in facts[0])]:
            found.append(_difference(scope, kind, name, facts[0].get((kind, name)), facts[1].get((kind, name))))
    return found


def _paired(a: Sequence[Side], b: Sequence[Side]) -> Iterator[tuple[str, Side | None, Side | None]]:
    if len(a) == 1 and len(b) == 1:
        name = a[0].scope if a[0].scope == b[0].scope else f"{a[0].scope or 'no scope'} / {b[0].scope or 'no scope'}"
        yield name, a[0], b[0]
        return
    left, right = {side.scope: side for side in a}, {side.scope: side for side in b}
    for scope in [*left, *(scope for scope in right if scope not in left)]:
        yield scope, left.get(scope), right.get(scope)


def _facts(side: Side | None) -> dict[tuple[str, str], Any]:
    if side is None:
        return {("run", "state"): None}
    facts: dict[tuple[str, str], Any] = {
        ("run", "state"): side.state,
        ("run", "exit_code"): side.exit_code,
        ("run", "duration_ms"): side.duration_ms,
        ("run", "peak_memory_bytes"): side.peak_memory_bytes,
        ("run", "job"): side.job,
        ("run", "host"): side.host,
        ("run", "os_user"): side.os_user,
        ("run", "version"): side.version,
        ("run", "command"): side.command,
        ("run", "is_scheduled"): side.slot_at is not None,
    }
    facts |= {("count", name): value for name, value in side.counts.items()}
    facts |= {("metric", name): value for name, value in side.metrics.items()}
    # Versions of rules, limits and the like: what a job keeps as plain values; its lists and tables are its own affair.
    facts |= {
        ("evidence", name): value
        for name, value in side.evidence.items()
        if value is None or isinstance(value, str | int | float | bool)
    }
    facts |= {("event", name): number for name, number in side.events.items()}
    facts |= {("error", "class"): side.error_class, ("error", "message"): side.error_message}
    return facts


def _difference(scope: str, kind: str, name: str, a: object, b: object) -> Difference:
    if kind in ("count", "event"):  # what was not counted is none
        a, b = (0 if a is None else a), (0 if b is None else b)
    change, share = _change(a, b)
    is_different = a != b
    is_notable = is_different and (share is None or abs(share) >= NOTABLE_SHARE)
    return Difference(scope, kind, name, a, b, change, share, is_different, is_notable)


def _change(a: object, b: object) -> tuple[float | None, float | None]:
    if not (_is_number(a) and _is_number(b)):
        return None, None
    change = b - a
    return change, change / a if a else None


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)
