"""`jobctl work --dry-run`: what a run would claim. It really claims, and rolls back; no handler is called."""

import os
from collections import Counter
from collections.abc import Sequence
from typing import Final

from psycopg import IsolationLevel

from jobctl.jobs.work.handlers import Handlers, unusable_notes
from jobctl.jobs.work.rescuing import rescue_lost
from jobctl.jobs.work.tally import NAMES
from jobctl.queue import left, limits, verdict
from jobctl.queue.claim import Claimer, find_lanes
from jobctl.queue.complete import complete
from jobctl.runtime.outcome import Outcome
from jobctl.runtime.run import Run
from jobctl.settings_queue import QueueSettings

# While this goes on nobody else can claim, so what is beyond is counted and not claimed.
MOST_CLAIMED: Final = 500
AT_A_TIME: Final = 100


def preview(
    run: Run, settings: QueueSettings, types: Sequence[str], handlers: Handlers, max_tasks: int | None
) -> Outcome:
    """As if each task succeeded at once, for then the next of its user has its turn."""
    most = float("inf") if max_tasks is None else max_tasks
    found: Counter[str] = Counter()
    with run.connect("preview") as conn:
        conn.isolation_level = IsolationLevel.READ_COMMITTED
        due = {lane.type for lane in find_lanes(conn, types)}
        unusable = {type_ for type_ in due if handlers.get(type_) is None}
        usable = [type_ for type_ in types if type_ not in handlers.broken]
        claimer = Claimer(
            usable, worker=f"{run.identity.host}/{os.getpid()}", run_id=run.run_id, lease_s=settings.lease_s
        )
        with run.effect(conn):
            limits.tell(conn, settings, types=handlers.types)
            rescued = rescue_lost(conn, settings)
            while (wanted := min(AT_A_TIME, most - found.total(), MOST_CLAIMED - found.total())) > 0:
                tasks = claimer.claim(conn, int(wanted))
                if not tasks:
                    break
                found.update(task.type for task in tasks)
                complete(conn, [verdict.succeeded(task) for task in tasks])
            else:
                if found.total() < most:
                    found.update(left.due(conn, usable))
    claimed = int(min(found.total(), most))
    notes = [f"would do {count:,} of type {type_!r}" for type_, count in sorted(found.items())]
    counts = dict.fromkeys(NAMES, 0) | {
        "claimed": claimed,
        "rescued": sum(each.state != "failed" for each in rescued),
        "crashed": sum(each.state == "failed" for each in rescued),
    }
    notes += unusable_notes(handlers, unusable)
    return Outcome(counts=counts, notes=notes or ["nothing is due"], degraded=bool(unusable))
