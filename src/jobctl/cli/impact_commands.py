"""`jobctl project impact`: what single issues cost a day, as somebody says who knows."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from jobctl.cli.options import DryRunOption, JsonOption

app = typer.Typer(
    help="What single issues cost a day, as somebody says who knows: before what label or form say.",
    epilog="Example: jobctl project impact import impacts.csv --dry-run",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command("import", epilog="Example: jobctl project impact import impacts.csv --dry-run")
def import_(
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE",
            help="CSV with a header, or JSON lines: issue (OWNER/REPO#NUMBER), impact_per_day (none takes it back), "
            "note; - is stdin.",
        ),
    ],
    dry_run: DryRunOption = False,
    json: JsonOption = False,
) -> None:
    """Take in what issues cost a day.

    A file with a fault, or with a project that is not followed, is refused whole."""
    import psycopg

    from jobctl.cli.render import print_json, print_text
    from jobctl.cli.session import current_settings, open_database
    from jobctl.db.sqlstate import translated
    from jobctl.jobs.metrics.definitions import definitions_of
    from jobctl.projects import store
    from jobctl.projects.impact_file import read_impacts
    from jobctl.service_levels import impacts
    from jobctl.service_levels.bugs import parse_amount

    settings = current_settings()
    currency = definitions_of(settings).rules.currency
    rows = read_impacts(_bytes_of(file), lambda text: parse_amount(text, currency))
    database = open_database(settings)
    with translated(), database.connect(purpose="impact import") as conn, database.transaction(conn):
        names = dict.fromkeys(row.issue.project.lower() for row in rows)
        ids = {name: store.require(conn, name).project_id for name in names}
        said = {
            (ids[row.issue.project.lower()], row.issue.number): impacts.Said(
                ids[row.issue.project.lower()], row.issue.number, row.per_day, row.note
            )
            for row in rows
        }
        saved = impacts.save(conn, list(said.values()))
        if dry_run:
            raise psycopg.Rollback
    counts = saved._asdict()
    if json:
        print_json({**counts, "dry_run": dry_run})
        return
    told = ", ".join(f"{number:,} {result}" for result, number in counts.items() if number) or "nothing"
    print_text(f"{'Would be: ' if dry_run else ''}{told}.")


def _bytes_of(file: str) -> bytes:
    from jobctl.errors import UsageError
    from jobctl.projects.impact_file import LARGEST

    try:
        if file == "-":
            return sys.stdin.buffer.read(LARGEST + 1)
        with Path(file).open("rb") as opened:
            return opened.read(LARGEST + 1)
    except OSError as error:
        raise UsageError(f"cannot read {file}: {error.strerror}", hint="FILE is CSV or JSON lines") from error
