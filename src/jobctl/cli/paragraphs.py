"""Sentences for a person: as wide as the terminal, with what follows the first line set in; elsewhere a line each."""

import shutil
import sys
import textwrap

from jobctl.cli.render import print_as_it_is, printable

NARROWEST = 40


def print_paragraph(text: str, *, first: str = "", indent: int = 0) -> None:
    """`first` stands before the text, at most `indent` columns wide as it is seen; colours in it count for nothing.
    The text may be anybody's: control characters in it are shown, not obeyed."""
    text = printable(text)
    if not sys.stdout.isatty():
        print_as_it_is(f"{first}{text}")
        return
    width = max(NARROWEST, shutil.get_terminal_size().columns) - indent
    lines = textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False) or [""]
    print_as_it_is(first + lines[0])
    for line in lines[1:]:
        print_as_it_is(" " * indent + line)
