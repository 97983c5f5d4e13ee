"""A crontab's text as Debian's cron (3.0pl1) reads it, line by line. Pure.

A line is blank, a comment, an assignment or an entry. The rules below were tried against that cron, since its manual
leaves them open:

- A comment is a line of its own; `#` after a command or a value belongs to it.
- `NAME = value`: spaces around `=` are dropped, a value in quotes ends at its quote and nothing may follow, a value
  without quotes goes to the end of the line. `NAME=` without a value is no assignment, `NAME=""` is one. Nothing is
  expanded: neither `$HOME` nor `~`. It holds for the entries below it, not for those above.
- An entry is five fields or a nickname (in small letters), in a system crontab then a user, then the command up to the
  end of the line. A `%` ends the command and the rest is its standard input, each further `%` a line end. In the
  command `\\%` becomes a percent sign and two backslashes one.
- One line that it cannot read, an unknown user, or an active last line without its end: cron ignores the whole file.
- Of a longer assignment than 999 characters it keeps the beginning; a longer command it cannot read.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from jobctl.schedule.expression import FIELDS, Expression, parse

BLANKS = " \t"
QUOTES = "'\""


@dataclass(frozen=True, slots=True)
class Line:
    """Any line: its number from 1 and its text without the line end. By itself, a comment or a blank one."""

    number: int
    text: str


@dataclass(frozen=True, slots=True)
class Assignment(Line):
    name: str
    value: str


@dataclass(frozen=True, slots=True)
class Entry(Line):
    """`schedule` is five fields or a nickname, as they stand; `user` is None in a user's own crontab."""

    schedule: str
    user: str | None
    command: str

    def expression(self) -> Expression:
        """Raises ExpressionError, also for `@reboot`, which names no time."""
        return parse(self.schedule)

    @property
    def program(self) -> str:
        """What the shell is given: up to the first bare `%`, with its backslashes before `%` and `\\` taken away."""
        return _until_percent(self.command)[0]

    @property
    def stdin(self) -> str | None:
        """What the command finds on its standard input; None where nothing was given."""
        return _until_percent(self.command)[1]


@dataclass(frozen=True, slots=True)
class Unreadable(Line):
    """Neither comment, assignment nor entry. `reason` reads after "the line"."""

    reason: str


@dataclass(frozen=True)
class Crontab:
    lines: tuple[Line, ...]
    is_system: bool
    ends_with_newline: bool

    @cached_property
    def entries(self) -> tuple[Entry, ...]:
        return tuple(line for line in self.lines if isinstance(line, Entry))

    @cached_property
    def assignments(self) -> tuple[Assignment, ...]:
        return tuple(line for line in self.lines if isinstance(line, Assignment))

    def environment_of(self, entry: Entry) -> Mapping[str, str]:
        """What the crontab sets for this entry: the assignments above it, the later ones over the earlier."""
        return {line.name: line.value for line in self.assignments if line.number < entry.number}


def read_crontab(text: str, *, is_system: bool) -> Crontab:
    """Read the text; `is_system` for /etc/crontab and /etc/cron.d, whose entries name a user."""
    rows = text.split("\n")
    ends_with_newline = rows[-1] == ""
    if ends_with_newline:
        rows.pop()
    lines = tuple(_line(number, row, is_system) for number, row in enumerate(rows, start=1))
    return Crontab(lines, is_system, ends_with_newline)


def render_crontab(lines: Iterable[Line]) -> str:
    """The text of the lines, each with its end."""
    return "".join(line.text + "\n" for line in lines)


def _line(number: int, text: str, is_system: bool) -> Line:
    content = text.lstrip(BLANKS)
    if not content or content.startswith("#"):
        return Line(number, text)
    assigned = read_assignment(content)
    if assigned is not None:
        return Assignment(number, text, *assigned)
    return _entry(number, text, content, is_system)


def _entry(number: int, text: str, content: str, is_system: bool) -> Line:
    wanted = 1 if content.startswith("@") else len(FIELDS)
    fields, rest = _words(content, wanted)
    if len(fields) < wanted:
        return Unreadable(number, text, _why_no_entry(content, len(fields)))
    user = None
    if is_system:
        users, rest = _words(rest, 1)
        if not users:
            return Unreadable(number, text, "has neither user nor command after its schedule")
        if not rest and content[-1] not in BLANKS:
            return Unreadable(number, text, f"ends after {users[0]!r}, with no command")
        user = users[0]
    # A command may be empty: cron accepts that, starts a shell and does nothing.
    return Entry(number, text, " ".join(fields), user, rest)


def _why_no_entry(content: str, fields: int) -> str:
    name, equals, _ = content.partition("=")
    if equals and not name[:1].isdigit() and "*" not in name:
        return (
            "is no assignment that cron can read: it wants NAME=value, a value without a quote left open, and no export"
        )
    return f"has {fields} of the five fields of a schedule, and no command"


def _words(text: str, count: int) -> tuple[list[str], str]:
    """The first `count` words, parted by blanks, and the rest without the blanks before it."""
    words: list[str] = []
    rest = text.lstrip(BLANKS)
    while rest and len(words) < count:
        end = next((i for i, character in enumerate(rest) if character in BLANKS), len(rest))
        words.append(rest[:end])
        rest = rest[end:].lstrip(BLANKS)
    return words, rest


def read_assignment(content: str) -> tuple[str, str] | None:
    """Name and value of `NAME=value`, or None where cron takes the line for an entry."""
    if content[0] in QUOTES:
        name, closed, rest = content[1:].partition(content[0])
        if not closed or "=" in name:
            return None
    else:
        end = next((i for i, c in enumerate(content) if c.isspace() or c == "="), len(content))
        name, rest = content[:end], content[end:]
    rest = rest.lstrip()
    if not name or not rest.startswith("="):
        return None
    value = rest[1:].lstrip()
    if not value:
        return None
    if value[0] not in QUOTES:
        return name, value.rstrip()
    inner, closed, after = value[1:].partition(value[0])
    return (name, inner) if closed and not after.strip() else None


def program_of(command: str) -> str:
    """What the shell is given of an entry's command."""
    return _until_percent(command)[0]


def _until_percent(command: str) -> tuple[str, str | None]:
    """The command and its standard input, as cron parts them."""
    out: list[str] = []
    escaped = False
    for position, character in enumerate(command):
        if escaped and character in "%\\":
            out[-1] = character
            escaped = False
        elif character == "%":
            return "".join(out), _standard_input(command[position + 1 :])
        else:
            out.append(character)
            escaped = character == "\\"
    return "".join(out), None


def _standard_input(text: str) -> str:
    """Lines of the text behind the first `%`; here two backslashes stay two, and cron ends the last line itself."""
    lines = re.sub(r"(?<!\\)%", "\n", text).replace("\\%", "%")
    return lines if not lines or lines.endswith("\n") else lines + "\n"
