"""`jobctl slots`, `pause` and `resume`: what became of each expected start, and planned quiet times."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from jobctl.cli import completion
from jobctl.cli.options import JsonOption

if TYPE_CHECKING:
    from jobctl.schedule.pause import Pause
    from jobctl.schedule.slots import Slot

SLOTS_EXAMPLE = """Examples:\n
\b
  jobctl slots                                  the last day
  jobctl slots --since 7d --verdict missed      what did not start this week, and why
  jobctl slots --job sync --json
"""
PAUSE_EXAMPLE = """Examples:\n
\b
  jobctl pause ingest-branch --until 2h --reason "moving the database"
  jobctl pause run --scope backup --until 2026-12-24T18:00 --reason "disk is being changed"
"""
RESUME_EXAMPLE = "Example: jobctl resume ingest-branch"

JobArgument = Annotated[
    str, typer.Argument(metavar="JOB", help="The job, such as ingest-branch, or run.", autocompletion=completion.jobs)
]
ScopeOption = Annotated[
    str,
    typer.Option(
        "--scope",
        help="Only starts limited to this scope: --branch X, or the name of a wrapped command.",
        show_default=False,
        autocompletion=completion.scopes,
    ),
]


def slots(
    since: Annotated[str, typer.Option("--since", help="How far back: 1d, 12h, or a time (ISO 8601).")] = "1d",
    job: Annotated[
        str, typer.Option("--job", help="Only this job.", show_default=False, autocompletion=completion.jobs)
    ] = "",
    verdict: Annotated[
        list[str] | None,
        typer.Option(
            "--verdict",
            help="Only these: ran, late, skipped_locked, paused, missed, dst_shifted; may be repeated.",
            show_default=False,
            autocompletion=completion.verdicts,
        ),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000, help="The newest so many.")] = 100,
    as_json: JsonOption = False,
) -> None:
    """What became of each moment at which a job was expected to start; judges those that have passed first."""
    from jobctl import clock
    from jobctl.cli import render
    from jobctl.cli.session import current_settings, open_database
    from jobctl.cli.times import past
    from jobctl.errors import UsageError
    from jobctl.schedule import ledger, slots, verdicts

    for name in verdict or ():
        if name not in verdicts.VERDICTS:
            raise UsageError(f"{name!r} is no verdict", hint=f"one of {', '.join(verdicts.VERDICTS)}")
    now = clock.utc_now()
    settings = current_settings()
    from_moment = past("--since", since, now, settings.timezone)
    import socket

    with open_database(settings).connect() as conn:
        ledger.judge(conn, host=socket.gethostname(), now=now)
        found = slots.since(conn, from_moment, job=job, verdicts=verdict or (), limit=limit)
    if as_json:
        render.print_json({"items": [slot_json(slot) for slot in found], "next": None})
    elif not found:
        render.print_text(
            f"no slots since {from_moment:%Y-%m-%d %H:%M} UTC: is a crontab installed? (jobctl schedule list)"
        )
    else:
        rows = [(slot.slot_local, _named(slot.job, slot.scope), slot.verdict, slot.host, _why(slot)) for slot in found]
        render.print_table("", ("slot", "job", "verdict", "host", ""), rows)


def pause(
    job: JobArgument,
    until: Annotated[str, typer.Option("--until", help="When it ends: 2h, 3d, or a time (ISO 8601).")],
    reason: Annotated[str, typer.Option("--reason", help="Why, for whoever wonders at night.")],
    scope: ScopeOption = "",
    as_json: JsonOption = False,
) -> None:
    """Let no run of a job start until a time; its slots are recorded as paused, and nobody is alarmed."""
    from jobctl import clock
    from jobctl.accounts import current_user
    from jobctl.cli import render
    from jobctl.cli.session import current_settings, open_database
    from jobctl.cli.times import future
    from jobctl.errors import UsageError
    from jobctl.schedule import pauses

    _require_job(job)
    if not reason.strip():
        raise UsageError("--reason is empty", hint="say why the job is paused: somebody else will read it")
    now = clock.utc_now()
    settings = current_settings()
    until_at = future("--until", until, now, settings.timezone)
    database = open_database(settings)
    with database.connect() as conn, database.transaction(conn):
        made = pauses.begin(
            conn, job, scope, now=now, until_at=until_at, reason=reason.strip(), paused_by=current_user()
        )
    if as_json:
        render.print_json(_pause_json(made))
    else:
        render.print_text(f"{_named(job, scope)} is {made}; a run that has begun goes on")


def resume(job: JobArgument, scope: ScopeOption = "", as_json: JsonOption = False) -> None:
    """End a pause before its time."""
    from jobctl import clock
    from jobctl.accounts import current_user
    from jobctl.cli import render
    from jobctl.cli.session import current_settings, open_database
    from jobctl.schedule import pauses

    _require_job(job)
    with open_database(current_settings()).connect() as conn:
        ended = pauses.end(conn, job, scope, now=clock.utc_now(), ended_by=current_user())
    if as_json:
        render.print_json({"job": job, "scope": scope, "resumed": bool(ended)})
    else:
        render.print_text(f"{_named(job, scope)} " + ("is resumed" if ended else "was not paused"))


def _require_job(job: str) -> None:
    from jobctl.did_you_mean import did_you_mean
    from jobctl.errors import UsageError
    from jobctl.settings_runtimes import DEFAULT_MAX_RUNTIME_S

    known = (*DEFAULT_MAX_RUNTIME_S, "run")
    if job not in known:
        meant = did_you_mean(job, known)
        raise UsageError(
            f"{job!r} is not a job", hint=f"did you mean {meant}?" if meant else f"one of {', '.join(known)}"
        )


def _named(job: str, scope: str) -> str:
    return f"{job} {scope}" if scope else job


def _why(slot: "Slot") -> str:
    covered = f"covered by run {slot.covered_by_run_id}" if slot.covered_by_run_id else ""
    ran = f"run {slot.run_id}" if slot.run_id else ""
    return "; ".join(part for part in (slot.reason, covered, ran) if part)


def slot_json(slot: "Slot") -> dict[str, object]:
    return {
        "job": slot.job,
        "scope": slot.scope,
        "slot_at": slot.slot_at,
        "slot_local": slot.slot_local,
        "verdict": slot.verdict,
        "host": slot.host,
        "run_id": slot.run_id,
        "started_at": slot.started_at,
        "covered_by_run_id": slot.covered_by_run_id,
        "reason": slot.reason,
        "evidence": slot.evidence,
    }


def _pause_json(made: "Pause") -> dict[str, datetime | str | None]:
    return {
        "job": made.job,
        "scope": made.scope,
        "from_at": made.from_at,
        "until_at": made.until_at,
        "reason": made.reason,
        "paused_by": made.paused_by,
    }
