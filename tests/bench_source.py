"""A small branch whose source changes, and what the tables must say of it once it is ingested.

Every version of a record has a payload of its own, so that a state names the version it was made from, and an effect
that happened twice shows as a second row about the same version.

Which versions a run gets to see depends on when it runs. So that the end does not: records that were ever good end good
or withdrawn; those that end refused were never good; and those that are withdrawn and restored keep their content.
"""

import hashlib
import json
import random
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

FIELD_MAP = {
    "record_id": "id",
    "name": "name",
    "city": "city",
    "country": "country",
    "latitude": "lat",
    "longitude": "lon",
    "attributes.version": "version",
}

# What a record's number says of its fate, by its last digit.
NEVER_GOOD = frozenset({7})
COMES_AND_GOES = frozenset({8, 9})

INSERT_BRANCH = """
INSERT INTO branch.branches (slug, title, field_map, active, loaded_at, max_withdraw_share)
VALUES (%s, %s, %s, true, pg_catalog.clock_timestamp(), 1) RETURNING branch_id
"""

WRITE_RECORDS = """
INSERT INTO branch.records AS r (branch_id, record_key, payload, payload_hash, source_version, load_id)
SELECT %(branch_id)s, s.key, s.payload, s.hash::uuid, s.version, 1
FROM unnest(%(keys)s::text[], %(payloads)s::text[], %(hashes)s::text[], %(versions)s::bigint[])
    AS s (key, payload, hash, version)
ON CONFLICT (branch_id, record_key) DO UPDATE
SET payload = excluded.payload, payload_hash = excluded.payload_hash, source_version = excluded.source_version,
    changed_xid = pg_catalog.pg_current_xact_id(), changed_at = pg_catalog.clock_timestamp(), withdrawn_at = NULL
"""

WITHDRAW = """
UPDATE branch.records
SET withdrawn_at = CASE WHEN %(gone)s THEN pg_catalog.clock_timestamp() END,
    changed_xid = pg_catalog.pg_current_xact_id(), changed_at = pg_catalog.clock_timestamp()
WHERE branch_id = %(branch_id)s AND record_key = ANY(%(keys)s)
"""


@dataclass
class Source:
    """One branch in one or more databases that are to stay alike."""

    conns: list[psycopg.Connection]
    slug: str = "places"
    count: int = 60
    versions: dict[int, int] = field(default_factory=dict[int, int])
    bad: set[int] = field(default_factory=set[int])
    gone: set[int] = field(default_factory=set[int])
    branch_ids: list[int] = field(default_factory=list[int])

    def create(self) -> "Source":
        for conn in self.conns:
            row = conn.execute(INSERT_BRANCH, (self.slug, self.slug.title(), Jsonb(FIELD_MAP))).fetchone()
            assert row is not None
            self.branch_ids.append(row[0])
        self.write({number: number % 10 in NEVER_GOOD for number in range(self.count)})
        return self

    def write(self, bad_of: dict[int, bool]) -> None:
        """A new version of each of these records, bad or good."""
        numbers = sorted(bad_of)
        for number in numbers:
            self.versions[number] = self.versions.get(number, 0) + 1
            (self.bad.add if bad_of[number] else self.bad.discard)(number)
            self.gone.discard(number)
        payloads = [self._payload(number) for number in numbers]
        for conn, branch_id in zip(self.conns, self.branch_ids, strict=True):
            with conn.transaction():
                conn.execute(
                    WRITE_RECORDS,
                    {
                        "branch_id": branch_id,
                        "keys": [_key(number) for number in numbers],
                        "payloads": payloads,
                        "hashes": [hashlib.md5(payload.encode()).hexdigest() for payload in payloads],
                        "versions": [self.versions[number] for number in numbers],
                    },
                )

    def withdraw(self, numbers: list[int], *, gone: bool = True) -> None:
        (self.gone.update if gone else self.gone.difference_update)(numbers)
        keys = [_key(number) for number in numbers]
        for conn, branch_id in zip(self.conns, self.branch_ids, strict=True):
            conn.execute(WITHDRAW, {"branch_id": branch_id, "keys": keys, "gone": gone})

    def change(self, rng: random.Random, share: float = 0.4) -> None:
        """New versions, good ones that go bad and come back, some withdrawn, some restored, some new."""
        changed: dict[int, bool] = {}
        for number in list(self.versions):
            if number % 10 in COMES_AND_GOES or rng.random() > share:
                continue
            changed[number] = number % 10 in NEVER_GOOD or rng.random() < 0.3
        for _ in range(rng.randrange(4)):
            new = len(self.versions) + sum(number not in self.versions for number in changed)
            changed[new] = new % 10 in NEVER_GOOD
        self.write(changed)
        moving = [n for n in self.versions if n % 10 in COMES_AND_GOES and rng.random() < share]
        self.withdraw([n for n in moving if n not in self.gone])
        self.withdraw([n for n in moving if n in self.gone and rng.random() < 0.5], gone=False)

    def settle(self) -> None:
        """What was ever good ends good."""
        self.write({number: False for number in sorted(self.bad) if number % 10 not in NEVER_GOOD})

    def _payload(self, number: int) -> str:
        version = self.versions[number]
        return json.dumps(
            {
                "id": _key(number),
                "name": f"Place {number} as of {version}",
                "city": f"Town {number % 13}",
                "country": ("DE", "FR", "US")[number % 3],
                "lat": 999 if number in self.bad else round(40 + number / 1000, 4),
                "lon": round(5 + version / 1000, 4),
                "version": version,
            }
        )


