"""`jobctl status`: the operator's daily minute on one screen, and an exit code for whoever watches from outside."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from jobctl.cli import completion
from jobctl.cli.options import JsonOption

if TYPE_CHECKING:
    from jobctl.monitor.runs.glance import Glance
    from jobctl.settings import Settings

EXAMPLE = """Examples:\n
\b
  jobctl status                               what ran, what runs, what is wrong, and what comes next
  jobctl status --watch                       the same, live, until Ctrl-C
  jobctl status --fail-on warning || page     for a monitor outside: exit 1 when not healthy
  jobctl status --json | jq .health
"""
FAIL_ON = ("critical", "warning", "never")


def status(
    watch: Annotated[bool, typer.Option("--watch", help="Live, until Ctrl-C; needs a terminal.")] = False,
    every: Annotated[
        str, typer.Option("--every", metavar="SPAN", help="How often --watch looks: 2s, 1m.", show_default=True)
    ] = "2s",
    fail_on: Annotated[
        str,
        typer.Option(
            "--fail-on",
            metavar="HEALTH",
            help="Exit 1 from here on: critical, warning, or never.",
            autocompletion=completion.among(FAIL_ON),
        ),
    ] = "critical",
    all_scopes: Annotated[bool, typer.Option("--all", help="A line for each scope, also of jobs with many.")] = False,
    json: JsonOption = False,
) -> None:
    """Show on one screen what ran, what is running, what is wrong, and what comes next. Changes nothing.

    Exit 0: healthy, or a warning; 1: critical (see --fail-on); 75: the database is away, and what this host knows is
    shown."""
    from jobctl.cli import session
    from jobctl.cli.times import seconds
    from jobctl.errors import DatabaseUnavailable, UsageError

    every_s = seconds("--every", every)
    if fail_on not in FAIL_ON:
        raise UsageError(f"--fail-on {fail_on!r} is no health", hint=f"one of {', '.join(FAIL_ON)}")
    if watch and json:
        raise UsageError("--watch and --json do not go together", hint="call jobctl status --json again and again")
    if watch and not sys.stdout.isatty():
        raise UsageError("--watch needs a terminal", hint="without one: jobctl status, or jobctl status --json")
    settings = session.current_settings()
    if watch:
        from jobctl.cli.status_watch import watch as watch_it

        watch_it(settings, every_s=every_s, every=all_scopes)
        return
    from jobctl.cli.status_look import look

    try:
        glance = look(settings, session.open_database(settings))
    except DatabaseUnavailable as away:
        from jobctl.cli import status_away

        status_away.tell(settings, away, as_json=json)
        raise typer.Exit(away.exit_code) from None
    if json:
        from jobctl.cli.render import print_json
        from jobctl.cli.status_object import as_json

        print_json(as_json(glance))
    else:
        print_screen(glance, settings, every=all_scopes)
    raise typer.Exit(exit_code(glance.health.status, fail_on))


def exit_code(health: str, fail_on: str) -> int:
    from jobctl.errors import EXIT_DONE, EXIT_FAILED

    fails = {"critical": ("critical",), "warning": ("critical", "warning"), "never": ()}[fail_on]
    return EXIT_FAILED if health in fails else EXIT_DONE


def print_screen(glance: "Glance", settings: "Settings", *, every: bool) -> None:
    from jobctl.cli import status_views
    from jobctl.cli.render import on_screen

    with on_screen() as console:
        blocks = status_views.can_show_blocks(console.encoding)
        console.print(status_views.screen(glance, settings.timezone, width=console.width, blocks=blocks, every=every))


def add_to(app: typer.Typer) -> None:
    app.command("status", epilog=EXAMPLE)(status)
