"""The progress of a sync for a person: how many projects are done, and where those are that are in hand, on stderr."""

import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from jobctl.jobs.sync.watching import Nobody, Watch

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


@contextmanager
def watching(shown: bool) -> Generator[Watch, None, None]:
    if not shown:
        yield Nobody()
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[where]}"))
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        yield _Bars(bars)


class _Bars:
    def __init__(self, bars: "Progress") -> None:
        self._bars = bars
        self._whole = bars.add_task("projects", total=None, where="")
        self._in_hand: dict[str, TaskID] = {}
        self._lock = threading.Lock()

    def all(self, projects: int) -> None:
        self._bars.update(self._whole, total=projects)

    def step(self, project: str, step: str, rows: int) -> None:
        with self._lock:
            if project not in self._in_hand:
                self._in_hand[project] = self._bars.add_task(f"  {project}", total=None, where="")
            self._bars.update(self._in_hand[project], completed=rows, where=step)

    def end(self, project: str, outcome: str) -> None:
        with self._lock:
            task = self._in_hand.pop(project, None)
            if task is not None:
                self._bars.remove_task(task)
            self._bars.update(self._whole, advance=1, where=f"{project}: {outcome}")
