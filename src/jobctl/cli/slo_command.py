"""`jobctl slo`: what was promised, what was kept, and how fast the rest of the error budget goes."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from jobctl.cli.options import JsonOption

if TYPE_CHECKING:
    from jobctl.monitor.runs.slo import Level, Tally
    from jobctl.settings_monitor import SloSettings

EXAMPLE = """Examples:\n
\b
  jobctl slo                           each promise, the worst first
  jobctl slo --fail                    exit 1 when one is missed
  jobctl slo --json | jq '.items[] | select(.state != "met")'
"""
COLOURS = {"met": "green", "burning": "yellow", "missed": "bold red", "no data": "bright_black"}


def slo(
    fail: Annotated[bool, typer.Option("--fail", help="Exit 1 when a promise is missed.")] = False,
    json: JsonOption = False,
) -> None:
    """Compare how the jobs did with what was promised: target, actual, error budget left, burn rate.

    The promises are the table [slo] of jobctl.toml."""
    from jobctl import clock
    from jobctl.cli.session import current_settings, reading
    from jobctl.errors import EXIT_FAILED
    from jobctl.monitor.runs import slo_facts
    from jobctl.monitor.runs.slo import worst_first
    from jobctl.schedule import registry
    from jobctl.schedule.from_settings import planned_from

    settings = current_settings()
    promised, plan, now = settings.slo_settings, planned_from(settings), clock.utc_now()
    with reading(settings, "slo") as conn:
        schedules = registry.installed(conn)
        found = worst_first(slo_facts.levels(conn, promised, schedules, plan, settings.timezone, now))
    if json:
        from jobctl.cli.render import print_json

        spans = {"window_s": promised.window_s, "burn_short_s": promised.burn_short_s}
        spans |= {"burn_long_s": promised.burn_long_s}
        print_json({"as_of": now, **spans, "items": [as_json(level) for level in found], "next": None})
    else:
        _print(found, promised)
    if fail and any(level.state == "missed" for level in found):
        raise typer.Exit(EXIT_FAILED)


def as_json(level: "Level") -> dict[str, Any]:
    promise = level.promise
    return {
        "name": promise.name,
        "subject": promise.subject,
        "state": level.state,
        "target": promise.share,
        "limit_s": promise.limit_s,
        "unit": promise.unit,
        "actual": level.actual,
        "p95_ms": level.p95_ms,
        "budget_left": level.budget_left,
        "burn_short": level.burn_short,
        "burn_long": level.burn_long,
        "tallies": {name: tally._asdict() for name, tally in level.tallies._asdict().items()},
    }


def _print(found: "list[Level]", promised: "SloSettings") -> None:
    from rich.text import Text

    from jobctl.cli.render import on_screen, printable
    from jobctl.cli.spans import short, short_ms
    from jobctl.cli.stats_views import percent
    from jobctl.cli.status_views import WIDE, table
    from jobctl.durations import format_duration

    with on_screen() as console:
        wide = console.width >= WIDE
        burns = tuple(f"burn {short(each)}" for each in (promised.burn_short_s, promised.burn_long_s))
        right = ("target", "actual", *(("p95", "of") if wide else ()), "left", *burns)
        made = table("promise", *right, "", right=right)
        for level in found:
            promise = level.promise
            within = f" in {format_duration(promise.limit_s)}" if promise.limit_s is not None else ""
            more = (short_ms(level.p95_ms), _whole(level.tallies.whole, promise.unit)) if wide else ()
            cells = (percent(promise.share) + within, percent(level.actual), *more, _left(level.budget_left))
            made.add_row(
                Text(printable(f"{promise.name} {promise.subject}".strip())),
                *(Text(cell) for cell in (*cells, _burn(level.burn_short), _burn(level.burn_long))),
                Text(level.state, style=COLOURS[level.state]),
            )
        console.print(Text(f"Over {short(promised.window_s)}; a burn rate of 1 spends the budget in just that time."))
        console.print(made)


def _left(share: float | None) -> str:
    from jobctl.reports.words import percent

    return "" if share is None else "spent" if share < 0 else percent(share, digits=0)


def _whole(tally: "Tally", unit: str) -> str:
    from jobctl.cli.spans import short

    if not tally.total:
        return ""
    return short(tally.total) if unit == "seconds" else f"{tally.total:,.0f} {unit}"


def _burn(rate: float | None) -> str:
    return "" if rate is None else f"{rate:.1f}"


def add_to(app: typer.Typer) -> None:
    app.command("slo", epilog=EXAMPLE)(slo)
