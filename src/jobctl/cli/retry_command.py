"""`jobctl retry-failed`: what cron calls hourly to put the queue right, and an operator to give tasks another try."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from jobctl.cli import completion
from jobctl.cli.options import LARGEST_NUMBER, JobOptions, takes_job_options

if TYPE_CHECKING:
    from jobctl.cli.run_command import ScopeReport

JOB = "retry-failed"
EXAMPLE = """Examples:\n
\b
  jobctl retry-failed --dry-run -v                   what would be done, and why
  jobctl retry-failed --id 4711 --id 4712            these, now, whatever their error was
  jobctl retry-failed --type crawl --since 6h --reset-attempts
  40 * * * *  jobctl retry-failed --scheduled
"""


@takes_job_options
def retry_failed(
    type_: Annotated[
        list[str] | None,
        typer.Option(
            "--type",
            help="Only tasks of this type; may be repeated.",
            show_default=False,
            autocompletion=completion.task_types,
        ),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(
            "--since", help="Requeue only what failed since: 6h, 2d, or a time (ISO 8601).", show_default=False
        ),
    ] = None,
    id_: Annotated[
        list[int] | None,
        typer.Option(
            "--id",
            min=1,
            max=LARGEST_NUMBER,
            help="Requeue this failed task now with all its tries, whatever its error was, and do nothing else; may "
            "be repeated.",
            show_default=False,
        ),
    ] = None,
    reset_attempts: Annotated[
        bool,
        typer.Option(
            "--reset-attempts",
            help="Requeue all failed tasks whose error is recoverable now with all their tries, whatever they have "
            "spent and however their type does.",
        ),
    ] = False,
    *,
    given: JobOptions,
) -> None:
    """Put the queue right: recover stuck tasks, requeue failed ones, cancel stale ones, alert, prune, do the rest.

    A task that failed for good with an error that time may mend gets another round of tries, a few times at most. A
    second run at the same time is skipped."""
    from jobctl import clock
    from jobctl.cli import run_command
    from jobctl.cli.session import current_settings, redactor
    from jobctl.cli.times import past
    from jobctl.errors import UsageError

    if id_ and (type_ or since):
        raise UsageError("--id names the tasks already", hint="leave out --type and --since")
    settings = current_settings()
    max_runtime_s = run_command.max_runtime_s(given.max_runtime, settings, JOB)
    failed_since = past("--since", since, clock.utc_now(), settings.timezone) if since else None

    def work(run: run_command.Run) -> run_command.Outcome:
        from jobctl.jobs.retry_failed import job

        options = job.Options(
            settings=settings,
            redactor=redactor(),
            ends_at=clock.monotonic() + max_runtime_s,
            types=tuple(dict.fromkeys(type_ or ())),
            since=failed_since,
            task_ids=tuple(dict.fromkeys(id_ or ())),
            reset_attempts=reset_attempts,
        )
        return job.retry_failed(run, options)

    report = run_command.run(
        JOB,
        work,
        lambda _conn: [""],
        settings=settings,
        slot_scope="",
        **run_command.of_given(given),
        counted="tasks",
        told=told_of_queue,
    )
    sys.exit(report.exit_code)


SAID = (
    ("stuck_recovered", "tasks taken from workers that were lost"),
    ("stuck_failed", "of these failed for good, at their crash limit"),
    ("stale_cancelled", "embeddings cancelled that nobody needs"),
    ("requeued", "failed tasks requeued"),
    ("superseded", "failed tasks cancelled, for a newer request waits"),
    ("withheld", "failed tasks wait until their type does better"),
    ("failures_last_hour", "tasks failed in the last hour, not mended since"),
    ("pruned", "finished tasks deleted"),
    ("drained", "due tasks worked off"),
)


def told_of_queue(scope: "ScopeReport") -> list[str]:
    """What a run put right, in lines that fit a terminal."""
    from jobctl.cli.run_command import status_line
    from jobctl.runtime.outcome import COMPLETED

    lines = [] if scope.status == COMPLETED else [status_line(scope)]
    lines += [f"  {said}: {scope.counts[name]:,}" for name, said in SAID if scope.counts.get(name)]
    return lines or ["  nothing was wrong"]


def add_to(app: typer.Typer) -> None:
    app.command(JOB, epilog=EXAMPLE)(retry_failed)
