"""`jobctl metrics`: what cron calls hourly, and what an operator asks of one issue or one project."""

import sys
from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from jobctl.cli import completion
from jobctl.cli.options import JobOptions, JsonOption, refuse_options_before_subcommand, takes_job_options

if TYPE_CHECKING:
    from jobctl.cli.run_command import ScopeReport

JOB = "metrics"
EXAMPLE = """Examples:\n
\b
  jobctl metrics -v                              what is wrong right now
  jobctl metrics --project octo/cat --json       of one project, all facts
  jobctl metrics --as-of 2026-06-01 --dry-run    at the end of a past day
  20 * * * *  jobctl metrics --scheduled
"""

app = typer.Typer(
    help="Say what is wrong in engineering right now: revenue at risk, goals breached, pace, health of projects.\n\n"
    "Without a further word it computes and keeps the hour's figures. A second run at the same time is skipped.",
    epilog=EXAMPLE,
    invoke_without_command=True,
    rich_markup_mode=None,
)
AsOfOption = Annotated[
    str | None,
    typer.Option(
        "--as-of",
        help="Of a past moment: a time (ISO 8601), a day (its end), or how long ago, such as 2d.",
        show_default=False,
    ),
]


@app.callback()
@takes_job_options
def metrics(
    context: typer.Context,
    project: Annotated[
        list[str] | None,
        typer.Option(
            "--project",
            help="Only this project, OWNER/REPO; may be repeated.",
            show_default=False,
            autocompletion=completion.projects,
        ),
    ] = None,
    as_of: AsOfOption = None,
    *,
    given: JobOptions,
) -> None:
    if context.invoked_subcommand is not None:
        refuse_options_before_subcommand(context)
        return
    from jobctl import clock
    from jobctl.cli import run_command
    from jobctl.cli.session import current_settings, open_database
    from jobctl.projects.project import parse_name

    settings = current_settings()
    moment = _moment(as_of, clock.utc_now(), settings.timezone)
    ids: list[int] | None = None
    if project:
        from jobctl.projects import store

        names = [parse_name(name) for name in dict.fromkeys(project)]
        with open_database(settings).connect(purpose=JOB) as conn:
            ids = sorted({store.require(conn, name).project_id for name in names})

    def work(run: run_command.Run) -> run_command.Outcome:
        from jobctl.jobs.metrics import job

        return job.metrics(run, job.Options(settings, ids, moment.at if moment.is_past else None))

    report = run_command.run(
        JOB,
        work,
        lambda _conn: [""],
        settings=settings,
        slot_scope="",
        **run_command.of_given(given),
        counted="projects",
        told=_told,
    )
    sys.exit(report.exit_code)


@app.command(epilog="Example: jobctl metrics explain octo/cat#12")
def explain(
    issue: Annotated[str, typer.Argument(metavar="ISSUE", help="OWNER/REPO#NUMBER, or its address.")],
    json: JsonOption = False,
) -> None:
    """Tell of an issue which rule gave what: whether it is a bug, how bad, what it costs, how its goals stand."""
    from jobctl import clock
    from jobctl.cli import metrics_views
    from jobctl.cli.render import print_json
    from jobctl.cli.session import current_settings, open_database
    from jobctl.db.sqlstate import translated
    from jobctl.jobs.metrics import explaining
    from jobctl.projects import store
    from jobctl.projects.issue_name import parse_issue

    name = parse_issue(issue)
    settings = current_settings()
    with translated(), open_database(settings).connect(purpose="metrics explain") as conn:
        project = store.require(conn, name.project)
        found = explaining.explain(conn, settings, project, name.number, clock.utc_now())
    if json:
        print_json(found.as_json())
    else:
        metrics_views.print_explained(found)


@app.command(epilog="Example: jobctl metrics health octo/cat --as-of 2026-06-01")
def health(
    project: Annotated[str, typer.Argument(metavar="PROJECT", help="OWNER/REPO.", autocompletion=completion.projects)],
    as_of: AsOfOption = None,
    json: JsonOption = False,
) -> None:
    """Tell of a project each point of its health that it wins and loses."""
    from zoneinfo import ZoneInfo

    from jobctl import clock
    from jobctl.cli import metrics_views
    from jobctl.cli.render import print_json
    from jobctl.cli.session import current_settings, open_database
    from jobctl.db.sqlstate import translated
    from jobctl.jobs.metrics import explaining
    from jobctl.projects import store
    from jobctl.projects.project import parse_name

    name = parse_name(project)
    settings = current_settings()
    zone = ZoneInfo(settings.timezone)
    now = clock.utc_now()
    moment = _moment(as_of, now, settings.timezone)
    day = moment.at.astimezone(zone).date()
    is_past = day < now.astimezone(zone).date()
    with translated(), open_database(settings).connect(purpose="metrics health") as conn:
        known = store.require(conn, name)
        found = explaining.health_of(conn, settings, known, moment.at, day, is_past=is_past)
    if json:
        print_json(found.as_json())
    else:
        metrics_views.print_health(found)


class Moment(NamedTuple):
    at: datetime
    is_past: bool


def _moment(text: str | None, now: datetime, zone: str) -> Moment:
    """A day means its end, or now while it lasts. Raises UsageError for what is to come."""
    from zoneinfo import ZoneInfo

    from jobctl.cli.times import past
    from jobctl.errors import UsageError

    if text is None:
        return Moment(now, is_past=False)
    try:
        day = date.fromisoformat(text) if len(text) == 10 else None
    except ValueError:
        day = None
    if day is not None and day <= now.astimezone(ZoneInfo(zone)).date():
        end = datetime.combine(day + timedelta(days=1), time(), tzinfo=ZoneInfo(zone))
        at = end.astimezone(now.tzinfo) - timedelta(microseconds=1)
        return Moment(min(at, now), is_past=at < now)
    at = past("--as-of", text, now, zone).astimezone(now.tzinfo)
    if at > now:
        raise UsageError(f"--as-of {text!r} is still to come", hint="give a moment that is over")
    return Moment(at, is_past=True)


def _told(scope: "ScopeReport") -> list[str]:
    from jobctl.cli import metrics_views

    return metrics_views.told(scope)
