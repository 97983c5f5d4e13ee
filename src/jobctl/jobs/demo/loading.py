"""Fill an empty database with a year of sample data, for whoever wants to see what jobctl shows.

Read: whether any of the tables has a row. Written: all that the year of a team leaves behind, and ops.demo, which says
that it is here. One transaction: whoever is killed in it leaves nothing. A second load finds the first and is refused.

All times are given, none is the clock's: the same seed and moment give the same rows.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from jobctl.alerts.judging import policy_of
from jobctl.db.connection import NO_LIMITS, Database, Limits
from jobctl.db.sqlstate import translated
from jobctl.errors import UsageError
from jobctl.jobs.demo import incidents, places, projects, runs, store, tasks
from jobctl.jobs.demo.plan import Plan, Row
from jobctl.jobs.demo.snapshots import Keeper, chosen
from jobctl.jobs.ingest_branch.job import LARGEST_PAYLOAD_BYTES
from jobctl.settings import Settings

LOCK_MS = 10_000
WAY_OUT = "a demo wants a database of its own: JOBCTL_DATA_DIR=~/jobctl-demo jobctl demo load"


@dataclass(frozen=True, slots=True)
class Loaded:
    """How many rows each table got."""

    seed: int
    rows: dict[str, int]


def load(
    database: Database,
    settings: Settings,
    plan: Plan,
    *,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> Loaded:
    """Raises UsageError when there is anything that is not a demo's, or a demo already."""
    limits = Limits(LOCK_MS, *NO_LIMITS[1:])
    with (
        translated(),
        database.connect(limits=limits, purpose="demo load") as conn,
        database.transaction(conn, limits=limits),
    ):
        store.lock(conn)
        _require_empty(store.get(conn), store.filled(conn))
        ran = runs.made(plan)
        last_run = next(each for each in reversed(ran.completed) if each.job == "ingest-branch")
        by = places.Ingested(last_run.run_id, settings.h3_resolution, LARGEST_PAYLOAD_BYTES)
        made: dict[str, Sequence[Row]] = {
            **projects.rows(plan),
            **ran.rows,
            **tasks.rows(plan),
            **places.rows(plan, by),
        }
        for table, rows in made.items():
            store.copy(conn, table, rows)
        store.analyze(conn)
        keeper = Keeper(conn, plan, settings)
        book = incidents.Book(
            policy_of(settings)._replace(can_tell=True), timedelta(seconds=settings.alert_settings.flap_window_s)
        )
        looks = incidents.of_troubles(plan)
        kept = chosen(plan, settings, ran.completed)
        for nth, (each, is_last_of_day) in enumerate(kept, 1):
            looks.append(keeper.keep(each, is_last_of_day=is_last_of_day))
            progress(nth, len(kept))
        store.date_rules(conn, plan.start)
        book.take_all(looks)
        made |= book.rows()
        for table in incidents.COLUMNS:
            store.copy(conn, table, made[table])
        last_ids = {
            table: _highest(made[table], store.COLUMNS[table].index(column)) for table, column in store.NUMBERED.items()
        }
        fences = store.COLUMNS["queue.tasks"].index("fence")
        store.draw_numbers(conn, last_ids, last_fence=_highest(made["queue.tasks"], fences))
        store.insert(conn, plan.seed, plan.as_of, last_ids)
        counted = {table: len(rows) for table, rows in made.items()}
        return Loaded(plan.seed, counted | {table: store.count(conn, table) for table in store.COMPUTED})


def _require_empty(demo: store.Demo | None, filled: dict[str, int]) -> None:
    if demo is not None:
        raise UsageError(
            f"a demo is loaded here (seed {demo.seed}, as of {demo.as_of:%Y-%m-%d %H:%M} UTC)",
            hint="jobctl demo remove takes it away",
        )
    if filled:
        told = sorted(filled.items(), key=lambda pair: pair[0] not in store.WORDS)
        table, number = told[0]
        what = store.WORDS.get(table, f"rows of {table}")
        raise UsageError(f"nothing was loaded: the database is not empty ({what}: {number:,})", hint=WAY_OUT)


def _highest(rows: Sequence[Row], column: int) -> int:
    return max((row[column] for row in rows), default=0)
