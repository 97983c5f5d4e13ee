"""Slots that were missed and that no run has made up for, as they are known now.

The ledger gives a slot its verdict when the next job starts anywhere (schedule/ledger.py), and only a start may write.
Who only looks must not wait for that: what the ledger would say now is worked out here from the same lines and by the
same rule, and nothing is written.
"""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

import psycopg
from psycopg.rows import class_row

from jobctl.monitor.runs import course, recent
from jobctl.monitor.runs.facts import Missed, Place
from jobctl.schedule import verdicts
from jobctl.schedule.expression import ExpressionError, parse
from jobctl.schedule.ledger import OTHER_HOST_GRACE
from jobctl.schedule.pause import Pause
from jobctl.schedule.registry import Schedule

LOOKED_BACK = timedelta(days=31)
MOST = 1_000
UNKNOWN = "nobody has answered for it; the next start of any job tells why"

Key = tuple[str, str, datetime]


class _Slot(NamedTuple):
    job: str
    scope: str
    slot_at: datetime
    slot_local: str
    host: str
    reason: str


JUDGED = """
SELECT job, scope, slot_at, slot_local, host, reason FROM ops.slots
WHERE verdict = 'missed' AND covered_by_run_id IS NULL AND slot_at >= %(since)s
ORDER BY slot_at DESC LIMIT %(most)s
"""
KNOWN = """
SELECT s.job, s.scope, s.slot_at
FROM unnest(%(jobs)s::text[], %(scopes)s::text[], %(moments)s::timestamptz[]) AS g (job, scope, slot_at)
JOIN ops.slots AS s ON s.job = g.job AND s.scope = g.scope AND s.slot_at = g.slot_at
"""


def standing(
    conn: psycopg.Connection,
    schedules: Sequence[Schedule],
    pauses: Sequence[Pause],
    places: Sequence[Place],
    *,
    host: str,
    now: datetime,
) -> list[Missed]:
    """The latest first. `pauses` are those since `LOOKED_BACK`, `host` is where this process runs."""
    parameters = {"since": now - LOOKED_BACK, "most": MOST}
    with conn.cursor(row_factory=class_row(_Slot)) as cursor:
        judged = cursor.execute(JUDGED, parameters).fetchall()
    ahead = _not_judged(conn, schedules, pauses, host=host, now=now)
    by_line: dict[tuple[str, str], list[tuple[_Slot, bool]]] = defaultdict(list)
    for slots, is_judged in ((judged, True), (ahead, False)):
        for slot in slots:
            if not _is_made_up_for(slot, places):
                by_line[slot.job, slot.scope].append((slot, is_judged))
    found: list[Missed] = []
    for (job, scope), slots in by_line.items():
        slot, is_judged = max(slots, key=lambda each: each[0].slot_at)
        moments = {each.slot_at for each, _ in slots}
        found.append(Missed(job, scope, slot.host, slot.slot_at, slot.slot_local, len(moments), slot.reason, is_judged))
    return sorted(found, key=lambda each: each.slot_at, reverse=True)


def _is_made_up_for(slot: _Slot, places: Sequence[Place]) -> bool:
    """By any run since that completed, as the incident of a missed slot is over by then, too."""
    of_line = recent.of_job(places, slot.job, slot.scope)
    return any((success := course.last_success(place.runs)) and success >= slot.slot_at for place in of_line)


def _not_judged(
    conn: psycopg.Connection, schedules: Sequence[Schedule], pauses: Sequence[Pause], *, host: str, now: datetime
) -> list[_Slot]:
    found: dict[Key, _Slot] = {}
    for line in schedules:
        grace = timedelta(seconds=line.start_grace_s) + (timedelta() if line.host == host else OTHER_HOST_GRACE)
        try:
            expression, zone = parse(line.expression), ZoneInfo(line.zone)
        except (ExpressionError, OSError, ValueError):
            continue  # no start can judge it either, and tells that
        slots, _ = verdicts.due(expression, zone, evaluated_until=line.evaluated_until, until=now - grace)
        for slot_at in slots:
            if any(pause.covers(line.job, line.scope, slot_at) for pause in pauses):
                continue
            local = verdicts.local_text(slot_at, zone)
            found[line.job, line.scope, slot_at] = _Slot(line.job, line.scope, slot_at, local, line.host, UNKNOWN)
    if found:
        jobs, scopes, moments = zip(*found, strict=True)
        parameters = {"jobs": list(jobs), "scopes": list(scopes), "moments": list(moments)}
        for job, scope, slot_at in conn.execute(KNOWN, parameters):
            del found[job, scope, slot_at]
    return list(found.values())
