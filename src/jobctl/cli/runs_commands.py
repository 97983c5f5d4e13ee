"""jobctl runs: what ran, what runs, what became of it, and to end one."""

from typing import TYPE_CHECKING, Annotated

import typer

from jobctl.cli import completion, runs_cancel, runs_diff, runs_tail
from jobctl.cli.options import JsonOption
from jobctl.cli.runs_options import RunArgument

if TYPE_CHECKING:
    from jobctl.monitor.runs.log_lines import Excerpt
    from jobctl.monitor.runs.showing import Shown
    from jobctl.settings import Settings

LIST_EXAMPLE = """Examples:\n
\b
  jobctl runs list                              the newest, of all jobs
  jobctl runs list --job ingest-branch --since 1d --status failed
  jobctl runs list --status running --status frozen --status dead
  jobctl runs list --correlation-id deploy-17 --json
"""
SHOW_EXAMPLE = """Examples:\n
\b
  jobctl runs show 5f0c1d2e          the run whose id begins so
  jobctl runs show last              the run that began last
  jobctl runs show backup --json     the last run of a job, or of a wrapped command
"""
LONGEST_PAGE = 1_000
app = typer.Typer(
    help="Runs: what ran and what runs, one with all that is kept of it, two side by side, and to end one.",
    epilog="Example: jobctl runs list --status failed; jobctl runs show last; jobctl runs cancel sync --reason deploy",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command("list", epilog=LIST_EXAMPLE)
def list_(
    job: Annotated[str | None, typer.Option("--job", help="Only of this job.", autocompletion=completion.jobs)] = None,
    scope: Annotated[
        str | None,
        typer.Option(
            "--scope", help="Only of this scope: a branch, or a wrapped command.", autocompletion=completion.scopes
        ),
    ] = None,
    status: Annotated[
        list[str] | None,
        typer.Option(
            "--status",
            help="Only running, frozen, dead, completed, degraded, failed, timeout, interrupted, abandoned or skipped "
            "ones; may be repeated.",
            autocompletion=completion.run_states,
        ),
    ] = None,
    since: Annotated[
        str | None, typer.Option("--since", help="Only begun since: 1d, 12h, or a time (ISO 8601).")
    ] = None,
    until: Annotated[str | None, typer.Option("--until", help="Only begun before: 1d, 12h, or a time.")] = None,
    correlation_id: Annotated[
        str | None, typer.Option("--correlation-id", help="Only those that were given this name.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=LONGEST_PAGE, help="Runs on a page.")] = 20,
    cursor: Annotated[str | None, typer.Option("--cursor", help="The next page: `next` of the one before.")] = None,
    json: JsonOption = False,
) -> None:
    """List runs, the newest first: a line for each scope of a run, in the state that it is truly in."""
    from jobctl import clock
    from jobctl.cli import runs_views
    from jobctl.cli.render import note, print_json
    from jobctl.cli.session import current_settings, reading
    from jobctl.cli.times import past
    from jobctl.monitor.runs import listing

    settings = current_settings()
    listing.check_states(status or ())
    now, zone = clock.utc_now(), settings.timezone
    asked = listing.Asked(
        job=job,
        scope=scope,
        states=tuple(status or ()),
        since=past("--since", since, now, zone) if since is not None else None,
        until=past("--until", until, now, zone) if until is not None else None,
        correlation_id=correlation_id,
    )
    after = listing.of_cursor(cursor) if cursor is not None else None
    with reading(settings, "runs list") as conn:
        items, following = listing.page(conn, asked, after=after, limit=limit)
    word = listing.as_cursor(following) if following is not None else None
    if json:
        print_json({"items": [each._asdict() for each in items], "next": word})
        return
    runs_views.print_list(items, zone)
    if word is not None:
        note(f"More: add --cursor {word}")


@app.command(epilog=SHOW_EXAMPLE)
def show(
    run: RunArgument,
    events: Annotated[int, typer.Option("--events", min=0, max=10_000, help="The last so many events.")] = 30,
    log: Annotated[int, typer.Option("--log", min=0, max=10_000, help="The last so many lines of the log.")] = 15,
    json: JsonOption = False,
) -> None:
    """Show a run: its steps and events, counts by scope, error, evidence, log, output, and what started it."""
    from jobctl.cli import runs_show
    from jobctl.cli.render import print_json
    from jobctl.cli.session import current_settings, reading
    from jobctl.monitor.runs import finding, showing

    settings = current_settings()
    with reading(settings, "runs show") as conn:
        shown = showing.show(conn, finding.find(conn, run), events=events)
    excerpt = _log_of(settings, shown, log)
    if json:
        print_json(runs_show.as_json(shown, excerpt, settings))
    else:
        runs_show.print_run(shown, excerpt, settings)


def _log_of(settings: "Settings", shown: "Shown", limit: int) -> "Excerpt":
    """The run's lines, if it ran on this host and this host keeps a log."""
    from pathlib import Path
    from socket import gethostname

    from jobctl.monitor.runs import log_lines

    if limit == 0:
        return log_lines.Excerpt()
    if shown.first.host != gethostname():
        return log_lines.Excerpt(why_not=f"its log is on {shown.first.host}, and this is {gethostname()}")
    if settings.log_file is None or settings.log_file == Path("-"):
        return log_lines.Excerpt(why_not="this account keeps no log file (JOBCTL_LOG_FILE)")
    return log_lines.excerpt(
        settings.log_file, str(shown.run_id), shown.first.started_at, shown.finished_at, limit=limit
    )


app.command(epilog=runs_tail.EXAMPLE)(runs_tail.tail)
app.command(epilog=runs_diff.EXAMPLE)(runs_diff.diff)
app.command(epilog=runs_cancel.EXAMPLE)(runs_cancel.cancel)