def _key(number: int) -> str:
    return f"r{number:05d}"


ITEMS = """
SELECT pg_catalog.to_jsonb(i)
        - ARRAY['branch_id', 'run_id', 'first_seen_at', 'last_changed_at', 'withdrawn_at'] AS item,
    i.withdrawn_at IS NOT NULL AS gone
FROM core.items AS i ORDER BY i.branch_id, i.record_key
"""
REJECTS = """
SELECT record_key, payload_hash::text, reason, field FROM branch.rejects
WHERE resolved_at IS NULL ORDER BY record_key, payload_hash
"""
WAITING = """
SELECT subject_id, content_hash::text FROM queue.tasks WHERE state = 'queued' AND type = 'embed' ORDER BY subject_id
"""


@dataclass(frozen=True)
class State:
    """What ingesting leaves behind, without the names of runs and the times."""

    items: dict[str, tuple[dict[str, Any], bool]]
    rejects: list[tuple[Any, ...]]
    waiting: list[tuple[Any, ...]]

    @classmethod
    def of(cls, conn: psycopg.Connection) -> "State":
        return cls(
            {item["record_key"]: (item, gone) for item, gone in conn.execute(ITEMS).fetchall()},
            conn.execute(REJECTS).fetchall(),
            conn.execute(WAITING).fetchall(),
        )


def differences(state: State, expected: State) -> list[str]:
    """In words. A record that came and went between two runs may be absent where the other has a tombstone."""
    found: list[str] = []
    for key in sorted(state.items.keys() | expected.items.keys()):
        ours, theirs = state.items.get(key), expected.items.get(key)
        if ours == theirs:
            continue
        only = ours or theirs
        if (ours is None or theirs is None) and only is not None and only[1]:
            continue
        found.append(f"item {key} is {_short(ours)}, expected {_short(theirs)}")
    found += [f"open reject {row} is too much" for row in state.rejects if row not in expected.rejects]
    found += [f"open reject {row} is missing" for row in expected.rejects if row not in state.rejects]
    found += [f"task {row} is too much" for row in state.waiting if row not in expected.waiting]
    found += [f"task {row} is missing" for row in expected.waiting if row not in state.waiting]
    if len(state.waiting) != len(expected.waiting):
        found.append(f"{len(state.waiting)} tasks wait, expected {len(expected.waiting)}")
    return found


