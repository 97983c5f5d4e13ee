"""`jobctl stats`: figures of a window of history: how many runs, how they ended, how long they took."""

from typing import Annotated

import typer

from jobctl.cli import completion
from jobctl.cli.options import JsonOption

EXAMPLE = """Examples:\n
\b
  jobctl stats                        the last week, by job
  jobctl stats --since 90d --by day
  jobctl stats --by type              tries of the queue, by the type of their tasks
  jobctl stats --json | jq .summary
"""
BY = ("job", "type", "day")


def stats(
    since: Annotated[str, typer.Option("--since", help="How far back: 7d, 12h, or a time (ISO 8601).")] = "7d",
    by: Annotated[
        str,
        typer.Option(
            "--by",
            help="A line for each job, type (of the queue's tasks), or day.",
            autocompletion=completion.among(BY),
        ),
    ] = "job",
    job: Annotated[
        str | None,
        typer.Option("--job", help="Only of this job.", show_default=False, autocompletion=completion.jobs),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Count runs, how they ended, how long they took and what they did, over a window of time."""
    from jobctl import clock
    from jobctl.cli import stats_figures
    from jobctl.cli.session import current_settings
    from jobctl.cli.times import past
    from jobctl.errors import UsageError

    if by not in BY:
        raise UsageError(f"--by {by!r} is not known", hint=f"one of {', '.join(BY)}")
    if by == "type" and job is not None:
        raise UsageError("--by type is about the queue's tasks, which are no job's", hint="leave out --job")
    settings = current_settings()
    until = clock.utc_now()
    found = stats_figures.gather(settings, past("--since", since, until, settings.timezone), until, by=by, job=job)
    if json:
        from jobctl.cli.render import print_json

        print_json(stats_figures.as_json(found))
    else:
        from jobctl.cli import stats_views

        stats_views.show(found, settings.timezone)


def add_to(app: typer.Typer) -> None:
    app.command("stats", epilog=EXAMPLE)(stats)
