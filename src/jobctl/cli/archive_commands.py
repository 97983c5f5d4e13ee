"""jobctl archive: the files into which old rows went, whether they are what they were, and how to get rows back."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jobctl.cli.options import (
    LARGEST_NUMBER,
    CorrelationOption,
    DryRunOption,
    JsonOption,
    QuietOption,
    VerboseOption,
    YesOption,
)

if TYPE_CHECKING:
    import psycopg

    from jobctl.archives.store import Archive

app = typer.Typer(
    help="Old rows in files: what was archived, whether it is whole, and how to get rows back.",
    epilog="Example: jobctl archive list; jobctl archive verify; jobctl archive restore 12 --dry-run",
    no_args_is_help=True,
    rich_markup_mode=None,
)
JOB = "archive"
VERIFY_EXAMPLE = """Examples:\n
\b
  jobctl archive verify                every file that this host sees
  jobctl archive verify 12 13 --json
"""
RESTORE_EXAMPLE = """Examples:\n
\b
  jobctl archive restore 12 --dry-run  how many rows would come back
  jobctl archive restore 12
  jobctl archive restore /backup/ops.sync_events.20260801-20260903.12.ndjson.gz
"""
RUN_EXAMPLE = """Examples:\n
\b
  jobctl archive run --dry-run -v      what would be archived, and how large the files would be
  jobctl archive run                   now, and not with the next weekly report
"""
MAX_RUNTIME_HELP = "End the run after this long, such as 9m."


@app.command("list", epilog="Example: jobctl archive list --table ops.sync_events --json")
def list_(
    table: Annotated[str | None, typer.Option("--table", help="Only of this table.", show_default=False)] = None,
    before: Annotated[
        int | None,
        typer.Option(
            "--before", min=1, max=LARGEST_NUMBER, help="Only older ones than this number.", show_default=False
        ),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000, help="The newest so many.")] = 100,
    json: JsonOption = False,
) -> None:
    """List the archives, the newest first: table, rows, from and until when, file, and on which host it lies."""
    from jobctl.archives import store
    from jobctl.archives.sources import SOURCES, source_of
    from jobctl.cli import archive_views
    from jobctl.cli.render import note, print_json
    from jobctl.cli.session import current_settings, open_database
    from jobctl.errors import UsageError

    if table is not None and source_of(table) is None:
        raise UsageError(f"{table!r} is not archived", hint=f"one of {', '.join(each.table for each in SOURCES)}")
    with open_database(current_settings()).connect(purpose="archive") as conn:
        found = store.listed(conn, table=table, before=before or store.NO_END, limit=limit + 1)
    listed = found[:limit]
    following = listed[-1].archive_id if len(found) > limit else None
    if json:
        print_json({"items": [archive_views.shown(each) for each in listed], "next": following})
        return
    archive_views.print_archives(listed)
    if following is not None:
        note(f"More: --before {following}")


@app.command(epilog=VERIFY_EXAMPLE)
def verify(
    archive_ids: Annotated[
        list[int] | None,
        typer.Argument(metavar="[ID]...", min=1, max=LARGEST_NUMBER, help="Only these.", show_default=False),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Read each file again: is it there, is it what was written, does it have all its rows? Exit 1 if one is not."""
    from jobctl.archives import store
    from jobctl.cli import archive_views
    from jobctl.cli.archive_views import Verified
    from jobctl.cli.render import print_json
    from jobctl.cli.session import current_settings, open_database
    from jobctl.errors import EXIT_FAILED

    with open_database(current_settings()).connect(purpose="archive") as conn:
        if archive_ids:
            asked = [_named(conn, archive_id) for archive_id in dict.fromkeys(archive_ids)]
        else:
            asked = store.listed(conn, limit=store.NO_END)
    verified: list[Verified] = []
    for each in asked:
        verified.append(archive_views.verify(each))
        archive_views.show_progress(len(verified), len(asked), shown=not json)
    archive_views.end_progress(shown=not json)
    if json:
        items = [{**archive_views.shown(each.archive), "verdict": each.verdict, "said": each.said} for each in verified]
        print_json({"items": items, "next": None})
    else:
        archive_views.print_verified(verified)
    if any(each.verdict == archive_views.WRONG for each in verified):
        sys.exit(EXIT_FAILED)


