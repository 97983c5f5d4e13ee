"""The commands that cron calls: options in, the envelope around the job, one report out."""

import sys
from typing import Annotated

import typer

from jobctl.cli import completion
from jobctl.cli.options import JobOptions, takes_job_options

INGEST_EXAMPLE = """Examples:\n
\b
  jobctl ingest-branch                          all activated branches (or BRANCH_SLUG)
  jobctl ingest-branch --branch airports --dry-run
  0 * * * *  jobctl ingest-branch --scheduled --max-runtime 55m
"""


@takes_job_options
def ingest_branch(
    branch: Annotated[
        list[str] | None,
        typer.Option(
            "--branch",
            help="Only this branch; may be repeated.",
            show_default=False,
            autocompletion=completion.branches,
        ),
    ] = None,
    full: Annotated[bool, typer.Option("--full", help="Read every record again, not only what changed.")] = False,
    batch_size: Annotated[
        int | None,
        typer.Option(
            "--batch-size", min=1, max=50_000, help="Records judged and written at a time.", show_default=False
        ),
    ] = None,
    max_age: Annotated[
        str | None,
        typer.Option("--max-age", help="Refuse a branch loaded longer ago than this, such as 2d.", show_default=False),
    ] = None,
    max_withdraw_share: Annotated[
        float | None,
        typer.Option(
            "--max-withdraw-share",
            min=0,
            max=1,
            help="Withdraw at most this share of a branch at once.",
            show_default=False,
        ),
    ] = None,
    *,
    given: JobOptions,
) -> None:
    """Bring new and changed records of the branches into core.items, validated and normalised.

    Without --branch: the branch of BRANCH_SLUG, else all activated ones. A second run at the same time is skipped."""
    from datetime import timedelta

    from jobctl.cli import run_command
    from jobctl.cli.session import current_settings

    settings = current_settings()
    age = timedelta(seconds=run_command.seconds("--max-age", max_age)) if max_age else None

    def work(run: run_command.Run) -> run_command.Outcome:
        from jobctl.jobs.ingest_branch import job

        options = job.Options(
            full=full,
            batch_size=batch_size or settings.batch_size,
            batch_bytes=job.batch_bytes_within(settings.memory_limit_mb),
            max_age=age,
            max_withdraw_share=max_withdraw_share,
            model_version=settings.embed_model_version,
            h3_resolution=settings.h3_resolution,
            degraded_reject_share=settings.degraded_reject_share,
        )
        return job.ingest_branch(run, options)

    def scopes_of(conn: run_command.Connection) -> list[str]:
        from jobctl.jobs.ingest_branch.scopes import branches_to_ingest

        return branches_to_ingest(conn, asked=branch or [], configured=settings.branch_slug)

    report = run_command.run(
        "ingest-branch",
        work,
        scopes_of,
        settings=settings,
        slot_scope=",".join(branch or []),
        **run_command.of_given(given),
    )
    sys.exit(report.exit_code)


def add_to(app: typer.Typer) -> None:
    app.command("ingest-branch", epilog=INGEST_EXAMPLE)(ingest_branch)
