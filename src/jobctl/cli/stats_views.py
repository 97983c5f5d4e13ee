"""How the figures of `jobctl stats` look to a person."""

from collections.abc import Iterator
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from rich.text import Text

from jobctl.cli import status_views
from jobctl.cli.render import on_screen, printable
from jobctl.cli.runs_views import name_of
from jobctl.cli.spans import short_ms
from jobctl.cli.sparkline import sparkline
from jobctl.reports import words

if TYPE_CHECKING:
    from jobctl.cli.stats_figures import Found
    from jobctl.monitor.runs.statistics import Figures

WORTH_A_LOOK = 0.95


def show(found: "Found", zone: str) -> None:
    with on_screen() as console:
        wide = console.width >= status_views.WIDE
        blocks = status_views.can_show_blocks(console.encoding) and found.by == "job"
        counted = found.statistics
        since = f"{counted.since.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M %Z}"
        head = Text.assemble(
            status_views.word(found.health.status),
            f"  {counted.total.total:,} run{'s' * (counted.total.total != 1)} since {since}; {found.running} running; "
            f"{found.recent_failures:,} bad in 24h",
        )
        right = (
            "runs",
            *(("ok",) if wide else ()),
            "bad",
            *(("skip",) if wide else ()),
            "good",
            "avg",
            "p50/95/99",
            "records",
        )
        trends = (("took", "did") if wide else ("trend",)) if blocks else ()
        made = status_views.table(found.by, *right, *trends, right=right, gap=2 if wide else 1)
        for each in found.items:
            made.add_row(*_cells(each, blocks=blocks, wide=wide))
        if len(found.items) > 1 and found.by != "type":
            made.add_row(*_cells(counted.total._replace(name="all"), blocks=blocks, wide=wide), style="bold")
        console.print(head)
        console.print(made if found.items else Text("Nothing began in this time."))
        for slow in found.slow:
            name = name_of(slow.job, slow.scope)
            said = f"{slow.runs:,} {'run' if slow.runs == 1 else 'runs'} took longer than {short_ms(slow.limit_ms)}"
            console.print(Text(printable(f"slow: {name}: {said}, the longest {short_ms(slow.longest_ms)}")))


def _cells(each: "Figures", *, blocks: bool, wide: bool) -> Iterator[Text]:
    rate = each.success_rate
    yield Text(printable(each.name))
    yield Text(f"{each.total:,}")
    if wide:
        yield Text(f"{each.completed:,}")
    yield Text(f"{each.failed:,}", style="red" if each.failed else "")
    if wide:
        yield Text(f"{each.skipped:,}")
    yield Text(percent(rate), style="red" if rate is not None and rate < WORTH_A_LOOK else "")
    yield Text(short_ms(each.avg_ms))
    yield Text("" if each.p50_ms is None else "/".join(map(short_ms, (each.p50_ms, each.p95_ms, each.p99_ms))))
    yield Text(f"{each.records:,}" if each.records else "")
    if blocks:
        yield Text(sparkline(each.trend_ms))
        if wide:
            yield Text(sparkline(each.trend_records) if each.records else "")


def percent(share: float | None) -> str:
    """As in the weekly mail, but nothing where there is nothing to judge."""
    return "" if share is None else words.percent(share)
