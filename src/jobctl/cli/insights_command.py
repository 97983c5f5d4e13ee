"""`jobctl insights`: what to do, with evidence, what matters most first."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from jobctl.cli.options import JsonOption, VerboseOption
from jobctl.cli.paragraphs import print_paragraph
from jobctl.cli.render import print_json, styled

if TYPE_CHECKING:
    from jobctl.monitor.insights.finding import Finding
    from jobctl.monitor.insights.gather import Insights

EXAMPLE = """Examples:\n
\b
  jobctl insights                  what to do, what matters most first
  jobctl insights -v               with the numbers that each rests on
  jobctl insights --since 30d --json | jq '.items[] | {code, what, do}'
"""
NOTHING = "Nothing to do: nothing became slower, fails alike, waits or bloats, as far as there is enough to tell."
COLOURS = {"high": "red", "medium": "yellow", "low": "cyan"}


def insights(
    since: Annotated[str, typer.Option("--since", help="How far back failures and starts are looked at.")] = "14d",
    time_limit: Annotated[str, typer.Option("--time-limit", help="After this long a question is given up.")] = "10s",
    json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Say what to do: what became slower and since when, what fails alike, what holds the queue back, what bloats.

    Each comes with the numbers it rests on, and is said only where there are enough of them. Changes nothing."""
    from jobctl import clock
    from jobctl.cli.session import current_settings, open_database
    from jobctl.cli.times import past, seconds
    from jobctl.monitor.insights import gather
    from jobctl.monitor.insights.runs import Usual

    settings, now = current_settings(), clock.utc_now()
    begin = past("--since", since, now, settings.timezone)
    limit_ms = seconds("--time-limit", time_limit) * 1_000
    database = open_database(settings)
    usual = Usual(settings.batch_size, settings.memory_limit_mb << 20)
    with database.connect(purpose="insights") as conn:
        found = gather.gather(database, conn, begin, now, usual, limit_ms=limit_ms)
    if json:
        print_json(as_json(found, since=begin, now=now))
        return
    for each in found.findings:
        _print_finding(each, shows_evidence=verbose)
    for each in found.unseen:
        print_paragraph(f"not seen: {each.what}: {each.why}")
    if not found.findings:
        print_paragraph(NOTHING)


def as_json(found: "Insights", *, since: datetime, now: datetime) -> dict[str, object]:
    return {
        "since": since,
        "until": now,
        "items": [
            {name: value for name, value in each._asdict().items() if name != "weight"} for each in found.findings
        ],
        "next": None,
        "unseen": [each._asdict() for each in found.unseen],
    }


def _print_finding(each: "Finding", *, shows_evidence: bool) -> None:
    mark = styled(f"{each.severity:<6}", COLOURS[each.severity])
    print_paragraph(f"{each.what}.", first=f"{mark}  ", indent=8)
    if shows_evidence:
        told = ", ".join(f"{name} {_said(value)}" for name, value in each.evidence.items() if value not in (None, ""))
        print_paragraph(told, first="        evidence: ", indent=18)
        print_paragraph(each.basis, first="        basis: ", indent=15)
    print_paragraph(each.do, first="        do: ", indent=12)


def _said(value: object) -> str:
    return f"{value:%Y-%m-%d %H:%M}" if isinstance(value, datetime) else str(value)


def add_to(app: typer.Typer) -> None:
    app.command("insights", epilog=EXAMPLE)(insights)
