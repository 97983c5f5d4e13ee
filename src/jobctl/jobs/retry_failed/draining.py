"""The last step of `retry-failed`: what is due is worked off within the time that is left, as `work` does it."""

from collections.abc import Sequence

import psycopg

from jobctl import clock
from jobctl.jobs.retry_failed.progress import Progress
from jobctl.jobs.work import job as work
from jobctl.jobs.work.handlers import installed
from jobctl.queue import left
from jobctl.redact import Redactor
from jobctl.settings import Settings

MARGIN_S = 10.0  # before the run's end, beside the grace that a process gets to end in
SHORTEST_S = 10.0


def types_here(progress: Progress, types: Sequence[str] | None) -> list[str]:
    """Of these types, or of all, those that have a handler on this host."""
    here = installed().types
    for type_ in types or ():
        if type_ not in here:
            progress.notes.append(f"no handler is registered here for {type_!r}: what is due of it is left to others")
    return [type_ for type_ in here if types is None or type_ in types]


def drain(progress: Progress, settings: Settings, redactor: Redactor, types: Sequence[str], *, ends_at: float) -> None:
    """Limit, lease and try are what they are to any other worker."""
    left_s = ends_at - clock.monotonic() - settings.kill_grace_s - MARGIN_S
    if left_s < SHORTEST_S:
        progress.notes.append("there was no time left to work off what is due")
        return
    outcome = work.work(progress.run, work.Options(types=types, max_runtime_s=left_s), settings, redactor)
    drained = outcome.counts["claimed"] - outcome.counts["released"]
    progress.counts["drained"] += drained
    if drained:
        progress.run.event("drained", tasks=drained, counts=dict(outcome.counts))
    if outcome.counts["claimed"] or outcome.degraded:
        progress.notes.extend(f"working off what is due: {note}" for note in outcome.notes)
    progress.is_incomplete = progress.is_incomplete or outcome.degraded
    if outcome.error is not None:
        raise outcome.error


def count_due(progress: Progress, conn: psycopg.Connection, types: Sequence[str]) -> None:
    """In a dry run: what would be worked off, if there is time and each try goes well."""
    progress.counts["drained"] += sum(left.due(conn, types).values())
