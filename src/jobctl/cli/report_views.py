"""The week's report in a terminal, and what a person is told of a run that made it."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jobctl.cli import render
from jobctl.cli.sparkline import sparkline
from jobctl.errors import JobctlError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from jobctl.cli.run_command import ScopeReport
    from jobctl.jobs.report.job import Made
    from jobctl.reports.view import Cell, Section, Table, View

# What could not be read has no count.
COUNTED = {
    "decisions": "decisions",
    "critical_bugs": "critical bugs",
    "stuck_pulls": "stuck pull requests",
    "incidents": "incidents",
}
STYLES = {"good": "green", "warn": "yellow", "bad": "bold red", "": ""}


def show(made: "Made", *, preview: bool, text: bool, html: Path | None) -> None:
    """In the worker's process. Raises JobctlError for a file that cannot be written."""
    if html is not None:
        from jobctl.reports.rendering import page_of

        page = page_of(made.letter())
        if html == Path("-"):
            render.print_as_it_is(page.rstrip("\n"))
        else:
            _write(html, page)
    if text:
        render.print_as_it_is(made.text().rstrip("\n"))
    if preview:
        print_view(made.view)


def _write(path: Path, page: str) -> None:
    try:
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise JobctlError(f"{path} cannot be written: {error.strerror}", hint="name another file") from None


def told(scope: "ScopeReport", recipients: Sequence[str], html: Path | None) -> list[str]:
    from jobctl.cli.run_command import status_line
    from jobctl.runtime.outcome import COMPLETED

    if scope.status != COMPLETED or scope.evidence is None:
        return [status_line(scope)]
    evidence: dict[str, Any] = dict(scope.evidence)
    week, counts = evidence["report"]["week"], scope.counts
    lines = [f"  week {week['name']}" + ("" if week["is_over"] else ", so far")]
    lines.append(f"  {', '.join(f'{counts[name]:,} {words}' for name, words in COUNTED.items() if name in counts)}")
    letter: dict[str, Any] | None = evidence.get("letter")
    if letter is not None:
        images = sum(each["bytes"] for each in letter["images"])
        tables = sum(each["bytes"] for each in letter["attachments"])
        lines.append(f"  subject: {letter['subject']}")
        lines.append(
            f"  page {_kb(letter['html'])}, text {_kb(letter['text'])}, "
            f"{len(letter['images'])} pictures {_kb(images)}, "
            f"{len(letter['attachments'])} attachments {_kb(tables)}"
        )
        if letter["mail"] is not None:
            lines.append(f"  one mail as it is sent: {_kb(letter['mail'])}")
        lines += [f"  to: {address}" for address in recipients]
        lines += _done(counts)
    if html is not None and html != Path("-"):
        lines.append(f"  written to {html}")
    return lines


def _done(counts: Mapping[str, int]) -> list[str]:
    mails = {"sent": "mails_sent", "refused": "mails_failed", "unknown": "mails_unknown", "waiting": "mails_left"}
    parts = [f"{counts[name]:,} {word}" for word, name in mails.items() if counts.get(name)]
    lines = [f"  mails: {', '.join(parts)}"] if parts else []
    if counts.get("health_up") or counts.get("health_down"):
        lines.append(f"  health: {counts['health_up']:,} projects up, {counts['health_down']:,} down")
    if deleted := counts.get("archive_files_deleted"):
        lines.append(f"  old archive files deleted: {deleted:,}")
    if counts.get("archived"):
        lines.append(f"  archived: {counts['archived']:,} rows in {counts['archive_files']:,} files")
    return lines


def _kb(size: int) -> str:
    return f"{size / 1_000:,.1f} kB"


def print_view(view: "View") -> None:
    from rich.padding import Padding
    from rich.table import Table as Grid
    from rich.text import Text

    with render.on_screen() as console:
        console.print(Text(f"{view.title}, {view.subtitle}", "bold"))
        console.print(Text(view.preheader))
        console.print()
        tiles = Grid(box=None, show_header=False, padding=(0, 3, 0, 0))
        for tile in view.tiles:
            value = _cell(tile.value)
            value.stylize("bold")
            tiles.add_row(Text(tile.label, "dim"), value, _cell(tile.detail))
        console.print(tiles)
        _title(console, "What needs a decision")
        for nth, each in enumerate(view.decisions, 1):
            console.print(Padding(Text.assemble(f"{nth}. ", _cell(each)), (0, 0, 0, 1)))
        if not view.decisions:
            console.print(" Nothing.")
        for section in view.sections:
            _section(console, section)
        console.print()
        for line in view.footer:
            console.print(Text(line, "dim"))


def _section(console: "Console", section: "Section") -> None:
    from rich.padding import Padding
    from rich.table import Table as Grid
    from rich.text import Text

    _title(console, section.title)
    if section.facts:
        grid = Grid(box=None, show_header=False, padding=(0, 2, 0, 1))
        for fact in section.facts:
            grid.add_row(Text(fact.label, "dim"), _cell(fact.value))
        console.print(grid)
    if section.picture is not None:
        if section.picture.trend:
            console.print(Text(f" {sparkline(section.picture.trend)}  by week"))
        console.print(Padding(Text(section.picture.alt, "dim"), (0, 0, 0, 1)))
    for table in section.tables:
        console.print(_grid(table))
        if table.note:
            console.print(Padding(Text(table.note, "dim"), (0, 0, 0, 1)))
    for note in section.notes:
        console.print(Padding(Text(note), (0, 0, 0, 1)))


def _grid(table: "Table") -> Any:
    from rich import box
    from rich.table import Table as Grid

    grid = Grid(box=box.SIMPLE_HEAD, header_style="dim", padding=(0, 1), show_edge=False, pad_edge=True)
    for at, name in enumerate(table.columns):
        grid.add_column(name, justify="right" if at in table.right else "left", overflow="fold")
    for row in table.rows:
        grid.add_row(*map(_cell, row))
    return grid


def _title(console: "Console", text: str) -> None:
    from rich.text import Text

    console.print()
    console.print(Text(text, "bold underline" if console.color_system else "bold"))


def _cell(cell: "Cell") -> "Text":
    """With its link where the terminal can follow one."""
    from rich.style import Style
    from rich.text import Text

    style = Style.parse(STYLES[cell.tone]) if cell.tone else Style()
    if cell.url is not None and sys.stdout.isatty():
        style += Style(link=cell.url)
    return Text(cell.text, style)
