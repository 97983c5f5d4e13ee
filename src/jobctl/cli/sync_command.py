"""`jobctl sync`: what cron calls nightly to keep the projects true to GitHub, and an operator for one of them now."""

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jobctl.cli import completion
from jobctl.cli.options import LARGEST_NUMBER, JobOptions, takes_job_options

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


@takes_job_options
def sync(
    project: Annotated[
        list[str] | None,
        typer.Option(
            "--project",
            metavar="OWNER/REPO",
            help="Only this project, active or not, due or not; may be repeated.",
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
        typer.Option(
            "--budget", min=1, max=LARGEST_NUMBER, help="Ask GitHub this many times at the most.", show_default=False
        ),
    ] = None,
    *,
    given: JobOptions,
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
    max_runtime_s = run_command.max_runtime_s(given.max_runtime, settings, JOB)
    of_given = run_command.of_given(given)
    changed_since = past("--since", since, clock.utc_now(), settings.timezone) if since else None

    def work(run: run_command.Run) -> run_command.Outcome:
        from jobctl.cli.sync_progress import watching
        from jobctl.jobs.sync import job

        until = clock.monotonic() + max_runtime_s * settings.soft_limit_share
        with watching(of_given["output"].to_a_person and sys.stderr.isatty()) as watch:
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

    report = run_command.run(
        JOB,
        work,
        lambda _conn: [""],
        settings=settings,
        slot_scope="",
        **of_given,
        counted="projects",
        told=told_of_projects,
        shown=by_project,
    )
    sys.exit(report.exit_code)


OUTCOMES = ("ok", "unchanged", "moved", "limited", "forbidden", "gone", "failed", "left")
MOST_SHOWN = 10  # projects of the account
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
    return [*lines, *_by_endpoint(scope), *_dearest(scope)]


def _dearest(scope: "ScopeReport") -> list[str]:
    """The projects that asked for anything new, those that cost the most first."""
    evidence: dict[str, Any] = dict(scope.evidence or {})
    projects: list[dict[str, Any]] = evidence.get("projects") or []
    asked = [each for each in projects if each["quota"] or each["points"]]
    asked.sort(key=lambda each: (-each["quota"] - each["points"], each["scope"]))
    lines = [
        f"    {each['scope']}: {each['requests']:,} requests, {each['not_modified']:,} not modified, "
        f"{each['quota']:,} quota, {each['points']:,} points"
        for each in asked[:MOST_SHOWN]
    ]
    return [*lines, f"    and {len(asked) - MOST_SHOWN:,} more projects: --json"] if asked[MOST_SHOWN:] else lines


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
