"""Store of ops.slots: what became of each moment at which a job was expected to start.

    (nothing) --claim--> ran | late | dst_shifted      a start answers for it
    (nothing) --judge--> missed | paused               its grace is over and nobody came
    missed | paused | skipped_locked --claim--> late   a catch-up, or a start that was very late
    ran | late | dst_shifted --locked--> skipped_locked   its start found the lock held, in all its scopes

The row's key is job, scope and moment, so two hosts with the same crontab, two crons on one host and the second time
round in the hour that the clocks repeat all ask for the same row, and one of them gets it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import psycopg
from psycopg.rows import class_row
from psycopg.types.json import Jsonb


@dataclass(frozen=True, slots=True)
class Slot:
    job: str
    scope: str
    slot_at: datetime
    slot_local: str
    verdict: str
    host: str
    run_id: UUID | None
    started_at: datetime | None
    covered_by_run_id: UUID | None
    reason: str
    evidence: Mapping[str, object] | None


# Zero rows: another run has answered for this slot.
CLAIM = """
INSERT INTO ops.slots AS s (job, scope, slot_at, slot_local, verdict, host, run_id, started_at)
VALUES (%(job)s, %(scope)s, %(slot_at)s, %(slot_local)s, %(verdict)s, %(host)s, %(run_id)s, %(started_at)s)
ON CONFLICT (job, scope, slot_at) DO UPDATE
SET verdict = 'late', host = excluded.host, run_id = excluded.run_id, started_at = excluded.started_at,
    decided_at = clock_timestamp()
WHERE s.verdict IN ('missed', 'paused', 'skipped_locked')
"""


def claim(
    conn: psycopg.Connection,
    job: str,
    scope: str,
    slot_at: datetime,
    *,
    slot_local: str,
    verdict: str,
    host: str,
    run_id: UUID,
    started_at: datetime,
) -> bool:
    """Whether this run is the one that answers for the slot."""
    parameters = {
        "job": job,
        "scope": scope,
        "slot_at": slot_at,
        "slot_local": slot_local,
        "verdict": verdict,
        "host": host,
        "run_id": run_id,
        "started_at": started_at,
    }
    return conn.execute(CLAIM, parameters).rowcount == 1


# Zero rows: the slot has its verdict already.
JUDGE = """
INSERT INTO ops.slots (job, scope, slot_at, slot_local, verdict, host, reason, evidence)
VALUES (%(job)s, %(scope)s, %(slot_at)s, %(slot_local)s, %(verdict)s, %(host)s, %(reason)s, %(evidence)s)
ON CONFLICT (job, scope, slot_at) DO NOTHING
"""


def judge(
    conn: psycopg.Connection,
    job: str,
    scope: str,
    slot_at: datetime,
    *,
    slot_local: str,
    verdict: str,
    host: str,
    reason: str,
    evidence: Mapping[str, object] | None = None,
) -> bool:
    """Write the verdict on a slot that nobody answered for. False: somebody did, or another judge was first."""
    parameters = {
        "job": job,
        "scope": scope,
        "slot_at": slot_at,
        "slot_local": slot_local,
        "verdict": verdict,
        "host": host,
        "reason": reason,
        "evidence": Jsonb(dict(evidence)) if evidence is not None else None,
    }
    return conn.execute(JUDGE, parameters).rowcount == 1


# A run that could not reach the database claimed nothing; its row came in later, with the slot it was for.
TAKE_FROM_HISTORY = """
INSERT INTO ops.slots AS s (job, scope, slot_at, slot_local, verdict, host, run_id, started_at, reason)
SELECT %(job)s, %(scope)s, %(slot_at)s, %(slot_local)s, 'ran', h.host, h.run_id, h.started_at,
    'the run could not reach the database'
FROM ops.job_history AS h
WHERE h.job = %(job)s AND h.slot_at = %(slot_at)s AND h.replayed_at IS NOT NULL AND h.scope IN ('', %(scope)s)
ORDER BY h.started_at LIMIT 1
ON CONFLICT (job, scope, slot_at) DO UPDATE
SET verdict = 'ran', host = excluded.host, run_id = excluded.run_id, started_at = excluded.started_at,
    reason = excluded.reason, decided_at = clock_timestamp()
WHERE s.verdict = 'missed'
"""


def take_from_history(conn: psycopg.Connection, job: str, scope: str, slot_at: datetime, *, slot_local: str) -> bool:
    parameters = {"job": job, "scope": scope, "slot_at": slot_at, "slot_local": slot_local}
    return conn.execute(TAKE_FROM_HISTORY, parameters).rowcount == 1


LOCKED = """
UPDATE ops.slots SET verdict = 'skipped_locked', reason = %(reason)s, decided_at = clock_timestamp()
WHERE job = %(job)s AND scope = %(scope)s AND slot_at = %(slot_at)s AND run_id = %(run_id)s
  AND verdict IN ('ran', 'late', 'dst_shifted')
