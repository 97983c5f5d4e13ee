"""The one place that prints: JSON for programs, tables for people, one line on stderr for an error.

Output never decides the outcome: a full disk or a reader that went away changes no exit code.
"""

import io
import json
import os
import re
import sys
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, TextIO, cast
from uuid import UUID

from jobctl.errors import JobctlError

if TYPE_CHECKING:
    from rich.console import Console

# What JSON lets stand in a string and a terminal obeys: DEL, the second set of controls, marks of direction.
_OBEYED: Final = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def print_json(value: Mapping[str, object]) -> None:
    is_unicode = (sys.stdout.encoding or "").lower().startswith("utf")
    text = json.dumps(value, default=_plain, ensure_ascii=not is_unicode, allow_nan=False)
    write_line(sys.stdout, _OBEYED.sub(lambda match: f"\\u{ord(match[0]):04x}", text))


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A table for a person; control characters in cells are shown, not obeyed."""
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(printable(title)) if title else None, title_justify="left", header_style="bold")
    for column in columns:
        table.add_column(Text(printable(column)), overflow="fold")  # a name that is cut is nobody's
    for row in rows:
        table.add_row(*(Text(_cell(value)) for value in row))
    with on_screen() as console:
        console.print(table)


@contextmanager
def on_screen() -> "Generator[Console, None, None]":
    """A console for stdout, whose output is written when the block ends. Rich itself would end the program with exit
    code 1 when its reader goes away."""
    from rich.console import Console

    held = _Held()
    yield Console(file=held, highlight=False)
    _write(sys.stdout, held.getvalue())


class _Held(io.StringIO):
    """What is to be written to stdout, and looks as stdout does to whoever asks."""

    def isatty(self) -> bool:
        return sys.stdout.isatty()

    @property
    def encoding(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]  # asked each time
        return sys.stdout.encoding or "utf-8"


def print_text(text: str) -> None:
    """Lines for a person; control characters are shown, not obeyed."""
    write_line(sys.stdout, _lines(text))


def print_as_it_is(text: str) -> None:
    """What another program reads, or what has nobody else's words in it."""
    write_line(sys.stdout, text)


def styled(text: str, style: str) -> str:
    """Part of a line for the terminal: as it can show it, without colour by NO_COLOR, and plain where there is none."""
    from rich.console import Console
    from rich.text import Text

    console = Console()
    with console.capture() as shown:
        console.print(Text(text, style=style), end="", soft_wrap=True)
    return shown.get()


def note(text: str) -> None:
    """A line for a person on stderr; control characters are shown, not obeyed."""
    write_line(sys.stderr, _lines(text))


def print_error(error: BaseException, *, as_json: bool, redact: Callable[[str], str]) -> None:
    message = redact(one_line(str(error))) or type(error).__name__
    hint = redact(error.hint) if isinstance(error, JobctlError) else ""
    if as_json:
        print_json({"error": {"class": type(error).__name__, "message": message, "hint": hint}})
    else:
        note(f"jobctl: {message}" + (f" ({hint})" if hint else ""))


def write_line(stream: TextIO, text: str) -> None:
    _write(stream, text + "\n")


def _write(stream: TextIO, text: str) -> None:
    """What the stream has no bytes for is shown by its number."""
    encoding = stream.encoding or "utf-8"
    try:
        stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
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


def _lines(text: str) -> str:
    return "\n".join(map(printable, text.split("\n")))


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
