"""Store of branch.rejects as the ingest writes it: what was refused in a run, and what was accepted after all."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import psycopg


@dataclass(frozen=True, slots=True)
class Refusal:
    record_no: int
    reason: str
    field: str
    detail: str


# A record has one open reject. An older one stays, closed, with the payload it spoke of.
SUPERSEDE = """
UPDATE branch.rejects
SET resolved_at = clock_timestamp(), resolution = 'superseded', resolved_run_id = %(run_id)s
WHERE record_no = ANY(%(record_nos)s) AND resolved_at IS NULL
"""

# The raw payload is copied where it is, and may be larger than a worker should hold.
INSERT = """
INSERT INTO branch.rejects (branch_id, record_no, record_key, run_id, reason, field, detail, payload, payload_hash,
    rules)
SELECT r.branch_id, r.record_no, r.record_key, %(run_id)s, f.reason, f.field, f.detail, r.payload, r.payload_hash,
    %(rules)s
FROM unnest(%(record_nos)s::bigint[], %(reasons)s::text[], %(fields)s::text[], %(details)s::text[])
    AS f (record_no, reason, field, detail)
JOIN branch.records AS r ON r.record_no = f.record_no
ORDER BY f.record_no
"""


def refuse(conn: psycopg.Connection, refusals: Sequence[Refusal], *, run_id: UUID, rules: str) -> int:
    """Keep each refused record with its reason. Nothing that came in is lost."""
    if not refusals:
        return 0
    record_nos = [refusal.record_no for refusal in refusals]
    conn.execute(SUPERSEDE, {"record_nos": record_nos, "run_id": run_id})
    return conn.execute(
        INSERT,
        {
            "record_nos": record_nos,
            "reasons": [refusal.reason for refusal in refusals],
            "fields": [refusal.field for refusal in refusals],
            "details": [refusal.detail for refusal in refusals],
            "run_id": run_id,
            "rules": rules,
        },
    ).rowcount


RESOLVE = """
UPDATE branch.rejects
SET resolved_at = clock_timestamp(), resolution = %(resolution)s, resolved_run_id = %(run_id)s
WHERE record_no = ANY(%(record_nos)s) AND resolved_at IS NULL
"""


def resolve(conn: psycopg.Connection, record_nos: Sequence[int], *, resolution: str, run_id: UUID) -> int:
    """Close open rejects: the record was `accepted`, or `withdrawn` by its source."""
    if not record_nos:
        return 0
    return conn.execute(RESOLVE, {"record_nos": list(record_nos), "resolution": resolution, "run_id": run_id}).rowcount