@app.command(epilog=RESTORE_EXAMPLE)
def restore(
    archive: Annotated[str, typer.Argument(metavar="ID|FILE", help="Its number, or a file with its manifest.")],
    dry_run: DryRunOption = False,
    json: JsonOption = False,
) -> None:
    """Put the rows of an archive back into their table. Rows that are there already stay as they are.

    They leave it again after restored_days of [archive]. Exit 3 when the place of some is taken by other rows."""
    import socket
    from functools import partial

    from jobctl.archives import store
    from jobctl.archives.restoring import restore as put_back
    from jobctl.cli import archive_views
    from jobctl.cli.render import print_json
    from jobctl.cli.session import current_settings, open_database
    from jobctl.db.sqlstate import translated
    from jobctl.errors import EXIT_DEGRADED, JobctlError

    database = open_database(current_settings())
    with translated(), database.connect(purpose="archive") as conn:
        is_number = archive.isdecimal() and len(archive) <= len(str(LARGEST_NUMBER))
        known = _named(conn, int(archive)) if is_number else _known(conn, Path(archive))
        if known is not None and known.state not in ("complete", "restored"):
            raise JobctlError(
                f"archive {known.archive_id} is {known.state}: not all of its rows have left the table",
                hint="the next `jobctl archive run` on its host finishes it",
            )
        path = known.path if known is not None and is_number else Path(archive)
        if known is not None and known.host != socket.gethostname() and not path.exists():
            raise JobctlError(
                f"archive {known.archive_id} lies on {known.host}: {known.path}",
                hint="restore it there, or copy the file and its manifest here and name the file",
            )

        def begin() -> None:
            if known is None or dry_run:
                return
            with database.transaction(conn):
                if not store.restored(conn, known.archive_id):
                    raise JobctlError(f"archive {known.archive_id} changed meanwhile", hint="look at it: archive list")

        done = put_back(
            database,
            conn,
            path,
            known,
            begin=begin,
            dry_run=dry_run,
            progress=partial(archive_views.show_progress, shown=not json),
        )
    archive_views.end_progress(shown=not json)
    if json:
        print_json({"file": path, "dry_run": dry_run, **done._asdict()})
    else:
        archive_views.print_restored(done, dry_run=dry_run)
    if done.conflicts:
        sys.exit(EXIT_DEGRADED)


@app.command(epilog="Example: jobctl archive forget 12")
def forget(
    archive_id: Annotated[int, typer.Argument(metavar="ID", min=1, max=LARGEST_NUMBER, help="The archive's number.")],
    yes: YesOption = False,
    json: JsonOption = False,
) -> None:
    """Take an archive whose file is gone for good off the list. A file that is there stays there."""
    from jobctl.archives import store
    from jobctl.cli.render import print_json, print_text
    from jobctl.cli.session import current_settings, open_database
    from jobctl.errors import JobctlError, UsageError

    database = open_database(current_settings())
    with database.connect(purpose="archive") as conn:
        known = _named(conn, archive_id)
        if known.is_held:
            raise UsageError(f"a run is at archive {archive_id} now", hint="wait for its end")
        if not yes:
            raise UsageError(
                f"archive {archive_id} holds the only copy of {known.rows:,} rows of {known.table_name}: "
                f"{known.host}:{known.path}",
                hint="say --yes if they are gone, or needed no more",
            )
        with database.transaction(conn):
            forgotten = store.forget(conn, known)
    if not forgotten:
        raise JobctlError(f"archive {archive_id} changed meanwhile and stays", hint="look at it: jobctl archive list")
    if json:
        print_json({"archive_id": archive_id, "forgotten": True, "host": known.host, "file": known.path})
    else:
        print_text(f"archive {archive_id} is forgotten")


@app.command(epilog=RUN_EXAMPLE)
def run(
    dry_run: DryRunOption = False,
    max_runtime: Annotated[str | None, typer.Option("--max-runtime", help=MAX_RUNTIME_HELP, show_default=False)] = None,
    correlation_id: CorrelationOption = None,
    json: JsonOption = False,
    verbose: VerboseOption = False,
    quiet: QuietOption = False,
) -> None:
    """Move the rows that are past into files, as the weekly `jobctl report` does, and finish what was cut off."""
    from jobctl import clock
    from jobctl.cli import archive_views, run_command
    from jobctl.cli.session import current_settings

    settings = current_settings()
    max_runtime_s = run_command.seconds("--max-runtime", max_runtime) if max_runtime else settings.max_runtime_of(JOB)

    def work(run: run_command.Run) -> run_command.Outcome:
        from jobctl.jobs.report import archiving

        until = clock.monotonic() + settings.soft_limit_share * max_runtime_s
        done = archiving.archive(run, archiving.Options(settings, until))
        return run_command.Outcome(counts=done.counts, notes=done.notes, error=done.error)

    report = run_command.run(
        JOB,
        work,
        lambda _conn: [""],
        settings=settings,
        dry_run=dry_run,
        max_runtime=max_runtime,
        slot_scope="",
        is_scheduled=False,
        correlation_id=correlation_id,
        output=run_command.Output(as_json=json, verbose=verbose, quiet=quiet),
        counted="rows",
        told=archive_views.told,
    )
    sys.exit(report.exit_code)


def _named(conn: "psycopg.Connection", archive_id: int) -> "Archive":
    from jobctl.archives import store
    from jobctl.errors import UsageError

    found = store.get(conn, archive_id)
    if found is None:
        raise UsageError(f"there is no archive {archive_id}", hint="jobctl archive list")
    return found


def _known(conn: "psycopg.Connection", path: Path) -> "Archive | None":
    """What the database knows of a file that was named, wherever it lies now."""
    from jobctl.archives import files, store
    from jobctl.errors import UsageError

    if not path.exists():
        raise UsageError(f"there is no file {path}", hint="name an archive's number, or a file with its manifest")
    told_of = files.manifest_of(path)
    found = store.get(conn, told_of.archive_id)
    return found if found is not None and found.sha256 == told_of.sha256 else None
