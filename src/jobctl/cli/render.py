"""The one place that prints: JSON for programs, tables for people, one line on stderr for an error.

Output never decides the outcome: a full disk or a reader that went away changes no exit code.
"""

import json
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, TextIO, cast
from uuid import UUID

from jobctl.errors import JobctlError

if TYPE_CHECKING:
    from rich.console import RenderableType


def print_json(value: Mapping[str, object]) -> None:
    is_unicode = (sys.stdout.encoding or "utf-8").lower().startswith("utf")
    write_line(sys.stdout, json.dumps(value, default=_plain, ensure_ascii=not is_unicode, allow_nan=False))


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A table for a person; control characters in cells are shown, not obeyed."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title or None, title_justify="left", header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")  # a name that is cut is nobody's
    for row in rows:
        table.add_row(*(Text(_cell(value)) for value in row))
    with suppress(OSError):
        Console().print(table)


def print_made(what: "RenderableType") -> None:
    """What rich has made, a table say."""
    from rich.console import Console

    with suppress(OSError):
        Console(highlight=False).print(what)


def print_text(text: str) -> None:
    write_line(sys.stdout, text)


def print_lines(text: str) -> None:
    """Words that may be anybody's: what controls a terminal is shown, not obeyed."""
    for line in text.split("\n"):
        print_text(printable(line))


def styled(text: str, style: str) -> str:
    """Part of a line for the terminal: as it can show it, without colour by NO_COLOR, and plain where there is none."""
    from rich.console import Console
    from rich.text import Text

    console = Console()
    with console.capture() as shown:
        console.print(Text(text, style=style), end="", soft_wrap=True)
    return shown.get()


def note(text: str) -> None:
    """A line for a person on stderr."""
    write_line(sys.stderr, text)


def print_error(error: BaseException, *, as_json: bool, redact: Callable[[str], str]) -> None:
    message = redact(one_line(str(error))) or type(error).__name__
    hint = redact(error.hint) if isinstance(error, JobctlError) else ""
    if as_json:
        print_json({"error": {"class": type(error).__name__, "message": message, "hint": hint}})
    else:
        write_line(sys.stderr, f"jobctl: {message}" + (f" ({hint})" if hint else ""))


def write_line(stream: TextIO, text: str) -> None:
    try:
        stream.write(text.encode("utf-8", "backslashreplace").decode() + "\n")
        stream.flush()
    except (OSError, ValueError):
        # The stream is full or closed. Point it at nothing, so that the interpreter's last flush does not fail either.
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def one_line(text: str) -> str:
    return " ".join(text.split())


def printable(text: str) -> str:
    """Control characters are shown, not obeyed."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S")
    return printable(str(value))


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, UUID | Path):
        return str(value)
    if isinstance(value, tuple | set | frozenset):
        return [*cast(Iterable[object], value)]
    raise TypeError(f"{type(value).__name__} has no JSON form")
