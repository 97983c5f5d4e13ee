"""`jobctl quality`: is what is stored consistent, and how much of what was begun succeeded."""

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jobctl.cli.options import JsonOption, VerboseOption
from jobctl.cli.paragraphs import print_paragraph
from jobctl.cli.render import note, print_json, print_table, print_text, printable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from jobctl.monitor.looking import Unseen
    from jobctl.monitor.quality.check import Finding
    from jobctl.monitor.quality.events import Events
    from jobctl.monitor.queue.patterns import Pattern

EXAMPLE = """Examples:\n
\b
  jobctl quality                       each check, and the events of the last week
  jobctl quality -v                    with what each check says
  jobctl quality --only items-embedded --only records-judged --time-limit 5m
  jobctl quality --json | jq '.items[] | select(.status != "ok")'
"""
MARKS = {"ok": "ok", "failed": "FAILED", "unknown": "unknown"}
COLOURS = {"ok": "green", "failed": "red", "unknown": "yellow"}
SHOWN_PATTERNS = 10


def quality(
    since: Annotated[str, typer.Option("--since", help="The window of runs and events: 7d, or a time.")] = "7d",
    only: Annotated[
        list[str] | None, typer.Option("--only", metavar="CHECK", help="Only this check; may be repeated.")
    ] = None,
    time_limit: Annotated[str, typer.Option("--time-limit", help="After this long a check is given up.")] = "10s",
    json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Check that what is stored is consistent, and count how much of what was begun succeeded.

    Changes nothing. Exit 0: all is in order; 1: a check failed; 3: none failed, but some could not be asked."""
    from jobctl import clock
    from jobctl.cli.run_command import seconds
    from jobctl.cli.session import current_settings, open_database
    from jobctl.cli.times import past
    from jobctl.monitor import looking
    from jobctl.monitor.quality import asking, events

    settings, now = current_settings(), clock.utc_now()
    begin = past("--since", since, now, settings.timezone)
    limit_ms = max(1, seconds("--time-limit", time_limit)) * 1_000
    chosen = _chosen(only or [])
    database = open_database(settings)
    given = {"since": begin, "now": now, "model_version": settings.embed_model_version}
    unseen: list[Unseen] = []
    told: Events | None = None
    with database.connect(purpose="quality") as conn:
        found = [asking.ask(database, conn, each, given, limit_ms=limit_ms) for each in chosen]
        if not only:
            with looking.look(database, conn, limit_ms=limit_ms):
                told = looking.ask(conn, "events", lambda conn: events.read(conn, begin, now), unseen)
    if json:
        print_json(as_json(found, told, unseen, since=begin, now=now))
    elif verbose or sys.stdout.isatty():
        _print(found, told, unseen, shows_all=verbose)
    else:
        _tell_failures(found)
    raise typer.Exit(exit_code_of(found))


def exit_code_of(found: "Sequence[Finding]") -> int:
    from jobctl.errors import EXIT_DEGRADED, EXIT_DONE, EXIT_FAILED

    statuses = {each.status for each in found}
    return EXIT_FAILED if "failed" in statuses else EXIT_DEGRADED if "unknown" in statuses else EXIT_DONE


def _chosen(only: "list[str]") -> "list[Any]":
    from jobctl.did_you_mean import did_you_mean
    from jobctl.errors import UsageError
    from jobctl.monitor.quality.asking import CHECKS

    names = [each.name for each in CHECKS]
    for name in only:
        if name not in names:
            meant = did_you_mean(name, names)
            raise UsageError(
                f"--only {name!r} is no check", hint=f"did you mean {meant}?" if meant else f"one of {', '.join(names)}"
            )
    return [each for each in CHECKS if not only or each.name in only]


def as_json(
    found: "Sequence[Finding]",
    told: "Events | None",
    unseen: "Sequence[Unseen]",
    *,
    since: "datetime",
    now: "datetime",
) -> dict[str, object]:
    return {
        "since": since,
        "until": now,
        "exit_code": exit_code_of(found),
        "counts": {status: sum(each.status == status for each in found) for status in MARKS},
        "items": [each._asdict() for each in found],
        "next": None,
        "events": None if told is None else _events_object(told),
        "unseen": [each._asdict() for each in unseen],
    }


def _events_object(told: "Events") -> dict[str, object]:
    processed, failed = (sum(getattr(each, name) for each in told.tallies) for name in ("processed", "failed"))
    done = processed + failed
    return {
        "runs": told.runs,
        "is_whole": told.is_whole,
        "processed": processed,
        "failed": failed,
        "success_rate": round(processed / done, 6) if done else None,
        "by_type": [{**each._asdict(), "success_rate": round(each.success_rate, 6)} for each in told.tallies],
        "patterns": [pattern_object(each) for each in told.patterns],
    }


def pattern_object(each: "Pattern") -> dict[str, object]:
    return {name: value for name, value in each._asdict().items() if name != "task_id"}


def _print(found: "Sequence[Finding]", told: "Events | None", unseen: "Sequence[Unseen]", *, shows_all: bool) -> None:
    for each in found:
        if shows_all or each.status != "ok":
            _print_check(each)
    if told is not None:
        _print_events(told)
    for each in unseen:
        print_paragraph(f"not seen: {each.what}: {each.why}")
    counts = {status: sum(each.status == status for each in found) for status in MARKS}
    words = {"ok": "in order", "failed": "failed", "unknown": "could not be asked"}
    print_text(
        f"Of {len(found)} checks " + ", ".join(f"{counts[key]} {words[key]}" for key in MARKS if counts[key]) + "."
    )


def _print_check(each: "Finding") -> None:
    rows = f" ({each.rows:,} broken)" if each.rows else ""
    print_paragraph(f"{each.name}{rows}: {each.says}", first=f"{_mark(each.status)}  ", indent=9)
    for word, said in (("such as", each.example), ("why", each.why), ("mend", each.mend)):
        if said:
            print_paragraph(said, first=f"{'':9}{word}: ", indent=11 + len(word))


def _print_events(told: "Events") -> None:
    if not told.tallies:
        print_text("No events were kept in this time.")
        return
    print_table(
        "Events",
        ["job", "type", "events", "processed", "failed", "success"],
        [
            [
                each.job,
                each.type,
                f"{each.events:,}",
                f"{each.processed:,}",
                f"{each.failed:,}",
                _share(each.success_rate),
            ]
            for each in told.tallies
        ],
    )
    if not told.is_whole:
        print_text(f"These are of the latest {told.runs:,} runs.")
    if told.patterns:
        from jobctl.cli.queue_views import shortened

        print_table(
            "Errors",
            ["times", "jobs", "error", "last"],
            [
                [
                    f"{each.failures:,}",
                    ", ".join(each.types),
                    shortened(": ".join(part for part in (each.error_class, each.pattern) if part)),
                    each.last_at,
                ]
                for each in told.patterns[:SHOWN_PATTERNS]
            ],
        )


def _share(share: float) -> str:
    """Rounded down: what is not all is never told as 100 %."""
    return f"{int(share * 1000) / 10:.1f} %"


def _tell_failures(found: "Sequence[Finding]") -> None:
    """Without a terminal, as under cron: silence, or one line on stderr."""
    broken = [each for each in found if each.status != "ok"]
    if broken:
        first = broken[0]
        said = f"{first.rows:,} broken, such as {first.example}" if first.rows else first.why
        more = f" and {len(broken) - 1} more" if len(broken) > 1 else ""
        note(
            f"jobctl: quality: {first.name}: {printable(said)}{more} (jobctl quality -v tells all, and how to mend it)"
        )


def _mark(status: str) -> str:
    text = f"{MARKS[status]:<7}"
    return typer.style(text, fg=COLOURS[status]) if sys.stdout.isatty() else text
