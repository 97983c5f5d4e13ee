"""`jobctl work`: do what waits in the queue."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from jobctl.cli import completion
from jobctl.cli.options import LARGEST_NUMBER, JobOptions, takes_job_options

if TYPE_CHECKING:
    from jobctl.cli.run_command import Connection, Outcome, Run, ScopeReport

EXAMPLE = """Examples:\n
\b
  jobctl work                                   all that is due and has a handler here
  jobctl work --type embed --type http
  jobctl work --until-empty --max-runtime 50m   also what fails meanwhile and is tried again
  */5 * * * *  jobctl work --scheduled --max-runtime 4m
"""


@takes_job_options
def work(
    type_: Annotated[
        list[str] | None,
        typer.Option(
            "--type",
            metavar="TYPE",
            help="Only tasks of this type; may be repeated.",
            show_default=False,
            autocompletion=completion.task_types,
        ),
    ] = None,
    batch: Annotated[
        int,
        typer.Option("--batch", min=1, max=5_000, help="Claim up to so many tasks at a time, or a handler's batch."),
    ] = 20,
    concurrency: Annotated[
        int,
        typer.Option("--concurrency", min=1, max=1_000, help="Have up to so many tasks, or batches, in hand at once."),
    ] = 10,
    max_tasks: Annotated[
        int | None,
        typer.Option("--max-tasks", min=1, max=LARGEST_NUMBER, help="End after so many tasks.", show_default=False),
    ] = None,
    until_empty: Annotated[
        bool,
        typer.Option("--until-empty", help="Wait for what others have in hand or what waits for its next try, too."),
    ] = False,
    *,
    given: JobOptions,
) -> None:
    """Do the tasks of the queue that are due, within the limits of users and types, and exit when none is left.

    Several hosts work beside each other; on one host so many runs as workers_per_host of [queue] says."""
    from jobctl.cli import run_command
    from jobctl.cli.session import current_settings, redactor

    settings = current_settings()
    max_runtime_s = run_command.max_runtime_s(given.max_runtime, settings, "work")

    def do(run: "Run") -> "Outcome":
        from jobctl.jobs.work import job

        options = job.Options(
            types=tuple(type_ or ()),
            batch=batch,
            concurrency=concurrency,
            max_tasks=max_tasks,
            until_empty=until_empty,
            max_runtime_s=max_runtime_s,
        )
        return job.work(run, options, settings, redactor())

    def places(_conn: "Connection") -> list[str]:
        import socket

        from jobctl.jobs.work.places import places_of

        return places_of(socket.gethostname(), settings.queue_settings.workers_per_host)

    report = run_command.run(
        "work",
        do,
        places,
        settings=settings,
        slot_scope=",".join(type_ or []),
        **run_command.of_given(given),
        takes_one_scope=True,
        regains_lock=True,
        counted="tasks",
        told=told_of_tasks,
    )
    sys.exit(report.exit_code)


ADD_UP = ("succeeded", "retried", "failed", "snoozed", "released", "lost")


def told_of_tasks(scope: "ScopeReport") -> list[str]:
    """What a run did to the queue, in lines that fit a terminal."""
    from jobctl.cli.run_command import status_line
    from jobctl.runtime.outcome import COMPLETED

    counts, lines = scope.counts, list[str]()
    if scope.status != COMPLETED or not counts.get("claimed"):
        lines.append(status_line(scope))
    if counts.get("claimed"):
        parts = " + ".join(f"{counts[count]:,} {count}" for count in ADD_UP if counts.get(count))
        lines.append(f"  {scope.scope}: {counts['claimed']:,} tasks claimed" + (f" = {parts}" if parts else ""))
    if counts.get("timeout"):
        lines.append(f"    {counts['timeout']:,} took longer than their type may take")
    if counts.get("rescued") or counts.get("crashed"):
        lines.append(
            f"    {counts['rescued']:,} of dead workers put back, {counts['crashed']:,} failed at their crash limit"
        )
    if counts.get("claimed") and scope.metrics:
        lines.append(f"    at {scope.metrics['tasks_per_s']:,.1f} tasks/s")
    return lines


def add_to(app: typer.Typer) -> None:
    app.command("work", epilog=EXAMPLE)(work)
