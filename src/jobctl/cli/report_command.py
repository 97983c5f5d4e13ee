"""`jobctl report`: what cron calls on Monday, and whoever wants to read the week's report before or after."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jobctl.cli import report_mail_commands
from jobctl.cli.options import JobOptions, refuse_options_before_subcommand, takes_job_options

if TYPE_CHECKING:
    from jobctl.cli.run_command import ScopeReport
    from jobctl.jobs.report.job import Made
    from jobctl.reports.week import Week

JOB = "report"
EXAMPLE = """Examples:\n
\b
  jobctl report --preview                     read the last full week here; nothing is sent
  jobctl report --week 2026-W47 --html week.html
  jobctl report --dry-run -v                  who would get it, and how large it is
  jobctl report --to ann@example.org
  0 9 * * 1  jobctl report --scheduled
"""

app = typer.Typer(
    help="Mail the week's report: revenue at risk, service levels, velocity, health, jobs, and what needs a decision."
    "\n\n"
    "Each recipient gets a week's report once. With --preview, --text or --html it is shown, and nothing is sent.",
    epilog=EXAMPLE,
    invoke_without_command=True,
    rich_markup_mode=None,
)


@app.callback()
@takes_job_options
def report(
    context: typer.Context,
    week: Annotated[
        str | None,
        typer.Option(
            "--week",
            metavar="WEEK",
            help="Which week, such as 2026-W47; without it, the last that is over.",
            show_default=False,
        ),
    ] = None,
    to: Annotated[
        list[str] | None,
        typer.Option(
            "--to",
            metavar="ADDRESS",
            help="Who gets it, instead of REPORT_EMAILS; may be repeated.",
            show_default=False,
        ),
    ] = None,
    preview: Annotated[bool, typer.Option("--preview", help="Show it in the terminal; send nothing.")] = False,
    text: Annotated[bool, typer.Option("--text", help="Print the mail's text part; send nothing.")] = False,
    html: Annotated[
        Path | None,
        typer.Option(
            "--html",
            metavar="FILE",
            help="Write the page to this file, or - for stdout; send nothing.",
            show_default=False,
        ),
    ] = None,
    *,
    given: JobOptions,
) -> None:
    if context.invoked_subcommand is not None:
        refuse_options_before_subcommand(context)
        return
    from functools import partial

    from jobctl import clock
    from jobctl.cli import run_command
    from jobctl.cli.session import current_settings, redactor

    settings = current_settings()
    max_runtime_s = (
        run_command.seconds("--max-runtime", given.max_runtime) if given.max_runtime else settings.max_runtime_of(JOB)
    )
    chosen = _week(week, settings.timezone, clock.utc_now())
    recipients = _recipients(to) if to else settings.report_emails
    is_look = preview or text or html is not None
    on_stdout = [
        name
        for name, asked in {
            "--preview": preview,
            "--text": text,
            "--html -": html == Path("-"),
            "--json": given.json,
        }.items()
        if asked
    ]
    if len(on_stdout) > 1:
        _refuse_together(on_stdout)

    def work(run: run_command.Run) -> run_command.Outcome:
        from jobctl.jobs.report import job

        def show(made: "Made") -> None:
            from jobctl.cli import report_views

            report_views.show(made, preview=preview, text=text, html=html)

        until = clock.monotonic() + max_runtime_s * settings.soft_limit_share
        return job.report(run, job.Options(settings, redactor(), chosen, until, recipients, is_look, show))

    shows_itself = bool(on_stdout) and not given.json
    done = run_command.run(
        JOB,
        work,
        lambda _conn: [""],
        settings=settings,
        dry_run=given.dry_run or is_look,
        max_runtime=given.max_runtime,
        slot_scope="",
        is_scheduled=given.scheduled and not is_look,
        correlation_id=given.correlation_id,
        output=run_command.Output(
            as_json=given.json, verbose=given.verbose and not shows_itself, quiet=given.quiet or shows_itself
        ),
        told=partial(_told, recipients=recipients, html=html),
        shown=partial(_shown, recipients=recipients),
    )
    sys.exit(done.exit_code)


def _week(text: str | None, zone: str, now: Any) -> "Week":
    from zoneinfo import ZoneInfo

    from jobctl.errors import UsageError
    from jobctl.reports.week import last_full, parse_week

    if text is None:
        return last_full(now, ZoneInfo(zone))
    try:
        week = parse_week(text, ZoneInfo(zone))
    except (ValueError, OverflowError):
        raise UsageError(f"--week {text!r} is no week", hint="write it as 2026-W47") from None
    if week.start > now:
        raise UsageError(f"--week {text!r} is still to come", hint="the last that is over is taken without --week")
    return week


def _recipients(given: list[str]) -> tuple[str, ...]:
    from jobctl.errors import UsageError
    from jobctl.settings_addresses import ADDRESS

    for address in given:
        if not ADDRESS.fullmatch(address):
            raise UsageError(f"--to {address!r} is no e-mail address", hint="write it as ann@example.org")
    return tuple(dict.fromkeys(given))


def _refuse_together(options: list[str]) -> None:
    from jobctl.errors import UsageError

    raise UsageError(f"{' and '.join(options)} would stand on stdout together", hint="give one of them")


def _told(scope: "ScopeReport", *, recipients: tuple[str, ...], html: Path | None) -> list[str]:
    from jobctl.cli import report_views

    return report_views.told(scope, recipients, html)


def _shown(document: dict[str, Any], *, recipients: tuple[str, ...]) -> dict[str, Any]:
    """The run's object with the report in it, once."""
    scopes: list[dict[str, Any]] = document["scopes"]
    nothing: dict[str, Any] = {}
    evidence: dict[str, Any] = (scopes[0].get("evidence") if scopes else None) or nothing
    return document | {
        "scopes": [{**scope, "evidence": None} for scope in scopes],
        "notes": [*document["notes"], *(note for scope in scopes for note in scope["notes"])],
        "recipients": list(recipients),
        "report": evidence.get("report"),
        "letter": evidence.get("letter"),
    }


report_mail_commands.add_to(app)
