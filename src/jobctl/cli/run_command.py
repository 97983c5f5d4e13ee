"""What every job's command does around the envelope: who runs, how long, where the log goes, and what is printed."""

import os
import shlex
import socket
import sys
import uuid
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple, TypedDict

from psycopg import Connection

from jobctl import clock, log
from jobctl.accounts import current_user
from jobctl.cli import render
from jobctl.cli.options import JobOptions
from jobctl.cli.scheduled import Expected, start_catch_ups
from jobctl.cli.times import seconds
from jobctl.db.connection import Database
from jobctl.durations import format_duration
from jobctl.errors import UsageError
from jobctl.redact import Redactor
from jobctl.runtime.call import JobCall
from jobctl.runtime.envelope import run_job
from jobctl.runtime.identity import Identity
from jobctl.runtime.outcome import COMPLETED, Outcome, RunReport, ScopeReport
from jobctl.runtime.run import Run
from jobctl.settings import Settings
from jobctl.settings_reading.limits import require_limits
from jobctl.version import __version__

__all__ = [
    "Connection",
    "Outcome",
    "Output",
    "Run",
    "ScopeReport",
    "max_runtime_s",
    "of_given",
    "run",
    "seconds",
    "status_line",
]


class Output(NamedTuple):
    as_json: bool
    verbose: bool
    quiet: bool

    @property
    def to_a_person(self) -> bool:
        return not self.as_json and not self.quiet and (self.verbose or sys.stdout.isatty())


class Given(TypedDict):
    dry_run: bool
    max_runtime: str | None
    is_scheduled: bool
    correlation_id: str | None
    output: Output


def of_given(given: JobOptions) -> Given:
    """The options of every job, as `run` takes them."""
    return {
        "dry_run": given.dry_run,
        "max_runtime": given.max_runtime,
        "is_scheduled": given.scheduled,
        "correlation_id": given.correlation_id,
        "output": Output(given.json, given.verbose, given.quiet),
    }


def max_runtime_s(max_runtime: str | None, settings: Settings, job: str) -> int:
    """As it was given, else as the settings have it."""
    return seconds("--max-runtime", max_runtime) if max_runtime else settings.max_runtime_of(job)


def run(
    job: str,
    work: Callable[[Run], Outcome],
    scopes_of: Callable[[Connection], Sequence[str]],
    *,
    settings: Settings,
    dry_run: bool,
    max_runtime: str | None,
    slot_scope: str,
    is_scheduled: bool,
    correlation_id: str | None,
    output: Output,
    wraps_command: bool = False,
    outlives_database: bool = False,
    takes_one_scope: bool = False,
    regains_lock: bool = False,
    counted: str = "records",
    told: Callable[[ScopeReport], list[str]] | None = None,
    shown: Callable[[dict[str, Any]], dict[str, Any]] | None = None,
) -> RunReport:
    """Run the job and print its report: JSON, a table for a person, or one line on stderr when it failed under cron.

    `slot_scope` is the scope that the line in the crontab names, which may stand for several scopes of the run. What a
    scope has done is `told` in lines of the job's own, and the report's JSON object `shown` as the job makes it;
    `counted` are what its progress counts."""
    run_id = uuid.uuid4()
    limit_s = max_runtime_s(max_runtime, settings, job)
    require_limits(settings, job, limit_s, within_interval=not wraps_command)
    redactor = Redactor(settings.secrets())
    identity = Identity(
        run_id=run_id,
        job=job,
        correlation_id=redactor.text(_correlation(correlation_id) or str(run_id)),
        host=socket.gethostname(),
        os_user=current_user(),
        supervisor_pid=os.getpid(),
        version=__version__,
        command=redactor.text(_readable(shlex.join(["jobctl", *sys.argv[1:]])), limit=1_000),
    )
    log.configure(settings, redactor, verbose=output.verbose, quiet=output.quiet, keep_stdout=output.as_json)
    log.bind(job=job, run_id=str(run_id), correlation_id=identity.correlation_id)
    expected = Expected(settings, identity, slot_scope, clock.utc_now(), is_scheduled=is_scheduled and not dry_run)
    identity = identity._replace(slot_at=expected.slot_at)
    report = run_job(
        JobCall(
            identity=identity,
            settings=settings,
            redactor=redactor,
            dry_run=dry_run,
            max_runtime_s=limit_s,
            open_database=partial(_open, settings),
            scopes_of=scopes_of,
            work=work,
            progress=_progress(output, counted),
            expected=expected,
            slot_scope=slot_scope,
            outlives_database=outlives_database,
            contains_children=wraps_command,
            takes_one_scope=takes_one_scope,
            regains_lock=regains_lock,
        )
    )
    _print(report, output, f"{job} {slot_scope}" if wraps_command else job, told or told_of_records, shown)
    start_catch_ups(report.catch_up)
    return report


