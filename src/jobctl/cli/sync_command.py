"""`jobctl sync`: what cron calls nightly to keep the projects true to GitHub, and an operator for one of them now."""

import sys
from typing import TYPE_CHECKING, Annotated, Any

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
    from jobctl.cli.run_command import ScopeReport

JOB = "sync"
EXAMPLE = """Examples:\n
\b
  jobctl sync --dry-run -v                          what would be fetched and written
  jobctl sync --project octo-org/hello --full       this one, all of it, now
  jobctl sync --budget 2000 --json
  0 2 * * *  jobctl sync --scheduled
"""


def sync(
    project: Annotated[
        list[str] | None,
        typer.Option(
            "--project",
            metavar="OWNER/REPO",
            help="Only this project, active or not; may be repeated.",
            show_default=False,
            autocompletion=completion.projects,
        ),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(
            "--since",
            help="Issues changed since: where a first sync begins, and from where others are read again: 6h, 90d, or "
            "a time (ISO 8601).",
            show_default=False,
        ),
    ] = None,
    full: Annotated[
        bool, typer.Option("--full", help="Read everything again, and look for what was deleted or transferred.")
    ] = False,
    budget: Annotated[
        int | None,
        typer.Option("--budget", min=1, help="Ask GitHub this many times at the most.", show_default=False),
    ] = None,
    dry_run: DryRunOption = False,
    max_runtime: Annotated[
        str | None, typer.Option("--max-runtime", help="End the run after this long, such as 9m.", show_default=False)
    ] = None,
    scheduled: ScheduledOption = False,
    correlation_id: CorrelationOption = None,
    json: JsonOption = False,
    verbose: VerboseOption = False,
    quiet: QuietOption = False,
) -> None:
    """Bring projects, issues, pull requests, reviews, commits and releases up to date with GitHub.

    Asks only for what changed since the last time. What a limit, the budget or the time leaves undone, the next run
    does. A second run at the same time is skipped."""
    from jobctl import clock
    from jobctl.cli import run_command
    from jobctl.cli.session import current_settings
    from jobctl.cli.times import past
    from jobctl.projects.project import parse_name

    names = tuple(dict.fromkeys(parse_name(each) for each in project or ()))
    settings = current_settings()
    max_runtime_s = run_command.seconds("--max-runtime", max_runtime) if max_runtime else settings.max_runtime_of(JOB)
    changed_since = past("--since", since, clock.utc_now(), settings.timezone) if since else None

    def work(run: run_command.Run) -> run_command.Outcome:
        from jobctl.cli.sync_progress import watching
        from jobctl.jobs.sync import job

        until = clock.monotonic() + max_runtime_s * settings.soft_limit_share
        with watching(output.to_a_person and sys.stderr.isatty()) as watch:
            options = job.Options(
                settings=settings,
                until=until,
                names=names,
                since=changed_since,
                full=full,
                budget=budget,
                watch=watch,
            )
            return job.sync(run, options)

    output = run_command.Output(as_json=json, verbose=verbose, quiet=quiet)
    report = run_command.run(
        JOB,
        work,
        lambda _conn: [""],
        settings=settings,
        dry_run=dry_run,
        max_runtime=max_runtime,
        slot_scope="",
        is_scheduled=scheduled,
        correlation_id=correlation_id,
        output=output,
        counted="projects",
        told=told_of_projects,
        shown=by_project,
    )
    sys.exit(report.exit_code)


OUTCOMES = ("ok", "unchanged", "moved", "limited", "forbidden", "gone", "failed", "left")
TABLES = ("issues", "pulls", "reviews", "labels", "milestones", "commits", "languages", "contributors", "releases")


def told_of_projects(scope: "ScopeReport") -> list[str]:
    """What a run found, in lines that fit a terminal."""
    from jobctl.cli.run_command import status_line
    from jobctl.runtime.outcome import COMPLETED

    counts = scope.counts
    lines = [] if scope.status == COMPLETED else [status_line(scope)]
    if not counts.get("projects"):
        return lines
    outcomes = ", ".join(f"{counts[name]:,} {name}" for name in OUTCOMES if counts.get(name))
    lines.append(f"  {counts['projects']:,} projects: {outcomes}")
    for table in TABLES:
        parts = [(what, counts.get(f"{table}_{what}", 0)) for what in ("inserted", "updated", "removed")]
        if any(number for _, number in parts):
            lines.append(f"  {table}: " + ", ".join(f"{number:,} {what}" for what, number in parts if number))
    lines.append(
        f"  GitHub: {counts['requests']:,} requests, {counts['not_modified']:,} of them not modified; "
        f"{counts['quota']:,} of the hour's quota, {counts['points']:,} points"
    )
    return [*lines, *_by_endpoint(scope)]


def _by_endpoint(scope: "ScopeReport") -> list[str]:
    evidence: dict[str, Any] = dict(scope.evidence or {})
    quota: dict[str, Any] = evidence.get("quota") or {}
    return [
        f"    {each['endpoint']}: {each['requests']:,} requests, {each['unchanged']:,} not modified, "
        f"{each['quota']:,} quota, {each['points']:,} points"
        for each in quota.get("endpoints", ())
    ]


def by_project(document: dict[str, Any]) -> dict[str, Any]:
    """The run's object with a scope for each project, and what all of them asked for."""
    nothing: dict[str, Any] = {}
    scope: dict[str, Any] = next(iter(document["scopes"]), nothing)
    evidence: dict[str, Any] = scope.get("evidence") or {}
    return document | {
        "metrics": scope.get("metrics", {}),
        "notes": [*document["notes"], *scope.get("notes", ())],
        "scopes": evidence.get("projects", []),
        "quota": evidence.get("quota"),
    }


def add_to(app: typer.Typer) -> None:
    app.command(JOB, epilog=EXAMPLE)(sync)
