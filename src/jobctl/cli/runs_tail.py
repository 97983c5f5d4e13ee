"""`jobctl runs tail`: what a run does, as it does it, until it ends.

On the run's own host its lines of the log are followed, which hold its events and more; from elsewhere its events are,
which the database has.
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from jobctl.cli.options import JsonOption
from jobctl.cli.runs_options import RunArgument

if TYPE_CHECKING:
    import psycopg

    from jobctl.monitor.runs.log_lines import Follower
    from jobctl.monitor.runs.showing import Event, Shown
    from jobctl.settings import Settings

EXAMPLE = """Examples:\n
\b
  jobctl runs tail sync               the run of sync that goes on now; ends with it, and with its exit code
  jobctl runs tail last --every 5s
"""
EXIT_OF_DEAD = 1
SHOWN_BEFORE = 10


def tail(
    run: RunArgument,
    every: Annotated[str, typer.Option("--every", help="How often to look.")] = "1s",
    json: JsonOption = False,
) -> None:
    """Follow a run until it ends, and exit as it did; a run that has ended is told of at once.

    With --json nothing is printed until then."""
    from jobctl.cli import runs_show
    from jobctl.cli.render import print_json, print_text
    from jobctl.cli.session import current_settings, open_database
    from jobctl.cli.times import seconds
    from jobctl.monitor.runs import finding

    pause_s = seconds("--every", every)
    settings = current_settings()
    with open_database(settings).connect(purpose="runs tail") as conn:
        run_id = finding.find(conn, run)
        shown, events = _follow(conn, run_id, settings, pause_s, say=_silence if json else print_text)
    exit_code = _exit_code(shown)
    if json:
        document = {**runs_show.summary_json(shown), "exit_code": exit_code}
        print_json({**document, "events": [event._asdict() for event in events]})
    else:
        print_text(_ending(shown))
    sys.exit(exit_code)


def _follow(
    conn: "psycopg.Connection", run_id: UUID, settings: "Settings", pause_s: float, *, say: Callable[[str], None]
) -> "tuple[Shown, list[Event]]":
    """Until no scope of it has run at two looks in a row: between two scopes of a run none does for a moment."""
    from jobctl.monitor.runs import showing

    shown = showing.show(conn, run_id, events=0)
    log = _log(shown, settings)
    events = showing.events_after(conn, run_id, 0)
    was_idle = not shown.is_unfinished
    _begin(shown, events, log, settings, say)
    while True:
        shown = showing.show(conn, run_id, events=0)
        news = showing.events_after(conn, run_id, events[-1].event_id if events else 0)
        events += news
        _tell_news(news, log, settings, say)
        is_idle = not shown.is_unfinished or shown.state == "dead"
        if is_idle and was_idle:
            if log is not None:
                log.close()
            return shown, events
        was_idle = is_idle
        time.sleep(pause_s)


def _begin(
    shown: "Shown", events: "list[Event]", log: "Follower | None", settings: "Settings", say: Callable[[str], None]
) -> None:
    from jobctl.cli.runs_views import moment, name_of

    names = ", ".join(name_of(scope.row.job, scope.row.scope) for scope in shown.scopes)
    at = moment(shown.first.started_at, settings.timezone)
    say(f"run {shown.run_id} of {names} on {shown.first.host}, began {at}: {shown.state}")
    if len(events) > SHOWN_BEFORE:
        say(f"... {len(events) - SHOWN_BEFORE} earlier events")
    for event in events[-SHOWN_BEFORE:]:
        say(_event(event, settings))
    if log is not None:
        log.skip()


def _tell_news(news: "list[Event]", log: "Follower | None", settings: "Settings", say: Callable[[str], None]) -> None:
    from jobctl.cli.runs_show import log_line

    if log is None:
        for event in news:
            say(_event(event, settings))
        return
    try:
        for line in log.new():
            say(log_line(line, settings.timezone))
    except OSError as error:
        say(f"the log cannot be read: {error.strerror}")


def _log(shown: "Shown", settings: "Settings") -> "Follower | None":
    """None: it is elsewhere, or there is none."""
    from socket import gethostname

    from jobctl.monitor.runs.log_lines import Follower

    if shown.first.host != gethostname() or settings.log_file in (None, Path("-")):
        return None
    assert settings.log_file is not None
    return Follower(settings.log_file, str(shown.run_id))


def _event(event: "Event", settings: "Settings") -> str:
    from jobctl.cli.runs_show import fields_in_words
    from jobctl.cli.runs_views import moment

    at = moment(event.at, settings.timezone)[11:19]
    scope = f" {event.scope}" if event.scope else ""
    return f"{at}  {event.level} {event.event}{scope}{fields_in_words(event.fields)}"


def _ending(shown: "Shown") -> str:
    from jobctl.cli.runs_views import counts_in_words, name_of, took

    lines: list[str] = []
    for scope in shown.scopes:
        why = f": {scope.row.error_message}" if scope.row.error_message else ""
        if scope.pulse is not None:
            why = f": {scope.pulse.why}"
        counts = counts_in_words(scope.counts)
        name = name_of(scope.row.job, scope.row.scope)
        lines.append(f"{name}: {scope.state} after {took(scope.duration_ms)}{why}" + (f"; {counts}" if counts else ""))
    return "\n".join(lines)


def _exit_code(shown: "Shown") -> int:
    return EXIT_OF_DEAD if shown.exit_code is None else shown.exit_code


def _silence(_: str) -> None:
    pass