def _open(settings: Settings, application_name: str) -> Database:
    from jobctl.db.opening import open_database

    return open_database(settings, application_name=application_name)


def _readable(text: str) -> str:
    """A name of a file may have bytes that are no UTF-8, which a row cannot keep and the command gets as they are."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _correlation(text: str | None) -> str | None:
    if text is not None and not (0 < len(text) <= 100 and text.isprintable()):
        raise UsageError("a correlation id is 1 to 100 printable characters")
    return text


def _progress(output: Output, counted: str) -> Callable[[int, int | None], None]:
    if not (output.to_a_person and sys.stderr.isatty()):
        return lambda done, total: None

    def show(done: int, total: int | None) -> None:
        text = f"\r  {done:,} {counted}" + (f" of {total:,}" if total else "")
        sys.stderr.write(text)
        sys.stderr.flush()

    return show


def _print(
    report: RunReport,
    output: Output,
    name: str,
    told: Callable[[ScopeReport], list[str]],
    shown: Callable[[dict[str, Any]], dict[str, Any]] | None,
) -> None:
    if output.as_json:
        document = report.as_json()
        render.print_json(shown(document) if shown is not None else document)
        return
    error = report.first_error
    if error is not None:
        render.note(f"jobctl {name}: {render.one_line(error.message)}" + (f" ({error.hint})" if error.hint else ""))
    elif report.degraded:
        reasons = "; ".join(note for scope in report.scopes for note in scope.notes)
        render.note(f"jobctl {name}: completed, but degraded: {render.one_line(reasons)}")
    if output.to_a_person:
        if sys.stderr.isatty():
            sys.stderr.write("\r\x1b[K")
        for line in summary(report, told):
            render.print_text(line)


def status_line(scope: ScopeReport) -> str:
    why = f": {render.one_line(scope.error.message)} ({scope.error.hint})" if scope.error else ""
    return f"  {scope.scope or 'no scope'}: {scope.status}{why}"


ADD_UP = ("inserted", "updated", "unchanged", "rejected", "skipped")


def told_of_records(scope: ScopeReport) -> list[str]:
    counts, lines = scope.counts, list[str]()
    if scope.status != COMPLETED or not counts.get("read"):
        lines.append(status_line(scope))
    if counts.get("read") and scope.metrics:
        lines += [
            f"  {scope.scope or 'no scope'}: {counts['read']:,} records read",
            f"    = {' + '.join(f'{counts.get(count, 0):,} {count}' for count in ADD_UP)}",
            f"    at {scope.metrics['rows_per_s']:,.0f} records/s, {counts['bytes'] / 1e6:,.1f} MB",
        ]
        if "lag_s" in scope.metrics:
            lines.append(f"    the newest record was {scope.metrics['lag_s']:,.0f} s old when it was in")
    if counts.get("withdrawn") or counts.get("enqueued"):
        lines.append(f"    {counts['withdrawn']:,} withdrawn, {counts['enqueued']:,} embeddings queued")
    return lines


def summary(report: RunReport, told: Callable[[ScopeReport], list[str]] | None = None) -> list[str]:
    """What a person wants to know of a run, in lines that fit a terminal of 80 columns."""
    took = format_duration(report.duration_ms / 1000)
    what = f"{report.job}: {report.status}" + (", degraded" if report.degraded else "") + f" in {took}"
    lines = [what + (" (dry run: nothing was written)" if report.dry_run else "")]
    for scope in report.scopes:
        lines += (told or told_of_records)(scope)
        lines += [f"    {note}" for note in scope.notes]
    lines += [f"  {note}" for note in report.notes]
    memory = f"{report.peak_memory_bytes / 1e6:,.0f} MB"
    return [*lines, f"  run {report.run_id}, peak memory {memory}, exit code {report.exit_code}"]
