"""`jobctl report outbox` and `jobctl report resend`: where the weekly mails are, and a person's word about them."""

import sys
from typing import TYPE_CHECKING, Annotated, Final, Literal, get_args

import typer

from jobctl.cli import completion
from jobctl.cli.options import LARGEST_NUMBER, JsonOption, YesOption
from jobctl.cli.report_week import week_named

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jobctl.reports.mail_store import Line
    from jobctl.reports.sending import Sent

OUTBOX_EXAMPLE = "Example: jobctl report outbox --state unknown --json"
RESEND_EXAMPLE = (
    "Examples:\n\n\b\n  jobctl report resend 2026-W47 --failed\n  jobctl report resend 2026-W47 --to ann@example.org"
)
StateName = Literal["new", "sending", "sent", "unknown", "failed"]
# Those that a person may send again; whether an unknown one may be is for a person to find out.
AgainName = Literal["failed", "unknown"]
AGAIN: Final[tuple[AgainName, ...]] = ("failed", "unknown")


def add_to(app: typer.Typer) -> None:
    app.command("outbox", epilog=OUTBOX_EXAMPLE)(outbox)
    app.command("resend", epilog=RESEND_EXAMPLE)(resend)


def outbox(
    week: Annotated[
        str | None,
        typer.Option(
            "--week", help="Only of this week: 2026-W47.", show_default=False, autocompletion=completion.weeks
        ),
    ] = None,
    state: Annotated[
        list[str] | None,
        typer.Option(
            "--state",
            help="new, sending, sent, unknown or failed; may be repeated.",
            show_default=False,
            autocompletion=completion.among(get_args(StateName)),
        ),
    ] = None,
    after: Annotated[
        int | None, typer.Option("--after", min=1, max=LARGEST_NUMBER, help="Those after this id: the page's `next`.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000, help="The newest so many.")] = 100,
    json: JsonOption = False,
) -> None:
    """List the weekly mails, one for each who gets it, and where each is."""
    from jobctl.cli.render import print_json
    from jobctl.cli.session import current_settings, open_database
    from jobctl.errors import UsageError
    from jobctl.reports import mail_store

    wrong = next((each for each in state or () if each not in get_args(StateName)), None)
    if wrong is not None:
        raise UsageError(f"--state {wrong!r} is none", hint=f"one of {', '.join(get_args(StateName))}")
    settings = current_settings()
    if week is not None:
        week = week_named(week, settings.timezone).name
    with open_database(settings).connect(purpose="report outbox") as conn:
        found = mail_store.list_mails(conn, week=week, states=state or (), below=after, limit=limit + 1)
    shown, following = found[:limit], found[limit - 1].mail_id if len(found) > limit else None
    if json:
        print_json({"items": [_as_json(line) for line in shown], "next": following})
    else:
        _print_mails(shown, following, settings.timezone)


def resend(
    week: Annotated[
        str, typer.Argument(metavar="WEEK", help="Whose mails: 2026-W47.", autocompletion=completion.weeks)
    ],
    to: Annotated[
        list[str] | None,
        typer.Option("--to", help="Only to this address; may be repeated.", show_default=False),
    ] = None,
    unknown: Annotated[
        bool, typer.Option("--unknown", help="Those that may have arrived, too: look first, or they come twice.")
    ] = False,
    failed: Annotated[bool, typer.Option("--failed", help="Those that were refused.")] = False,
    yes: YesOption = False,
    json: JsonOption = False,
) -> None:
    """Send what waits of a week, and what you name once more, as it was written then.

    An address that is named with --to gets its mail again whether that was refused or is unknown, and never when it was
    sent. Nothing else sends an unknown mail again: ask the recipient, or look into the mail server's log."""
    from jobctl.cli.session import current_settings, open_database, redactor
    from jobctl.errors import EXIT_DEGRADED, EXIT_UNAVAILABLE, UsageError
    from jobctl.reports import mail_store, sending

    settings = current_settings()
    week = week_named(week, settings.timezone).name
    keys = _keys(to or [])
    database = open_database(settings)
    with database.connect(purpose="report resend") as conn:
        lines = mail_store.list_mails(conn, week=week, recipients=list(keys.values()), limit=1_000_000)
        _require_all(keys, lines, week)
        if not lines:
            raise UsageError(f"there is no mail of {week}", hint="jobctl report outbox lists them")
        named = {"failed": failed or bool(to), "unknown": unknown or bool(to)}
        states: list[AgainName] = [each for each in AGAIN if named[each]]
        doubtful = sum(line.state == "unknown" for line in lines) if named["unknown"] else 0
        if doubtful and not yes and not _has_looked(doubtful):
            return
        with database.transaction(conn):
            again = mail_store.send_again(conn, week, states, list(keys.values()))
    sent = sending.send_due(settings, database, redactor(), week=week)
    _report(week, again, sent, lines, json=json)
    if sent.left:
        sys.exit(EXIT_UNAVAILABLE)
    if sent.failed or sent.unknown:
        sys.exit(EXIT_DEGRADED)


def _keys(given: "Sequence[str]") -> dict[str, str]:
    """What each address is compared by."""
    from jobctl.errors import UsageError
    from jobctl.reports.addresses import parse

    keys: dict[str, str] = {}
    for text in given:
        try:
            keys[text] = parse(text).key
        except ValueError as error:
            raise UsageError(f"--to {text!r}: {error}", hint="jobctl report outbox lists the addresses") from None
    return keys


def _require_all(keys: dict[str, str], lines: "Sequence[Line]", week: str) -> None:
    from jobctl.errors import UsageError

    by_key = {line.address.lower(): line for line in lines}
    for text, key in keys.items():
        if key not in by_key:
            raise UsageError(f"there is no mail of {week} to {text}", hint=f"jobctl report outbox --week {week}")
        if by_key[key].state == "sent":
            told = f"mail {by_key[key].mail_id} of {week} was sent: it is not sent again"
            raise UsageError(told, hint="forward it by hand")


def _has_looked(doubtful: int) -> bool:
    """Raises UsageError where there is nobody to ask."""
    from jobctl.cli.render import note
    from jobctl.errors import EXIT_FAILED, UsageError

    told = f"{doubtful:,} of the mails may have arrived already, and would then come twice"
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError(f"nothing was sent: {told}", hint="look into the mail server's log, then add --yes")
    if typer.confirm(f"{told}. Have you looked, and shall they be sent again?", err=True):
        return True
    note("Nothing was sent.")
    raise typer.Exit(EXIT_FAILED)


def _as_json(line: "Line") -> dict[str, object]:
    from dataclasses import asdict

    return asdict(line)


def _print_mails(lines: "Sequence[Line]", following: int | None, zone_name: str) -> None:
    from zoneinfo import ZoneInfo

    from jobctl.cli.render import note, print_table, print_text

    if not lines:
        print_text("there are no such mails")
        return
    zone = ZoneInfo(zone_name)
    weeks = {line.week for line in lines}
    cells = [
        (
            line.mail_id,
            *([line.week] if len(weeks) > 1 else []),
            line.address,
            line.state,
            f"{line.updated_at.astimezone(zone):%m-%d %H:%M}",
            line.error if line.state != "sent" else "",
        )
        for line in lines
    ]
    columns = ["id", *(["week"] if len(weeks) > 1 else []), "to", "state", f"since ({zone_name})", "what was said"]
    print_table(weeks.pop() if len(weeks) == 1 else "", columns, cells)
    if following is not None:
        note(f"More: --after {following}")


def _report(week: str, again: int, sent: "Sent", lines: "Sequence[Line]", *, json: bool) -> None:
    from jobctl.cli.render import note, print_json, print_text

    if json:
        print_json({"week": week, "again": again, **sent.counts(), "problem": sent.problem or None})
        return
    parts = [(sent.sent, "sent"), (sent.failed, "refused"), (sent.unknown, "unknown"), (sent.left, "wait")]
    told = ", ".join(f"{number:,} {word}" for number, word in parts if number)
    print_text(f"{week}: {told or 'nothing was to be sent'}" + (f" ({sent.problem})" if sent.problem else ""))
    left = {state: sum(line.state == state and line.tries > 0 for line in lines) for state in AGAIN}
    if not told and any(left.values()):
        said = ", ".join(f"{number:,} with --{state}" for state, number in left.items() if number)
        note(f"Could be sent again: {said}")
