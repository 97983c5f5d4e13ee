"""What the text part is laid out with: lines of at most 78 characters, columns that stand below each other. Pure."""

import textwrap
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import Final

from jobctl.reports.view import Fact, Table, Tile

WIDTH: Final = 78
NARROWEST: Final = 12
GAP: Final = 2


def wrapped(text: str, mark: str = "") -> str:
    """`mark` stands before the first line, and the others are indented by as much."""
    return textwrap.fill(
        text,
        WIDTH,
        initial_indent=mark,
        subsequent_indent=" " * len(mark),
        break_long_words=False,
        break_on_hyphens=False,
    )


def heading(text: str) -> str:
    return f"{text.upper()}\n{'-' * len(text)}"


def tiles(of: Sequence[Tile]) -> Iterator[str]:
    yield from _lined([(tile.label, tile.value.text, tile.detail.text) for tile in of])


def facts(of: Sequence[Fact]) -> Iterator[str]:
    yield from _lined([(fact.label, fact.value.text) for fact in of])


def columns(table: Table, shown_already: str | None = None) -> Iterator[str]:
    """A row's own link stands below it, unless it is that of the whole section."""
    rows = [table.columns, *(tuple(cell.text for cell in row) for row in table.rows)]
    links = [None, *(row[0].url if row else None for row in table.rows)]
    for lines, url in zip(_laid_out(rows, right=table.right), links, strict=True):
        yield from lines
        if url is not None and url != shown_already:
            yield f"    {url}"


def _lined(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    for lines in _laid_out(rows, right=frozenset()):
        yield from lines


def _laid_out(rows: Sequence[Sequence[str]], *, right: frozenset[int]) -> Iterator[list[str]]:
    """The lines of each row. The widest column gives way where they would be too long, and goes on below."""
    if not rows:
        return
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    room = WIDTH - GAP * (len(widths) - 1)
    while sum(widths) > room and max(widths) > NARROWEST:
        widest = widths.index(max(widths))
        widths[widest] = max(NARROWEST, widths[widest] - (sum(widths) - room))
    for row in rows:
        parts = [textwrap.wrap(text, width) or [""] for text, width in zip(row, widths, strict=True)]
        yield [
            (" " * GAP)
            .join(
                (part.rjust(width) if at in right else part.ljust(width))
                for at, (part, width) in enumerate(zip(line, widths, strict=True))
            )
            .rstrip()
            for line in zip_longest(*parts, fillvalue="")
        ]