def _short(item: tuple[dict[str, Any], bool] | None) -> str:
    if item is None:
        return "absent"
    return f"{item[0]['name']!r} from version {item[0]['source_version']}{', withdrawn' if item[1] else ''}"


# Each is a question whose every row is a violation; none of them looks at another database.
INVARIANTS = {
    "a live, good record has no item of its version": """
        SELECT r.record_key FROM branch.records AS r
        LEFT JOIN core.items AS i ON i.item_id = r.record_no
            AND i.payload_hash = r.payload_hash AND i.source_version = r.source_version AND i.withdrawn_at IS NULL
        LEFT JOIN branch.rejects AS j ON j.record_no = r.record_no AND j.payload_hash = r.payload_hash
            AND j.resolved_at IS NULL
        WHERE r.withdrawn_at IS NULL AND i.item_id IS NULL AND j.record_no IS NULL""",
    "a withdrawn record has a live item or an open reject": """
        SELECT r.record_key FROM branch.records AS r
        LEFT JOIN core.items AS i ON i.item_id = r.record_no
        LEFT JOIN branch.rejects AS j ON j.record_no = r.record_no AND j.resolved_at IS NULL
        WHERE r.withdrawn_at IS NOT NULL
          AND ((i.item_id IS NOT NULL AND i.withdrawn_at IS NULL) OR j.record_no IS NOT NULL)""",
    "a refusal was written twice": """
        SELECT record_key, payload_hash, count(*) FROM branch.rejects
        GROUP BY branch_id, record_key, payload_hash, rules HAVING count(*) > 1""",
    "a live item has not exactly one waiting task of its content, nor one that is done": """
        SELECT i.item_id, count(t.task_id) FROM core.items AS i
        LEFT JOIN queue.tasks AS t ON t.subject_id = i.item_id AND t.type = 'embed' AND t.content_hash = i.content_hash
        WHERE i.withdrawn_at IS NULL GROUP BY i.item_id
        HAVING count(*) FILTER (WHERE t.state = 'queued') <> 1
           AND count(*) FILTER (WHERE t.state = 'succeeded') = 0""",
    "a task waits for what is no live item": """
        SELECT t.subject_id FROM queue.tasks AS t
        LEFT JOIN core.items AS i ON i.item_id = t.subject_id AND i.withdrawn_at IS NULL
            AND i.content_hash = t.content_hash
        WHERE t.state = 'queued' AND i.item_id IS NULL""",
    "a run is left running": "SELECT run_id, scope FROM ops.job_history WHERE status = 'running'",
    "a lock is left held": """
        SELECT l.pid FROM pg_catalog.pg_locks AS l JOIN ops.locks AS k
            ON (l.classid::bigint << 32) | l.objid::bigint = k.lock_key
        WHERE l.locktype = 'advisory' AND l.granted
          AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())""",
    "a run's counts do not add up": """
        SELECT run_id, counts FROM ops.job_history
        WHERE counts ? 'read' AND (counts ->> 'read')::bigint <> (counts ->> 'inserted')::bigint
            + (counts ->> 'updated')::bigint + (counts ->> 'unchanged')::bigint + (counts ->> 'rejected')::bigint
            + (counts ->> 'skipped')::bigint""",
    "two runs of a scope overlap": """
        SELECT a.run_id, b.run_id FROM ops.job_history AS a JOIN ops.job_history AS b
            ON a.job = b.job AND a.scope = b.scope AND a.fence < b.fence AND a.status = 'completed'
            AND b.started_at < a.finished_at""",
}


def violations(conn: psycopg.Connection) -> list[str]:
    """What must never be, after a run that was not disturbed."""
    found: list[str] = []
    for name, question in INVARIANTS.items():
        rows = conn.execute(question.encode()).fetchall()
        if rows:
            found.append(f"{name}: {len(rows)} times, first {rows[0]}")
    return found
