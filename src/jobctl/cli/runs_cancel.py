"""`jobctl runs cancel`: end a run that goes on, on whatever host.

The request goes to the database, and the run's own heartbeat brings it to the run. No process is ended by its number:
this may be another host than the run's, and the number another process's by now.
"""

import time
from typing import TYPE_CHECKING, Annotated, NamedTuple
from uuid import UUID

import typer

from jobctl.cli.options import JsonOption
from jobctl.cli.runs_options import RunningArgument

if TYPE_CHECKING:
    import psycopg

    from jobctl.errors import UsageError
    from jobctl.monitor.runs.showing import Shown
    from jobctl.runtime.cancellations import Cancellation
    from jobctl.settings import Settings

EXAMPLE = """Examples:\n
\b
  jobctl runs cancel 5f0c1d2e --reason "the source sends nonsense"
  jobctl runs cancel backup --wait        the run of a wrapped command; come back when it has ended
  jobctl runs cancel sync --now           the second signal: what it does not have committed is rolled back
"""
POLL_S = 0.5
LONGEST_REASON = 500


class Asked(NamedTuple):
    """How it stands after the request. `is_heard`: somebody is there who will hear it."""

    request: "Cancellation"
    shown: "Shown"
    is_heard: bool
    said: str


def cancel(
    run: RunningArgument,
    reason: Annotated[str, typer.Option("--reason", help="Why, for whoever looks later.", show_default=False)] = "",
    now: Annotated[bool, typer.Option("--now", help="Do not let it finish its batch: the second signal.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Come back when it has ended.")] = False,
    json: JsonOption = False,
) -> None:
    """End a running run from any host, as SIGTERM would: its batch is finished or rolled back, its checkpoint kept.

    Exit 1 if nobody is there to hear it (a frozen run); 2 if it does not run."""
    from jobctl.cli.render import one_line, print_json, print_text
    from jobctl.cli.session import current_settings, open_database, redactor
    from jobctl.monitor.runs import finding

    settings = current_settings()
    why = one_line(redactor().text(reason, limit=LONGEST_REASON))
    with open_database(settings).connect(purpose="runs cancel") as conn:
        asked = _ask(conn, finding.find(conn, run), settings, reason=why, is_now=now)
        if not json:
            print_text(asked.said)
        if wait and asked.is_heard:
            asked = _await_end(conn, asked, settings)
            if not json:
                print_text(asked.said)
    if json:
        print_json(_as_json(asked))
    if not asked.is_heard:
        raise typer.Exit(1)


def _ask(conn: "psycopg.Connection", run_id: UUID, settings: "Settings", *, reason: str, is_now: bool) -> Asked:
    from socket import gethostname

    from jobctl.accounts import current_user
    from jobctl.monitor.runs import showing
    from jobctl.runtime import cancellations

    is_second_look = False
    while True:
        shown = showing.show(conn, run_id, events=0)
        if shown.state == "dead":
            raise _no_longer(shown, settings)
        request = cancellations.request(
            conn, run_id, requested_by=current_user(), requested_from=gethostname(), reason=reason, is_now=is_now
        )
        if request is not None:
            return _asked(request, shown, settings)
        if is_second_look:
            raise _no_longer(shown, settings)
        is_second_look = True  # between two scopes of a run none runs for a moment
        time.sleep(POLL_S)


def _no_longer(shown: "Shown", settings: "Settings") -> "UsageError":
    """It does not run; what is so instead."""
    from jobctl.cli.runs_views import moment, name_of
    from jobctl.errors import UsageError

    first = shown.first
    name = f"run {shown.run_id} of {name_of(first.job, first.scope)}"
    if shown.state == "dead":
        return UsageError(
            f"{name} does not run any more: it died without a word on {first.host}, its lock is free",
            hint=f"nothing is left to end; the next run of any job makes it abandoned, and jobctl {first.job} goes on"
            " from its checkpoint",
        )
    ended = f" at {moment(shown.finished_at, settings.timezone)}" if shown.finished_at else ""
    return UsageError(f"{name} does not run: it ended{ended}, {shown.state}", hint="jobctl runs list --status running")


def _asked(request: "Cancellation", shown: "Shown", settings: "Settings") -> Asked:
    from jobctl.cli.runs_views import name_of
    from jobctl.durations import format_duration

    first = shown.first
    name = f"run {shown.run_id} of {name_of(first.job, first.scope)}"
    if shown.state == "frozen":
        pulse = next(scope.pulse for scope in shown.scopes if scope.state == "frozen")
        assert pulse is not None
        lease = format_duration(first.lease_s or 0)
        return Asked(
            request,
            shown,
            False,
            f"{name} cannot hear it: {pulse.why}.\n"
            f"The request stands, and ends it should it wake. After a silence of {lease} (its lease) the next start of"
            f" {first.job} takes its lock and makes it abandoned; what it had committed is kept, and it can write"
            f" nothing more.\n"
            f"The way out: jobctl {first.job}, or on {first.host}: kill -TERM {first.supervisor_pid}",
        )
    soon = format_duration(settings.heartbeat_s)
    manner = "at once, rolling its batch back" if request.is_now else "as by SIGTERM, its batch done or rolled back"
    return Asked(
        request, shown, True, f"{name} on {first.host} hears of it within {soon} (its heartbeat) and ends {manner}"
    )


def _await_end(conn: "psycopg.Connection", asked: Asked, settings: "Settings") -> Asked:
    """Until no scope of it has run at two looks in a row, or nobody is there any more to end it."""
    from jobctl.cli.runs_views import name_of
    from jobctl.monitor.runs import showing
    from jobctl.runtime import cancellations

    was_idle = False
    while True:
        shown = showing.show(conn, asked.shown.run_id, events=0)
        request = cancellations.get(conn, shown.run_id) or asked.request
        if shown.state == "frozen":
            return _asked(request, shown, settings)
        is_idle = not shown.is_unfinished or shown.state == "dead"
        if is_idle and was_idle:
            first = shown.scopes[-1].row
            why = f": {first.error_message}" if first.error_message else ""
            return Asked(request, shown, True, f"{name_of(first.job, first.scope)}: {shown.state}{why}")
        was_idle = is_idle
        time.sleep(POLL_S)


def _as_json(asked: Asked) -> dict[str, object]:
    first = asked.shown.first
    return {
        "run_id": asked.shown.run_id,
        "job": first.job,
        "host": first.host,
        "state": asked.shown.state,
        "exit_code": asked.shown.exit_code,
        **asked.request._asdict(),
        "is_heard": asked.is_heard,
        "said": asked.said,
    }
