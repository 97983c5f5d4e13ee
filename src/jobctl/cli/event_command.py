"""`jobctl events`: what runs did or met, one line each, the newest first."""

from typing import TYPE_CHECKING, Annotated

import typer

from jobctl.cli import completion
from jobctl.cli.options import LARGEST_NUMBER, JsonOption

if TYPE_CHECKING:
    from jobctl.monitor.runs.events import Event

EXAMPLE = """Examples:\n
\b
  jobctl events --level warning                what went wrong in the last day
  jobctl events --job sync --since 7d --limit 500
  jobctl events --run last --json
"""
SHOWN_FIELDS = 200


def events(
    job: Annotated[
        str | None,
        typer.Option("--job", help="Only of this job.", show_default=False, autocompletion=completion.jobs),
    ] = None,
    level: Annotated[
        str | None,
        typer.Option(
            "--level",
            help="Only of this level and graver: debug, info, warning, error.",
            show_default=False,
            autocompletion=completion.levels,
        ),
    ] = None,
    since: Annotated[str, typer.Option("--since", help="How far back: 1d, 12h, or a time (ISO 8601).")] = "1d",
    run: Annotated[
        str | None,
        typer.Option(
            "--run",
            metavar="RUN",
            help="Only of this run, however old: its id or the beginning of it, last, or a job.",
            show_default=False,
            autocompletion=completion.runs,
        ),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000, help="Events on a page.")] = 100,
    cursor: Annotated[
        int | None,
        typer.Option(
            "--cursor",
            min=1,
            max=LARGEST_NUMBER,
            help="Go on behind this page: the last one's `next`.",
            show_default=False,
        ),
    ] = None,
    json: JsonOption = False,
) -> None:
    """List what runs did or met. The log has it, too; this is what the database keeps of it."""
    from jobctl import clock
    from jobctl.cli.render import note, print_json
    from jobctl.cli.session import current_settings, reading
    from jobctl.cli.times import past
    from jobctl.errors import UsageError
    from jobctl.monitor.runs import events as store
    from jobctl.monitor.runs import finding

    if level is not None and level not in store.LEVELS:
        raise UsageError(f"{level!r} is no level", hint=f"one of {', '.join(store.LEVELS)}")
    settings = current_settings()
    moment = past("--since", since, clock.utc_now(), settings.timezone)
    with reading(settings, "events") as conn:
        run_id = finding.find(conn, run) if run is not None else None
        found = store.page(
            conn,
            since=moment if run_id is None else store.EVER,
            job=job,
            run_id=run_id,
            level=level,
            before=cursor,
            limit=limit + 1,
        )
    shown = found[:limit]
    following = shown[-1].event_id if len(found) > limit else None
    if json:
        print_json({"items": [each._asdict() for each in shown], "next": following})
        return
    _print(shown, settings.timezone)
    if following is not None:
        note(f"More: add --cursor {following}")


def _print(shown: "list[Event]", zone: str) -> None:
    from zoneinfo import ZoneInfo

    from rich.text import Text

    from jobctl.cli.render import on_screen, print_text, printable
    from jobctl.cli.runs_views import name_of
    from jobctl.cli.status_views import table

    if not shown:
        print_text("No such events.")
        return
    clock = ZoneInfo(zone)
    colours = {"warning": "yellow", "error": "bold red", "debug": "bright_black"}
    made = table(f"at ({zone})", "level", "job", "event", "", folds="")
    for each in shown:
        made.add_row(
            Text(f"{each.at.astimezone(clock):%m-%d %H:%M:%S}"),
            Text(each.level, style=colours.get(each.level, "")),
            Text(printable(name_of(each.job, each.scope))),
            Text(printable(each.event)),
            Text(printable(_fields(each))),
        )
    with on_screen() as console:
        console.print(made)


def _fields(event: "Event") -> str:
    text = " ".join(f"{name}={value}" for name, value in event.fields.items())
    return text if len(text) <= SHOWN_FIELDS else text[: SHOWN_FIELDS - 1] + "…"


def add_to(app: typer.Typer) -> None:
    app.command("events", epilog=EXAMPLE)(events)
