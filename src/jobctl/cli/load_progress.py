"""The progress of a load for a person: bytes of the file and rows, on stderr."""

from collections.abc import Callable, Generator
from contextlib import contextmanager

from jobctl.branches.load import Progress


@contextmanager
def load_progress(shown: bool) -> Generator[Callable[[Progress], None] | None, None, None]:
    """Gives what is to be called now and then, or None when nobody watches."""
    if not shown:
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn
    from rich.progress import Progress as Bars

    columns = (
        TextColumn("{task.fields[rows]:,} rows"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Bars(*columns, console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task("load", total=None, rows=0)

        def tell(progress: Progress) -> None:
            bars.update(task, completed=progress.bytes_read, total=progress.bytes_total, rows=progress.rows)

        yield tell
