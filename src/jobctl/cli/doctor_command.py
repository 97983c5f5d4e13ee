"""`jobctl doctor`: what will fail at night, found by day."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from jobctl.cli import completion
from jobctl.cli.options import JsonOption, VerboseOption
from jobctl.cli.render import note, print_as_it_is, print_json, print_text, printable, styled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jobctl.monitor.doctor.finding import Finding

EXAMPLE = """Examples:\n
\b
  jobctl doctor                        what is wrong, why it matters, and how to mend it
  sudo -u jobctl jobctl doctor -v      all checks, as the user that cron runs jobs for
  jobctl doctor --only outgoing --send-test
  jobctl doctor --json | jq '.items[] | select(.status == "failed")'
"""
MARKS = {"ok": "ok", "warning": "warning", "failed": "FAILED", "skipped": "skipped"}
COLOURS = {"ok": "green", "warning": "yellow", "failed": "red", "skipped": "bright_black"}


def doctor(
    only: Annotated[
        list[str] | None,
        typer.Option(
            "--only", metavar="SUBJECT", help="Only this subject; may be repeated.", autocompletion=completion.subjects
        ),
    ] = None,
    user: Annotated[
        str | None,
        typer.Option("--user", help="Whom cron runs jobs for; else the installed crontab tells.", show_default=False),
    ] = None,
    send_test: Annotated[
        bool, typer.Option("--send-test", help="Really send a test message to Slack and by mail.")
    ] = False,
    json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Check what fails at night: program, settings as cron sees them, files, database, cron, what goes out.

    Changes nothing. Exit 0: nothing failed; 1: something did; 78: settings, schema or privileges did."""
    from jobctl.cli.command_shapes import command_shapes
    from jobctl.cli.session import redactor
    from jobctl.monitor.doctor import finding
    from jobctl.monitor.doctor.examine import examine
    from jobctl.monitor.doctor.situation import look_around

    _require_known(only or [], finding.SUBJECTS)
    _require_account(user)
    situation = look_around(user=user, sends_test=send_test, commands=command_shapes())
    try:
        found = examine(situation, redactor().text, only=only or [])
    finally:
        situation.link.close()
    if json:
        print_json(finding.as_json(found))
    elif verbose or sys.stdout.isatty():
        _print_list(found, shows_all=verbose)
    else:
        _tell_failures(found)
    raise typer.Exit(finding.exit_code_of(found))


def _require_known(only: "Sequence[str]", subjects: "Sequence[str]") -> None:
    from jobctl.did_you_mean import did_you_mean
    from jobctl.errors import UsageError

    for each in only:
        if each not in subjects:
            meant = did_you_mean(each, subjects)
            hint = f"did you mean {meant}?" if meant else f"one of: {', '.join(subjects)}"
            raise UsageError(f"--only {each!r} is not a subject", hint=hint)


def _require_account(user: str | None) -> None:
    from jobctl.errors import UsageError
    from jobctl.monitor.doctor.account import account_named

    if user is not None and account_named(user) is None:
        raise UsageError(f"--user {user!r} is not a user of this machine", hint="getent passwd lists them")


def _print_list(found: "Sequence[Finding]", *, shows_all: bool) -> None:
    """By subject: a line for each, and below it what is not in order; with `shows_all` everything."""
    from jobctl.monitor.doctor.finding import status_of

    for subject in dict.fromkeys(each.subject for each in found):
        every = [each for each in found if each.subject == subject]
        asked = [each for each in every if each.status != "skipped"]
        status = status_of(every) if asked else "skipped"
        fine = sum(each.status == "ok" for each in every)
        print_as_it_is(f"{_mark(status)}  {styled(f'{subject:<12}', 'bold')}  {fine} of {len(every)} in order")
        for each in every:
            if shows_all or each.status in ("warning", "failed"):
                _print_finding(each)
    print_text(_summary(found))


def _print_finding(each: "Finding") -> None:
    print_as_it_is(f"    {_mark(each.status)}  {printable(f'{each.check}: {each.what}')}")
    if each.why:
        print_text(f"             why:  {each.why}")
    if each.mend:
        print_text(f"             mend: {each.mend}")


def _tell_failures(found: "Sequence[Finding]") -> None:
    """Without a terminal, as under cron: silence, or one line on stderr."""
    broken = [f"{each.check}: {each.what}" for each in found if each.status == "failed"]
    if broken:
        more = f" and {len(broken) - 1} more" if len(broken) > 1 else ""
        note(f"jobctl: doctor: {broken[0]}{more} (jobctl doctor -v tells all, and how to mend it)")


def _summary(found: "Sequence[Finding]") -> str:
    counts = {status: sum(each.status == status for each in found) for status in MARKS}
    words = {"ok": "in order", "warning": "warnings", "failed": "failed", "skipped": "not asked"}
    return ", ".join(f"{counts[status]} {words[status]}" for status in MARKS if counts[status])


def _mark(status: str) -> str:
    return styled(f"{MARKS[status]:<7}", COLOURS[status])


def add_to(app: typer.Typer) -> None:
    app.command("doctor", epilog=EXAMPLE)(doctor)
