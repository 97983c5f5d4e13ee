"""What the text part is laid out with: lines of at most 78 characters, columns that stand below each other. Pure."""

import textwrap
from collections.abc import Iterator, Sequence
from typing import Final

from jobctl.reports.view import Cell, Fact, Table, Tile

WIDTH: Final = 78
NARROWEST: Final = 12
GAP: Final = 2


def wrapped(text: str, mark: str = "") -> str:
    """`mark` stands before the first line, and the others are indented by as much."""
    return textwrap.fill(
        text, WIDTH, initial_indent=mark, subsequent_indent=" " * len(mark), break_long_words=False, break_on_hyphens=False
    )


def heading(text: str) -> str:
    return f"{text.upper()}\n{'-' * len(text)}"


def tiles(of: Sequence[Tile]) -> Iterator[str]:
    yield from _lined([(tile.label, tile.value.text, tile.detail.text) for tile in of], right=frozenset())


def facts(of: Sequence[Fact]) -> Iterator[str]:
    yield from _lined([(fact.label, fact.value.text) for fact in of], right=frozenset())


def columns(table: Table, shown_already: str | None = None) -> Iterator[str]:
    """A row's own link stands below it, unless it is that of the whole section."""
    rows = [table.columns, *(tuple(cell.text for cell in row) for row in table.rows)]
    head, *lines = _lined(rows, right=table.right)
    yield head
    for line, row in zip(lines, table.rows, strict=True):
        yield line
        url = _link(row)
        if url is not None and url != shown_already:
            yield f"    {url}"


def _link(row: Sequence[Cell]) -> str | None:
    return row[0].url if row else None


def _lined(rows: Sequence[Sequence[str]], *, right: frozenset[int]) -> Iterator[str]:
    """The widest column gives way where a line would be too long."""
    if not rows:
        return
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    room = WIDTH - GAP * (len(widths) - 1)
    while sum(widths) > room and max(widths) > NARROWEST:
        widest = widths.index(max(widths))
        widths[widest] = max(NARROWEST, widths[widest] - (sum(widths) - room))
    for row in rows:
        parts = [_fit(text, width, right=at in right) for at, (text, width) in enumerate(zip(row, widths, strict=True))]
        yield (" " * GAP).join(parts).rstrip()


def _fit(text: str, width: int, *, right: bool) -> str:
    short = text if len(text) <= width else text[: width - 1] + "…"
    return short.rjust(width) if right else short.ljust(width)
