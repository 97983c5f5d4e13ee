"""After the projects: what nobody asks for any more is dropped, in batches. What the archive takes is left to it."""

from collections.abc import Callable, Collection
from datetime import timedelta
from typing import Final

import psycopg

from jobctl.github import etag_store
from jobctl.projects.objects import payloads
from jobctl.runtime import events
from jobctl.runtime.run import Run
from jobctl.settings_sync import SyncSettings

ETAG_DAYS: Final = 30
BATCH: Final = 5_000
ALL: Final = 1_000_000_000  # of a dry run, whose one batch is rolled back


def clean(
    run: Run,
    conn: psycopg.Connection,
    settings: SyncSettings,
    used: Collection[tuple[str, str]],
    *,
    archived: Collection[str] = (),
) -> dict[str, int]:
    """How many rows of each. `used` are the ETags that were of use, by identity and URL; `archived` what the archive
    takes."""
    too_old = timedelta(days=settings.events_days)
    kept = timedelta(days=settings.payload_days)
    unused = timedelta(days=ETAG_DAYS)

    def prune_etags(limit: int) -> int:
        etag_store.stamp_all(conn, used)
        return etag_store.prune(conn, unused_for=unused, limit=limit)

    def prune_events(limit: int) -> int:
        return events.prune(conn, run.identity.job, older_than=too_old, limit=limit)

    def prune_payloads(limit: int) -> int:
        return payloads.prune(conn, older_than=kept, limit=limit)

    return {
        "events_pruned": 0 if "events" in archived else _all(run, conn, prune_events),
        "etags_pruned": _all(run, conn, prune_etags),
        "payloads_pruned": 0 if "payloads" in archived else _all(run, conn, prune_payloads),
    }


def _all(run: Run, conn: psycopg.Connection, prune: Callable[[int], int]) -> int:
    pruned = 0
    while True:
        run.stop.check()
        with run.effect(conn, wait_for_disk=False):
            batch = prune(ALL if run.dry_run else BATCH)
        pruned += batch
        if run.dry_run or batch < BATCH:
            return pruned
