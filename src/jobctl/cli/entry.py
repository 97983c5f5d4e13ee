"""The way in: the commands that are asked for, and how an error becomes a line and an exit code."""

import sys

import typer

from jobctl.cli.root import root_app
from jobctl.errors import EXIT_FAILED, JobctlError, UsageError, exit_code_of


def run() -> None:
    """Run the command line and exit with the code that tells cron what became of the work."""
    try:
        _app_for(sys.argv[1:2])()
    except SystemExit as ending:
        if "--json" in _own_words():
            _tell_refusal(ending.__context__)
        raise
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    except JobctlError as error:
        raise SystemExit(_tell(error)) from None
    except Exception as error:  # noqa: BLE001 - the last frame: an unforeseen error, too, is one line and an exit code
        raise SystemExit(_tell(error)) from error if {"--verbose", "-v"} & set(_own_words()) else None


def _app_for(first_word: list[str]) -> typer.Typer:
    """What cron starts is built alone: to make all the others would be a tenth of such a start."""
    if first_word == ["ingest-branch"]:
        from jobctl.cli import job_commands

        app = root_app()
        job_commands.add_to(app)
    elif first_word == ["retry-failed"]:
        from jobctl.cli import retry_command

        app = root_app()
        retry_command.add_to(app)
    elif first_word == ["sync"]:
        from jobctl.cli import sync_command

        app = root_app()
        sync_command.add_to(app)
    elif first_word == ["metrics"]:
        from jobctl.cli import metrics_commands

        app = root_app()
        app.add_typer(metrics_commands.app, name="metrics")
    elif first_word == ["report"]:
        from jobctl.cli import report_command

        app = root_app()
        app.add_typer(report_command.app, name="report")
    elif first_word == ["run"]:
        from jobctl.cli import wrap_command

        app = root_app()
        wrap_command.add_to(app)
    else:
        from jobctl.cli.app import app
    return app


def _own_words() -> list[str]:
    """The words that are not a wrapped command's."""
    return sys.argv[: sys.argv.index("--")] if "--" in sys.argv else sys.argv


def _tell_refusal(error: BaseException | None) -> None:
    """What typer has against the command line, and has said on stderr, as the one object of stdout."""
    said = getattr(error, "format_message", None)
    if callable(said):
        path = getattr(getattr(error, "ctx", None), "command_path", "jobctl")
        _tell(UsageError(str(said()), hint=f"{path} --help"))


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
    if isinstance(error, UnicodeEncodeError) and error.object in _own_words():
        error = UsageError(f"{error.object!r} is no text", hint="write it in UTF-8")
    render.print_error(error, as_json="--json" in _own_words(), redact=session.redactor().text)
    return exit_code_of(error)
