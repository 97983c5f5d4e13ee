"""The shape in which the report is shown: what both templates, the terminal and the tests read. Pure.

It is made once (`views.py`), so that page and text say the same. All texts are one line without anything that a reader
could obey; who writes them into HTML escapes them. `tone` is good, warn, bad or nothing, and never the only bearer of
what is meant.
"""

from dataclasses import dataclass, field
from typing import Final

from jobctl.reports.words import one_line

LONGEST: Final = 1_000


@dataclass(frozen=True, slots=True)
class Cell:
    text: str
    url: str | None = None
    tone: str = ""

    def __post_init__(self) -> None:
        if not self.text.isprintable():
            object.__setattr__(self, "text", one_line(self.text, LONGEST))
        if self.url is not None and not self.url.startswith(("https://", "http://")):
            raise ValueError("a link leads to http or https only")


@dataclass(frozen=True, slots=True)
class Tile:
    """One of the few numbers at the top."""

    label: str
    value: Cell
    detail: Cell


@dataclass(frozen=True, slots=True)
class Fact:
    label: str
    value: Cell


@dataclass(frozen=True, slots=True)
class Table:
    """`right` are the columns whose numbers stand at the right, `minor` those that a phone has no room for. `note` says
    what the rows leave out."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    right: frozenset[int] = frozenset()
    note: str = ""
    minor: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Picture:
    """`trend` is its course in a few values, where it has one: for those who see no pictures."""

    content_id: str
    alt: str
    trend: tuple[float | None, ...] = ()


@dataclass(frozen=True, slots=True)
class Section:
    """`source` is where its numbers come from: a page, or none, and the command that shows them."""

    title: str
    source_url: str | None
    source: str
    facts: tuple[Fact, ...] = ()
    tables: tuple[Table, ...] = ()
    picture: Picture | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class View:
    subject: str
    title: str
    subtitle: str
    preheader: str
    tiles: tuple[Tile, ...]
    decisions: tuple[Cell, ...]
    sections: tuple[Section, ...]
    footer: tuple[str, ...] = field(default=())
