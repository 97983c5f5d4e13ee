"""The root command: which commands there are, and how an error becomes a line and an exit code."""

import sys

import typer

from jobctl.cli import (
    branch_commands,
    config_commands,
    db_commands,
    doctor_command,
    job_commands,
    schedule_commands,
    slot_commands,
    wrap_command,
)
from jobctl.errors import EXIT_FAILED, JobctlError, exit_code_of

app = typer.Typer(
    name="jobctl",
    help="A team's scheduled jobs as one command that system cron calls, on one PostgreSQL.",
    epilog="Start here: jobctl branch add --help; jobctl ingest-branch --help; jobctl config show",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.command("ingest-branch", epilog=job_commands.INGEST_EXAMPLE)(job_commands.ingest_branch)
app.command("run", epilog=wrap_command.EXAMPLE, context_settings=wrap_command.CONTEXT)(wrap_command.run)
app.command("slots", epilog=slot_commands.SLOTS_EXAMPLE)(slot_commands.slots)
app.command("pause", epilog=slot_commands.PAUSE_EXAMPLE)(slot_commands.pause)
app.command("resume", epilog=slot_commands.RESUME_EXAMPLE)(slot_commands.resume)
app.command("doctor", epilog=doctor_command.EXAMPLE)(doctor_command.doctor)
app.add_typer(branch_commands.app, name="branch")
app.add_typer(config_commands.app, name="config")
app.add_typer(db_commands.app, name="db")
app.add_typer(schedule_commands.app, name="schedule")


@app.callback()
def root(version: bool = typer.Option(False, "--version", help="Print the version and exit.")) -> None:
    if version:  # reached only when other words stand beside it; alone it is answered before typer is loaded
        from jobctl.version import __version__

        print(f"jobctl {__version__}")
        raise typer.Exit


def run() -> None:
    """Run the command line and exit with the code that tells cron what became of the work."""
    try:
        app()
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    except JobctlError as error:
        raise SystemExit(_tell(error)) from None
    except Exception as error:  # noqa: BLE001 - the last frame: an unforeseen error, too, is one line and an exit code
        raise SystemExit(_tell(error)) from error if {"--verbose", "-v"} & set(_own_words()) else None


def _own_words() -> list[str]:
    """The words that are not a wrapped command's."""
    return sys.argv[: sys.argv.index("--")] if "--" in sys.argv else sys.argv


def _tell(error: Exception) -> int:
    """Print the error as the command line asked for, with its secrets taken out, and give its exit code."""
    from jobctl.cli import render, session

    if isinstance(error, BrokenPipeError):
        return EXIT_FAILED
    if "psycopg" in sys.modules:
        import psycopg

        from jobctl.db.sqlstate import explain

        if isinstance(error, psycopg.Error):
            error = explain(error)
    render.print_error(error, as_json="--json" in _own_words(), redact=session.redactor().text)
    return exit_code_of(error)
