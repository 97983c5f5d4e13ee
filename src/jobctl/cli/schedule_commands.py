"""`jobctl schedule`: what will run and when, what is wrong with a crontab, and why a line did or did not fire."""

from typing import Annotated

import typer

from jobctl.cli import completion, install_commands
from jobctl.cli.options import JsonOption

app = typer.Typer(
    help="What runs when: the installed lines and the plan, their next starts, faults in crontabs, and why.",
    epilog="Start here: jobctl schedule list; crontab -l | jobctl schedule lint -",
    no_args_is_help=True,
    rich_markup_mode=None,
)
LINT_EXAMPLE = """Examples:\n
\b
  jobctl schedule lint /etc/cron.d/jobctl
  crontab -l | jobctl schedule lint -
  jobctl schedule lint deploy/crontab --strict --zone Europe/Berlin
"""
EXPLAIN_EXAMPLE = """Examples:\n
\b
  jobctl schedule explain sync --at "2026-11-25 02:00"
  jobctl schedule explain run --scope backup --at 2026-03-29T02:30
"""

ScopeOption = Annotated[
    str | None,
    typer.Option(
        "--scope",
        help="Only this scope: a branch, or the name of a wrapped command.",
        show_default=False,
        autocompletion=completion.scopes,
    ),
]


@app.command(
    name="list", epilog="Example: jobctl schedule list --json | jq '.items[] | select(.state != \"installed\")'"
)
def list_lines(as_json: JsonOption = False) -> None:
    """List each installed line, and each job of the plan without one: when, in words, last and next start, owner."""
    from jobctl import clock
    from jobctl.cli import render, schedule_views
    from jobctl.cli.command_shapes import command_shapes
    from jobctl.cli.schedule_lines import schedule_lines
    from jobctl.cli.session import current_settings

    settings = current_settings()
    lines = schedule_lines(settings, command_shapes())
    rows = schedule_views.with_last_and_next(settings, lines, clock.utc_now())
    if as_json:
        render.print_json({"items": [row.as_json() for row in rows], "next": None})
    else:
        schedule_views.print_list(rows)


@app.command(name="next", epilog="Example: jobctl schedule next ingest-branch --at 2026-03-29T00:00 -n 30")
def next_starts(
    job: Annotated[
        str | None,
        typer.Argument(metavar="[JOB]", help="Only this job.", show_default=False, autocompletion=completion.jobs),
    ] = None,
    at: Annotated[
        str | None, typer.Option("--at", help="From this time on (ISO 8601, in cron's zone).", show_default=False)
    ] = None,
    number: Annotated[int, typer.Option("-n", "--number", min=1, max=1_000, help="How many starts.")] = 10,
    scope: ScopeOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the next starts in order, of the installed lines or, where a job has none, of the plan."""
    from jobctl import clock
    from jobctl.cli import render, schedule_views
    from jobctl.cli.command_shapes import command_shapes
    from jobctl.cli.schedule_lines import of_job, schedule_lines
    from jobctl.cli.session import current_settings
    from jobctl.cli.times import on_the_clock

    lines = schedule_lines(current_settings(), command_shapes())
    lines = [line for line in lines if line.state != "planned"] if job is None else of_job(lines, job, scope)
    starts = schedule_views.next_starts(
        lines, lambda zone: on_the_clock("--at", at, zone).at if at else clock.utc_now(), number
    )
    if as_json:
        render.print_json({"items": [start.as_json() for start in starts], "next": None})
    else:
        schedule_views.print_next(starts)


@app.command(epilog=LINT_EXAMPLE)
def lint(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A crontab; - is standard input.")],
    system: Annotated[
        bool | None,
        typer.Option(
            "--system/--user-crontab",
            help="With a user field in each line, or without (default: told by the file's name).",
            show_default=False,
        ),
    ] = None,
    zone: Annotated[
        str | None,
        typer.Option("--zone", help="The zone of the machine it is for (default: this one's).", show_default=False),
    ] = None,
    here: Annotated[
        bool | None,
        typer.Option(
            "--here/--elsewhere",
            help="Whether it is for this machine, whose users and files are looked for (default: if it lies in /etc).",
            show_default=False,
        ),
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Let warnings count as faults (exit 1).")] = False,
    as_json: JsonOption = False,
) -> None:
    """Name what is wrong with a crontab, why it matters and how to mend it (exit 1 if there is an error)."""
    from jobctl.cli import render, schedule_lint
    from jobctl.cli.command_shapes import command_shapes

    checked = schedule_lint.check(file, command_shapes(), is_system=system, zone=zone, is_here=here)
    if as_json:
        render.print_json(checked.as_json(strict=strict))
    else:
        schedule_lint.print_findings(checked)
    if not checked.is_in_order(strict=strict):
        raise typer.Exit(1)


@app.command(epilog=EXPLAIN_EXAMPLE)
def explain(
    job: Annotated[
        str,
        typer.Argument(metavar="JOB", help="The job, such as ingest-branch, or run.", autocompletion=completion.jobs),
    ],
    at: Annotated[str, typer.Option("--at", help="The minute in question (ISO 8601, in cron's zone).")],
    scope: ScopeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Tell why each line of a job did or did not fire at a minute, field by field, and what became of the slot."""
    from jobctl.cli import render, schedule_explain
    from jobctl.cli.command_shapes import command_shapes
    from jobctl.cli.schedule_lines import of_job, schedule_lines
    from jobctl.cli.session import current_settings

    settings = current_settings()
    lines = of_job(schedule_lines(settings, command_shapes()), job, scope)
    told = schedule_explain.explain_lines(settings, lines, at)
    if as_json:
        render.print_json({"items": [each.as_json() for each in told], "next": None})
    else:
        schedule_explain.print_told(told)


app.command("install", epilog=install_commands.INSTALL_EXAMPLE)(install_commands.install)
app.command("diff", epilog="Example: jobctl schedule diff --user jobctl")(install_commands.diff)
app.command("remove", epilog="Example: jobctl schedule remove")(install_commands.remove)
app.command("verify", epilog="Example: jobctl schedule verify --json")(install_commands.verify)
app.command("render", epilog="Example: jobctl schedule render deploy", hidden=True)(install_commands.render_files)