"""


def skipped_locked(
    conn: psycopg.Connection, job: str, scope: str, slot_at: datetime, *, run_id: UUID, reason: str
) -> None:
    """Zero rows: the slot has passed to another run meanwhile."""
    conn.execute(LOCKED, {"job": job, "scope": scope, "slot_at": slot_at, "run_id": run_id, "reason": reason})


# For a job whose one run does the work of all the slots before it.
COVER = """
UPDATE ops.slots SET covered_by_run_id = %(run_id)s
WHERE job = %(job)s AND scope = %(scope)s AND slot_at < %(slot_at)s AND covered_by_run_id IS NULL
  AND verdict IN ('missed', 'paused', 'skipped_locked')
"""


def cover(conn: psycopg.Connection, job: str, scope: str, slot_at: datetime, *, run_id: UUID) -> int:
    """Say that this run did the work of the unanswered slots before its own; gives how many."""
    return conn.execute(COVER, {"job": job, "scope": scope, "slot_at": slot_at, "run_id": run_id}).rowcount


ONE = """
SELECT job, scope, slot_at, slot_local, verdict, host, run_id, started_at, covered_by_run_id, reason, evidence
FROM ops.slots WHERE job = %(job)s AND scope = %(scope)s AND slot_at = %(slot_at)s
"""


def get(conn: psycopg.Connection, job: str, scope: str, slot_at: datetime) -> Slot | None:
    with conn.cursor(row_factory=class_row(Slot)) as cursor:
        return cursor.execute(ONE, {"job": job, "scope": scope, "slot_at": slot_at}).fetchone()


# Missed, not covered, tried less than three times, and with nothing after it that ran: the newest first.
OWED = """
SELECT job, scope, slot_at, slot_local, verdict, host, run_id, started_at, covered_by_run_id, reason, evidence
FROM ops.slots AS s
WHERE s.job = %(job)s AND s.scope = %(scope)s AND s.verdict = 'missed' AND s.covered_by_run_id IS NULL
  AND s.slot_at > %(since)s AND coalesce((s.evidence ->> 'catch_up_tries')::integer, 0) < 3
  AND (%(each)s OR NOT EXISTS (
    SELECT FROM ops.slots AS later
    WHERE later.job = s.job AND later.scope = s.scope AND later.slot_at > s.slot_at
      AND later.verdict IN ('ran', 'late', 'dst_shifted')))
ORDER BY s.slot_at DESC LIMIT %(cap)s
"""


def owed(conn: psycopg.Connection, job: str, scope: str, *, since: datetime, each: bool, cap: int) -> list[Slot]:
    """The slots that a catch-up has to do, oldest first: each missed one, or the latest where one run covers all."""
    parameters = {"job": job, "scope": scope, "since": since, "each": each, "cap": cap if each else 1}
    with conn.cursor(row_factory=class_row(Slot)) as cursor:
        return cursor.execute(OWED, parameters).fetchall()[::-1]


# Zero rows: somebody has answered for it, or another host is trying.
COUNT_TRY = """
UPDATE ops.slots
SET evidence = coalesce(evidence, '{}') || pg_catalog.jsonb_build_object(
        'catch_up_tries', coalesce((evidence ->> 'catch_up_tries')::integer, 0) + 1, 'catch_up_tried_at', %(now)s::text)
WHERE job = %(job)s AND scope = %(scope)s AND slot_at = %(slot_at)s AND verdict = 'missed'
"""


def count_try(conn: psycopg.Connection, slot: Slot, now: datetime) -> bool:
    parameters = {"job": slot.job, "scope": slot.scope, "slot_at": slot.slot_at, "now": now.isoformat()}
    return conn.execute(COUNT_TRY, parameters).rowcount == 1


MISSED = """
SELECT CASE job WHEN 'run' THEN 'run ' || scope ELSE job END, count(*) FROM ops.slots
WHERE verdict = 'missed' AND slot_at >= %(since)s AND slot_at < %(until)s GROUP BY 1 ORDER BY 1
"""


def missed_between(conn: psycopg.Connection, since: datetime, until: datetime) -> dict[str, int]:
    """By job; what `jobctl run NAME` wraps is one for each name."""
    return dict(conn.execute(MISSED, {"since": since, "until": until}).fetchall())


SINCE = """
SELECT job, scope, slot_at, slot_local, verdict, host, run_id, started_at, covered_by_run_id, reason, evidence
FROM ops.slots
WHERE slot_at >= %(since)s AND (%(job)s = '' OR job = %(job)s)
  AND (cardinality(%(verdicts)s::text[]) = 0 OR verdict = ANY (%(verdicts)s))
ORDER BY slot_at DESC, job, scope LIMIT %(limit)s
"""


def since(
    conn: psycopg.Connection, moment: datetime, *, job: str = "", verdicts: Sequence[str] = (), limit: int = 100
) -> list[Slot]:
    """The newest first."""
    parameters = {"since": moment, "job": job, "verdicts": list(verdicts), "limit": limit}
    with conn.cursor(row_factory=class_row(Slot)) as cursor:
        return cursor.execute(SINCE, parameters).fetchall()
