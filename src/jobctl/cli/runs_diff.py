"""`jobctl runs diff`: two runs side by side, with what differs marked."""

from typing import TYPE_CHECKING, Annotated

import typer

from jobctl.cli import completion
from jobctl.cli.options import JsonOption

if TYPE_CHECKING:
    from jobctl.monitor.runs.difference import Difference, Side
    from jobctl.monitor.runs.showing import Scope, Shown

EXAMPLE = """Examples:\n
\b
  jobctl runs diff 5f0c1d2e 9a41b7c0             only what differs
  jobctl runs diff 5f0c1d2e last --all --json
"""
A_HELP = "The run to compare from: its id or the beginning of it, last, or a job."
READ_EVENTS = 10_000
NONE = "-"


def diff(
    a: Annotated[str, typer.Argument(metavar="A", help=A_HELP, autocompletion=completion.runs)],
    b: Annotated[str, typer.Argument(metavar="B", help="The run to compare with it.", autocompletion=completion.runs)],
    every: Annotated[bool, typer.Option("--all", help="What is the same, too.")] = False,
    json: JsonOption = False,
) -> None:
    """Compare two runs: duration, counts, metrics, version, command, recorded settings and rules, errors.

    Marked * where they differ, ! where by half or more."""
    from jobctl.cli import runs_show
    from jobctl.cli.render import print_json
    from jobctl.cli.session import current_settings, reading
    from jobctl.monitor.runs import difference, finding, showing

    settings = current_settings()
    with reading(settings, "runs diff") as conn:
        both = [showing.show(conn, finding.find(conn, word), events=READ_EVENTS) for word in (a, b)]
    found = difference.compare(*([_side(shown, scope) for scope in shown.scopes] for shown in both))
    items = [each for each in found if every or each.is_different]
    if json:
        sides = {"a": runs_show.summary_json(both[0]), "b": runs_show.summary_json(both[1])}
        print_json({**sides, "items": [each._asdict() for each in items], "next": None})
    else:
        _print(both, items, settings.timezone)


def _side(shown: "Shown", scope: "Scope") -> "Side":
    from collections import Counter

    from jobctl.monitor.runs.difference import Side

    row = scope.row
    met = Counter(
        event.event for event in shown.events if event.scope == row.scope and event.level in ("warning", "error")
    )
    return Side(
        job=row.job,
        scope=row.scope,
        state=scope.state,
        exit_code=row.exit_code,
        host=row.host,
        os_user=row.os_user,
        version=row.version,
        command=row.command,
        slot_at=row.slot_at,
        duration_ms=scope.duration_ms,
        peak_memory_bytes=row.peak_memory_bytes,
        counts=scope.counts,
        metrics=row.metrics,
        evidence=row.evidence or {},
        error_class=row.error_class,
        error_message=row.error_message,
        events=dict(sorted(met.items())),
    )


def _print(both: "list[Shown]", items: "list[Difference]", zone: str) -> None:
    from jobctl.cli.render import print_table, print_text
    from jobctl.cli.runs_views import moment

    for letter, shown in zip("AB", both, strict=True):
        at = moment(shown.first.started_at, zone)
        print_text(f"{letter}  {shown.run_id}  {shown.first.job} {shown.state}, began {at}")
    if not items:
        print_text("They differ in nothing that is compared (--all shows it).")
        return
    scopes = {each.scope for each in items}
    rows = [
        (
            "!" if each.is_notable else "*" if each.is_different else "",
            *((each.scope,) if len(scopes) > 1 else ()),
            _name(each),
            _value(each, each.a),
            _value(each, each.b),
            _change(each),
        )
        for each in items
    ]
    print_table("", ("", *(("scope",) if len(scopes) > 1 else ()), "what", "A", "B", "B less A"), rows)


def _name(each: "Difference") -> str:
    kind = "" if each.kind in ("run", "count") else f"{each.kind} "
    name = each.name.removesuffix("_ms").removesuffix("_bytes") if each.kind == "run" else each.name
    return (kind + name).replace("_", " ")


def _value(each: "Difference", value: object) -> str:
    from jobctl.cli.render import one_line

    if value is None:
        return NONE
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return _number(each, value)
    return one_line(str(value))


def _number(each: "Difference", value: float) -> str:
    from jobctl.cli.runs_views import number_in_words
    from jobctl.durations import format_duration

    if each.kind == "run" and each.name.endswith("_ms"):
        return format_duration(value / 1000)
    if each.kind == "run" and each.name.endswith("_bytes"):
        return f"{value / 1e6:,.0f} MB"
    return number_in_words(value)


def _change(each: "Difference") -> str:
    if each.change is None or each.name == "exit_code":
        return ""
    share = f" ({each.share:+.0%})" if each.share is not None else ""
    sign = "+" if each.change > 0 else ""
    return f"{sign}{_number(each, each.change)}{share}"
