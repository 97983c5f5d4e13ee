"""`jobctl run NAME -- COMMAND...`: any command of the user's under the protection that jobs have."""

import re
import sys
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from jobctl.cli import completion
from jobctl.cli.options import (
    CorrelationOption,
    DryRunOption,
    JsonOption,
    QuietOption,
    ScheduledOption,
    VerboseOption,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

EXAMPLE = """Examples:\n
\b
  jobctl run backup -- /usr/local/bin/backup --all
  jobctl run --max-runtime 3h --retries 2 --retry-wait 5m backup -- pg_dump -f /srv/app.dump app
  jobctl run --require 'rows copied' --ok-exit 0,3 copy -- ./copy.sh
  30 1 * * *  jobctl run --scheduled --max-runtime 3h backup -- /usr/local/bin/backup
"""
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
CONTEXT = {"allow_interspersed_args": False}


def run(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME", help="What to call it in lock, history and slots.", autocompletion=completion.commands
        ),
    ],
    command: Annotated[
        list[str] | None, typer.Argument(metavar="-- COMMAND...", help="The command, behind two dashes.")
    ] = None,
    max_runtime: Annotated[
        str | None, typer.Option("--max-runtime", help="End it after this long, such as 3h.", show_default=False)
    ] = None,
    retries: Annotated[int, typer.Option("--retries", min=0, max=100, help="Try again this often.")] = 0,
    retry_wait: Annotated[str, typer.Option("--retry-wait", help="Wait this long before another try.")] = "30s",
    ok_exit: Annotated[
        list[str] | None,
        typer.Option("--ok-exit", metavar="N[,N]", help="Exit codes that are success.", show_default="0"),
    ] = None,
    fail_on: Annotated[
        list[str] | None,
        typer.Option(
            "--fail-on",
            metavar="REGEX",
            help="Failed when a line of its output matches; may be repeated.",
            show_default=False,
        ),
    ] = None,
    require: Annotated[
        list[str] | None,
        typer.Option(
            "--require",
            metavar="REGEX",
            help="Failed unless a line of its output matches; may be repeated.",
            show_default=False,
        ),
    ] = None,
    min_runtime: Annotated[
        str | None, typer.Option("--min-runtime", help="Failed when it ends sooner, such as 10s.", show_default=False)
    ] = None,
    when_db_down: Annotated[
        Literal["run", "skip"],
        typer.Option("--when-db-down", help="Run it without the database's lock, or not at all (exit 75)."),
    ] = "skip",
    leave_children: Annotated[
        bool, typer.Option("--leave-children", help="Let processes live that it leaves behind.")
    ] = False,
    keep_env: Annotated[
        list[str] | None,
        typer.Option("--keep-env", help="Pass a secret setting on to it; may be repeated.", show_default=False),
    ] = None,
    scheduled: ScheduledOption = False,
    dry_run: DryRunOption = False,
    correlation_id: CorrelationOption = None,
    json: JsonOption = False,
    verbose: VerboseOption = False,
    quiet: QuietOption = False,
) -> None:
    """Run any command with lock, limit, retries, history, slots and alerts; its exit code is passed on.

    Options stand before NAME. What it prints is kept: the end in the history, the whole in a file."""
    from jobctl.cli import run_command
    from jobctl.cli.session import current_settings, redactor
    from jobctl.settings_reading.environment import environment_for_commands

    words = _checked(name, command)
    settings = current_settings()
    output = run_command.Output(as_json=json, verbose=verbose, quiet=quiet)
    directory = settings.output_dir or settings.data_dir / "output"
    codes = _exit_codes(ok_exit)
    fail_patterns, require_patterns = _patterns("--fail-on", fail_on), _patterns("--require", require)
    wait_s = run_command.seconds("--retry-wait", retry_wait)
    least_s = run_command.seconds("--min-runtime", min_runtime) if min_runtime else 0

    max_runtime_s = run_command.seconds("--max-runtime", max_runtime) if max_runtime else settings.max_runtime_of("run")

    def work(run: run_command.Run) -> run_command.Outcome:
        from jobctl.jobs.wrapped import job
        from jobctl.jobs.wrapped.conditions import Conditions

        options = job.Options(
            command=words,
            environment=environment_for_commands(keep_env or ()),
            output_file=directory / f"{name}.log",
            redact=redactor().text,
            max_runtime_s=max_runtime_s,
            conditions=Conditions(codes, fail_patterns, require_patterns, least_s),
            retries=retries,
            retry_wait_s=wait_s,
            term_wait_s=settings.kill_grace_s / 2,
            leave_children=leave_children,
            shows=output.to_a_person,
        )
        return job.run_wrapped(run, options)

    report = run_command.run(
        "run",
        work,
        lambda conn: [name],
        settings=settings,
        dry_run=dry_run,
        max_runtime=max_runtime,
        slot_scope=name,
        is_scheduled=scheduled,
        correlation_id=correlation_id,
        output=output,
        wraps_command=True,
        outlives_database=when_db_down == "run",
    )
    sys.exit(report.exit_code)


def _checked(name: str, command: "Sequence[str] | None") -> "list[str]":
    from jobctl.errors import UsageError

    example = "write: jobctl run NAME -- COMMAND..."
    if not NAME.fullmatch(name):
        raise UsageError(f"{name!r} is no name: letters, digits, dot, hyphen and underscore, 63 at most", hint=example)
    words = list(command or ())
    if not words or words[0] != "--":
        raise UsageError("the command does not stand behind two dashes", hint=f"{example}; options go before NAME")
    if len(words) == 1 or not words[1]:
        raise UsageError("there is no command behind the two dashes", hint=example)
    return words[1:]


def _exit_codes(given: "Sequence[str] | None") -> frozenset[int]:
    from jobctl.errors import UsageError

    words = [word.strip() for part in given or ("0",) for word in part.split(",")]
    wrong = next((word for word in words if not (word.isascii() and word.isdigit() and int(word) <= 255)), None)
    if wrong is not None:
        raise UsageError(f"--ok-exit {wrong!r} is no exit code: numbers from 0 to 255, such as 0,3")
    return frozenset(map(int, words))


def _patterns(option: str, texts: "Sequence[str] | None") -> "tuple[re.Pattern[str], ...]":
    from jobctl.errors import UsageError

    found: list[re.Pattern[str]] = []
    for text in texts or ():
        try:
            found.append(re.compile(text))
        except re.error as error:
            raise UsageError(f"{option} {text!r} is not a regular expression: {error}") from None
    return tuple(found)


def add_to(app: typer.Typer) -> None:
    app.command("run", epilog=EXAMPLE, context_settings=CONTEXT)(run)
