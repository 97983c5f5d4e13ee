"""How the figures of `jobctl stats` look to a person."""

from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from rich.console import Console
from rich.text import Text

from jobctl.cli import status_views
from jobctl.cli.render import printable
from jobctl.cli.spans import short, short_ms
from jobctl.cli.sparkline import sparkline
from jobctl.cli.status_command import can_show_blocks

if TYPE_CHECKING:
    from jobctl.cli.stats_command import Found
    from jobctl.monitor.runs.statistics import Figures

WORTH_A_LOOK = 0.95


def show(found: "Found", zone: str) -> None:
    console = Console(highlight=False)
    blocks = can_show_blocks(console.encoding) and found.by == "job"
    counted, clock = found.statistics, ZoneInfo(zone)
    since, until = (f"{at.astimezone(clock):%Y-%m-%d %H:%M}" for at in (counted.since, counted.until))
    head = Text.assemble(
        status_views.word(found.health.status),
        f"  {since} to {until} {zone}: {counted.total.total:,} runs, {found.running} running now, "
        f"{found.recent_failures:,} failed in the last day",
    )
    right = ("runs", "ok", "bad", "skip", "good", "avg", "p50", "p95", "p99", "records")
    made = status_views.table(found.by, *right, *(["trend"] if blocks else []), right=right)
    for each in found.items:
        made.add_row(*_cells(each, blocks=blocks))
    if len(found.items) > 1 and found.by != "type":
        made.add_row(*_cells(counted.total._replace(name="all"), blocks=blocks), style="bold")
    with suppress(OSError):
        console.print(head)
        console.print(made if found.items else Text("Nothing ended in this time."))
        for slow in found.slow:
            name = f"{slow.job} {slow.scope}".strip()
            said = f"{slow.runs:,} {'run' if slow.runs == 1 else 'runs'} took longer than {short_ms(slow.limit_ms)}"
            console.print(Text(printable(f"slow: {name}: {said}, the longest {short_ms(slow.longest_ms)}")))


def _cells(each: "Figures", *, blocks: bool) -> Iterator[Text]:
    rate = each.success_rate
    yield Text(printable(each.name))
    yield Text(f"{each.total:,}")
    yield Text(f"{each.completed:,}")
    yield Text(f"{each.failed:,}", style="red" if each.failed else "")
    yield Text(f"{each.skipped:,}")
    yield Text(percent(rate), style="red" if rate is not None and rate < WORTH_A_LOOK else "")
    for value in (each.avg_ms, each.p50_ms, each.p95_ms, each.p99_ms):
        yield Text("" if value is None else short(value / 1_000))
    yield Text(f"{each.records:,}" if each.records else "")
    if blocks:
        yield Text(sparkline(each.trend_ms))


def percent(share: float | None) -> str:
    """Never rounded up to all, nor down to none."""
    if share is None:
        return ""
    if 0 < share < 1:
        return f"{min(max(share, 0.001), 0.999):.1%}"
    return f"{share:.0%}"
