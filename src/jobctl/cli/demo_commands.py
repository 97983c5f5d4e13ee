"""jobctl demo: a year of sample data in an empty database, and away again."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from jobctl.cli.options import LARGEST_NUMBER, JsonOption
from jobctl.cli.render import note, print_json, print_text
from jobctl.cli.session import current_settings, open_database
from jobctl.errors import UsageError

if TYPE_CHECKING:
    from jobctl.settings import Settings

SEED = 7  # as jobs/demo/plan.py has it
NEXT = """Look at it:
  jobctl metrics -v                      what is wrong in engineering right now
  jobctl metrics health demo/atlas       a project that has been getting worse
  jobctl alerts list                     what somebody should hear of
  jobctl queue stats                     what waits, and what fails
  jobctl slots --verdict missed --since 365d
  jobctl branch rejects demo-places
docs/demo.md tells what else there is to find. Away with it: jobctl demo remove"""

app = typer.Typer(
    help="A year of sample projects, issues, runs and tasks in an empty database, to try jobctl with, without network.",
    epilog="Example: jobctl demo load && jobctl metrics -v; jobctl demo remove",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command(
    epilog="Examples: jobctl demo load; jobctl demo load --seed 12 --as-of 2026-06-01; "
    "JOBCTL_DATA_DIR=~/jobctl-demo jobctl demo load"
)
def load(
    seed: Annotated[
        int, typer.Option("--seed", min=0, max=LARGEST_NUMBER, help="Another number makes other data.")
    ] = SEED,
    as_of: Annotated[
        str | None,
        typer.Option(
            "--as-of",
            help="When its year ends: a time (ISO 8601), a day, or how long ago, such as 2d (default: this hour).",
            show_default=False,
        ),
    ] = None,
    anyway: Annotated[
        bool, typer.Option("--anyway", help="Also into the database of DATABASE_URL, which must be empty, too.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Fill an empty database with sample data.

    While it is there, nobody is told of alerts, and sync leaves the sample projects alone. Killed halfway it leaves
    nothing."""
    from jobctl import clock
    from jobctl.jobs.demo import loading
    from jobctl.jobs.demo.plan import Plan

    settings = current_settings()
    if settings.database_url is not None and not anyway:
        raise UsageError(
            "DATABASE_URL names a database, and a demo goes into the embedded one",
            hint="unset it, or add --anyway: it must be empty all the same",
        )
    plan = Plan(seed, _moment(as_of, clock.utc_now(), settings))
    started = clock.monotonic()
    with _shown(not json) as progress:
        loaded = loading.load(open_database(settings), settings, plan, progress=progress)
    rows = sum(loaded.rows.values())
    if json:
        print_json(
            {
                "seed": seed,
                "as_of": plan.as_of,
                "duration_ms": round((clock.monotonic() - started) * 1000),
                "rows": rows,
                "tables": loaded.rows,
            }
        )
        return
    told = {name: loaded.rows[table] for name, table in _TOLD.items()}
    print_text(
        f"Loaded a year until {plan.as_of:%Y-%m-%d %H:%M} UTC (seed {seed}): "
        + ", ".join(f"{number:,} {name}" for name, number in told.items())
        + "."
    )
    print_text(NEXT)


_TOLD = {
    "projects": "dev.projects",
    "issues and pull requests": "dev.issues",
    "runs": "ops.job_history",
    "tasks": "queue.tasks",
    "incidents": "ops.incidents",
}


@app.command(epilog="Example: jobctl demo remove --json")
def remove(json: JsonOption = False) -> None:
    """Take the sample data away, and nothing else.

    What was made of it goes, too: figures, items, vectors, alerts about its projects. Real runs stay."""
    from jobctl.jobs.demo import removing

    removed = removing.remove(open_database(current_settings()))
    rows = removed.rows if removed else {}
    left = removed.left if removed else {}
    if json:
        print_json({"removed": removed is not None, "rows": sum(rows.values()), "tables": rows, "left": left})
        return
    if removed is None:
        print_text("There is no demo here. One comes with: jobctl demo load")
        return
    print_text(f"Removed the demo: {sum(rows.values()):,} rows of {len(rows)} tables, and what hung on them.")
    if left:
        print_text(
            "Left, since it is not the demo's: " + ", ".join(f"{what}: {number:,}" for what, number in left.items())
        )


def _moment(text: str | None, now: datetime, settings: "Settings") -> datetime:
    """A whole hour, so that two loads of one hour are alike. Raises UsageError for what is to come."""
    from jobctl.cli.times import past

    at = now if text is None else past("--as-of", text, now, settings.timezone).astimezone(now.tzinfo)
    if at > now:
        raise UsageError(f"--as-of {text!r} is still to come", hint="give a moment that is over")
    return at.replace(minute=0, second=0, microsecond=0)


@contextmanager
def _shown(wanted: bool) -> Generator[Callable[[int, int], None], None, None]:
    import sys

    if not wanted or not sys.stderr.isatty():
        yield lambda _done, _all: None
        return
    note("Sample data of a year is made and looked at as the hourly job would; it takes some seconds.")
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (TextColumn("figures of the past"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task("demo", total=None)
        yield lambda done, all_: bars.update(task, completed=done, total=all_)
