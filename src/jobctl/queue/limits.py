"""Store of queue.limits: how many tasks may run at the same time, for all workers on all hosts."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import psycopg

from jobctl.settings_queue import QueueSettings, TypePolicy

# Whoever claims, or changes what may be claimed, does so under this lock, one after the other.
LOCK_ADMISSION = "SELECT pg_catalog.pg_advisory_xact_lock(5893116907335246081)"


class Limit(NamedTuple):
    running: int | None
    rate_per_minute: float | None = None


Limits = Mapping[tuple[str, str], Limit]  # by kind and name

READ = "SELECT kind, name, running, rate_per_minute FROM queue.limits"

DELETE = """
DELETE FROM queue.limits AS l USING unnest(%(kinds)s::text[], %(names)s::text[]) AS g (kind, name)
WHERE l.kind = g.kind AND l.name = g.name
"""

# A rate that stays the same keeps its pace.
UPSERT = """
INSERT INTO queue.limits AS l (kind, name, running, rate_per_minute)
SELECT s.kind, s.name, s.running, s.rate_per_minute
FROM unnest(%(kinds)s::text[], %(names)s::text[], %(running)s::integer[], %(rates)s::float8[])
    AS s (kind, name, running, rate_per_minute)
ORDER BY s.kind, s.name
ON CONFLICT (kind, name) DO UPDATE
SET running = excluded.running, rate_per_minute = excluded.rate_per_minute,
    next_start_at = CASE WHEN l.rate_per_minute = excluded.rate_per_minute THEN l.next_start_at END,
    told_at = clock_timestamp()
"""


def tell(conn: psycopg.Connection, settings: QueueSettings, *, types: Iterable[str] = ()) -> int:
    """Make the limits what the settings say, for every claim that begins afterwards; how many differed. `types` are
    those that have a handler here: the defaults are theirs too, where settings do not name them."""
    with conn.transaction():
        conn.execute(LOCK_ADMISSION)
        told = {(kind, name): Limit(running, rate) for kind, name, running, rate in conn.execute(READ)}
        wanted = _wanted(settings, types, told)
        gone = sorted(told.keys() - wanted.keys())
        changed = sorted(key for key, limit in wanted.items() if told.get(key) != limit)
        if gone:
            conn.execute(DELETE, {"kinds": [kind for kind, _ in gone], "names": [name for _, name in gone]})
        if changed:
            conn.execute(
                UPSERT,
                {
                    "kinds": [kind for kind, _ in changed],
                    "names": [name for _, name in changed],
                    "running": [wanted[key].running for key in changed],
                    "rates": [wanted[key].rate_per_minute for key in changed],
                },
            )
    return len(gone) + len(changed)


def _wanted(settings: QueueSettings, types: Iterable[str], told: Limits) -> Limits:
    limits = {("all", ""): Limit(settings.running), ("each_user", ""): Limit(settings.per_user)}
    limits |= {("user", user_id): Limit(running) for user_id, running in settings.users.items()}
    # A type that another host told has a handler there, and falls under the same defaults.
    names = {*settings.types, *types, *(name for kind, name in told if kind == "type")}
    policies = {name: settings.policy_of(name) for name in names}
    return limits | {("type", name): _limit(policy) for name, policy in policies.items() if _is_limited(policy)}


def _limit(policy: TypePolicy) -> Limit:
    return Limit(policy.running, policy.rate_per_minute)


def _is_limited(policy: TypePolicy) -> bool:
    return policy.running is not None or policy.rate_per_minute is not None
