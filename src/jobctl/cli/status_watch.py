"""`jobctl status --watch`: the screen again and again, until somebody has seen enough."""

import signal
import time
from contextlib import suppress
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from jobctl.cli import session, status_away, status_views
from jobctl.cli.status_look import error_text, look
from jobctl.errors import DatabaseUnavailable

if TYPE_CHECKING:
    from jobctl.db.connection import Database
    from jobctl.settings import Settings


def watch(settings: "Settings", *, every_s: float, every: bool) -> None:
    """Ends with Ctrl-C, and leaves the terminal as it was; also when it is asked to end. A database that is away is
    shown as such, and looked for again."""
    console = Console(highlight=False)
    before = signal.signal(signal.SIGTERM, _leave)
    database: Database | None = None
    try:
        with (
            suppress(KeyboardInterrupt),
            Live(console=console, screen=True, auto_refresh=False, vertical_overflow="ellipsis") as live,
        ):
            while True:
                try:
                    database = database or session.open_database(settings)
                    shown = _screen(settings, database, console, every=every)
                except DatabaseUnavailable as away:
                    database = None
                    shown = _away(settings, away)
                live.update(Group(shown, "", _foot(every_s)), refresh=True)
                time.sleep(every_s)
    finally:
        signal.signal(signal.SIGTERM, before)


def _screen(settings: "Settings", database: "Database", console: Console, *, every: bool) -> RenderableType:
    blocks = status_views.can_show_blocks(console.encoding)
    glance = look(settings, database)
    return status_views.screen(glance, settings.timezone, width=console.width, blocks=blocks, every=every)


def _away(settings: "Settings", away: DatabaseUnavailable) -> RenderableType:
    said = [Text(error_text(away), style="bold red")]
    return Group(*said, *(Text(line) for line in status_away.lines(status_away.look_here(settings))))


def _foot(every_s: float) -> Text:
    return Text(f"every {every_s:g} s; Ctrl-C ends", style="bright_black")


def _leave(number: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)
