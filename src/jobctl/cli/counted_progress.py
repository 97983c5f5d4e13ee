"""The progress of one thing after the other for a person, on stderr."""

from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


def counted(things: Iterable[T], title: str, expected: int | None, *, shown: bool) -> Iterator[T]:
    """Lets them through as they are."""
    if not shown:
        yield from things
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (TextColumn(title), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task(title, total=expected)
        for thing in things:
            bars.advance(task)
            yield thing
