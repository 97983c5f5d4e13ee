"""The way in: the command that is asked for, and how an error becomes a line and an exit code."""

import os
import re
import sys

from jobctl.cli.root import list_app, root_app
from jobctl.errors import EXIT_FAILED, JobctlError, UsageError, exit_code_of


def run() -> None:
    """Run the command line and exit with the code that tells cron what became of the work."""
    try:
        word = _first_word()
        (list_app() if word in ("", "--help") else root_app(word))()
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


def _first_word() -> str:
    """The command; also of a line that the shell has us complete, once it is wholly typed."""
    if sys.argv[1:]:
        return sys.argv[1]
    environ = os.environ  # noqa: TID251 - what the shell tells whom it asks to complete a line; no setting
    line = environ.get("COMP_WORDS") or environ.get("_TYPER_COMPLETE_ARGS") or ""  # of bash; of the other shells
    typed = re.match(r"\S+\s+(\S+)\s", line)
    return typed[1] if typed is not None else ""


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
