"""Leaving tasks behind, in bulk and inside the caller's transaction.

A subject, or a key of the caller's own, has at most one waiting task of a type (and model version). A newer request
supersedes it in place: the waiting task then carries the newer content and keeps its turn, or comes to an earlier one
if the newer request asks for that. What runs already is not touched; the newer request waits beside it.
"""

import json
from collections.abc import Hashable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, LiteralString, NamedTuple
from uuid import UUID

import psycopg

from jobctl.queue import arrays

ROWS_A_STATEMENT = 5_000


class Request(NamedTuple):
    """A task that somebody wants done. `user_id` is whose limit and turn it counts against; '' is nobody's. At most one
    of `subject_id` and `dedupe_key` is given. Without `scheduled_at` it is due at once."""

    type: str
    payload: Mapping[str, Any] | None = None
    user_id: str = ""
    organization_id: str | None = None
    site_url: str | None = None
    subject_id: int | None = None
    dedupe_key: str | None = None
    model_version: str = ""
    content_hash: UUID | None = None
    priority: int = 0
    scheduled_at: datetime | None = None


class Enqueued(NamedTuple):
    """How many tasks are new, and how many requests were folded into one that waited or came with them."""

    new: int
    superseded: int


_INSERT = """
INSERT INTO queue.tasks AS t (type, payload, user_id, organization_id, site_url, subject_id, dedupe_key, model_version,
    content_hash, priority, scheduled_at, run_id)
SELECT r.type, r.payload::jsonb, r.user_id, r.organization_id, r.site_url, r.subject_id, r.dedupe_key, r.model_version,
    r.content_hash, r.priority, coalesce(r.scheduled_at, statement_timestamp()), %(run_id)s
FROM unnest(
    %(types)s::text::text[], %(payloads)s::text::text[], %(user_ids)s::text::text[], %(organization_ids)s::text::text[],
    %(site_urls)s::text::text[], %(subject_ids)s::text::bigint[], %(dedupe_keys)s::text::text[],
    %(model_versions)s::text::text[], %(content_hashes)s::text::uuid[], %(priorities)s::text::smallint[],
    %(scheduled_at)s::text::timestamptz[]
) WITH ORDINALITY AS r (type, payload, user_id, organization_id, site_url, subject_id, dedupe_key, model_version,
    content_hash, priority, scheduled_at, number)
"""
_SUPERSEDE = """
DO UPDATE SET payload = excluded.payload, content_hash = excluded.content_hash, run_id = excluded.run_id,
    organization_id = excluded.organization_id, site_url = excluded.site_url,
    priority = greatest(t.priority, excluded.priority), scheduled_at = least(t.scheduled_at, excluded.scheduled_at),
    updated_at = statement_timestamp()
"""
INSERT_PLAIN = _INSERT + "ORDER BY r.number RETURNING true"
# In the order of the unique index, so that two callers with the same subjects never wait for each other in a circle.
INSERT_SUBJECTS = (
    _INSERT
    + "ORDER BY r.type, r.subject_id, r.model_version\n"
    + "ON CONFLICT (type, subject_id, model_version) WHERE state = 'queued' AND subject_id IS NOT NULL"
    + _SUPERSEDE
    + "RETURNING xmax = 0"
)
INSERT_KEYS = (
    _INSERT
    + "ORDER BY r.type, r.dedupe_key\n"
    + "ON CONFLICT (type, dedupe_key) WHERE state = 'queued' AND dedupe_key IS NOT NULL"
    + _SUPERSEDE
    + "RETURNING xmax = 0"
)


def enqueue(conn: psycopg.Connection, requests: Iterable[Request], *, run_id: UUID | None = None) -> Enqueued:
    """Part of the caller's transaction; by itself (autocommit) it is one of its own."""
    plain: list[Request] = []
    subjects: dict[Hashable, Request] = {}
    keys: dict[Hashable, Request] = {}
    asked = 0
    for request in requests:
        asked += 1
        if request.subject_id is not None and request.dedupe_key is not None:
            raise ValueError(f"a task of type {request.type!r} has a subject or a key of its own, not both")
        if request.subject_id is not None:
            subjects[request.type, request.subject_id, request.model_version] = request
        elif request.dedupe_key is not None:
            keys[request.type, request.dedupe_key] = request
        else:
            plain.append(request)
    if not asked:
        return Enqueued(0, 0)
    with conn.transaction():
        new = (
            _insert(conn, INSERT_PLAIN, plain, run_id)
            + _insert(conn, INSERT_SUBJECTS, list(subjects.values()), run_id)
            + _insert(conn, INSERT_KEYS, list(keys.values()), run_id)
        )
    return Enqueued(new, asked - new)


def _insert(
    conn: psycopg.Connection, statement: LiteralString, requests: Sequence[Request], run_id: UUID | None
) -> int:
    new = 0
    for first in range(0, len(requests), ROWS_A_STATEMENT):
        rows = conn.execute(statement, _arrays(requests[first : first + ROWS_A_STATEMENT]) | {"run_id": run_id})
        new += sum(is_new for (is_new,) in rows)
    return new


def _arrays(requests: Sequence[Request]) -> dict[str, Any]:
    return {
        "types": arrays.of_texts([each.type for each in requests]),
        "payloads": arrays.of_texts([None if each.payload is None else json.dumps(each.payload) for each in requests]),
        "user_ids": arrays.of_texts([each.user_id for each in requests]),
        "organization_ids": arrays.of_texts([each.organization_id for each in requests]),
        "site_urls": arrays.of_texts([each.site_url for each in requests]),
        "subject_ids": arrays.of_numbers([each.subject_id for each in requests]),
        "dedupe_keys": arrays.of_texts([each.dedupe_key for each in requests]),
        "model_versions": arrays.of_texts([each.model_version for each in requests]),
        "content_hashes": arrays.of_texts([each.content_hash and str(each.content_hash) for each in requests]),
        "priorities": arrays.of_numbers([each.priority for each in requests]),
        "scheduled_at": arrays.of_texts([each.scheduled_at and each.scheduled_at.isoformat() for each in requests]),
    }
