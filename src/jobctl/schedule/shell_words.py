"""A shell command line taken apart: its simple commands, their words and redirections. Pure.

Enough of sh to find a program and its options in what a crontab says: quotes, backslashes, `&&`, `;`, pipes and
redirections. Nothing is expanded: `$HOME`, `$(date)` and patterns stay as they stand.
"""

from dataclasses import dataclass, field

SEPARATORS = ("&&", "||", ";;", ";", "|&", "|", "&", "(", ")", "\n")
REDIRECTIONS = ("&>>", "&>", "<<<", "<<-", "<<", ">>", ">&", "<&", ">|", "<>", ">", "<")


@dataclass(frozen=True, slots=True)
class Redirection:
    """`2>&1` is descriptor `2`, operator `>&`, target `1`; the descriptor is empty where none was written."""

    descriptor: str
    operator: str
    target: str


@dataclass(frozen=True, slots=True)
class SimpleCommand:
    """Words up to the next separator, which is `end` (empty at the end of the line)."""

    words: tuple[str, ...]
    redirections: tuple[Redirection, ...]
    end: str


@dataclass(slots=True)
class _Open:
    words: list[str] = field(default_factory=list[str])
    redirections: list[Redirection] = field(default_factory=list[Redirection])
    pending: tuple[str, str] | None = None  # a redirection that waits for its target

    def add(self, word: str) -> None:
        if self.pending is not None:
            self.redirections.append(Redirection(*self.pending, word))
            self.pending = None
        else:
            self.words.append(word)


def simple_commands(text: str) -> list[SimpleCommand]:
    """The simple commands of the line in order. A quote that is never closed ends with the text."""
    commands: list[SimpleCommand] = []
    current = _Open()
    position = 0
    while position < len(text):
        operator = _operator(text, position)
        if text[position] in " \t\r":
            position += 1
        elif text[position] == "#":
            position = _end_of_line(text, position)
        elif operator in REDIRECTIONS:
            current.pending = ("", operator)
            position += len(operator)
        elif operator:
            _close(commands, current, operator)
            current = _Open()
            position += len(operator)
        else:
            word, plain, end = _word(text, position)
            after = _operator(text, end)
            if plain.isdigit() and after in REDIRECTIONS and not after.startswith("&"):
                current.pending = (plain, after)
                end += len(after)
            else:
                current.add(word)
            position = end
    _close(commands, current, "")
    return commands


def _close(commands: list[SimpleCommand], current: _Open, end: str) -> None:
    if current.words or current.redirections:
        commands.append(SimpleCommand(tuple(current.words), tuple(current.redirections), end))


def _operator(text: str, position: int) -> str:
    for operator in (*REDIRECTIONS, *SEPARATORS):
        if text.startswith(operator, position):
            return operator
    return ""


def _end_of_line(text: str, position: int) -> int:
    end = text.find("\n", position)
    return len(text) if end < 0 else end


def _word(text: str, position: int) -> tuple[str, str, int]:
    """The word that begins here with its quotes taken off, the word as it stands, and where it ends."""
    start = position
    out: list[str] = []
    while position < len(text) and text[position] not in " \t\r" and not _operator(text, position):
        character = text[position]
        if character == "'":
            end = _find(text, "'", position + 1)
            out.append(text[position + 1 : end])
            position = end + 1
        elif character == '"':
            inner, position = _double_quoted(text, position + 1)
            out.append(inner)
        elif character == "\\":
            out.append(text[position + 1 : position + 2])
            position += 2
        elif character == "`":
            end = _find(text, "`", position + 1)
            out.append(text[position : end + 1])
            position = end + 1
        elif text.startswith("$(", position):
            end = _closing(text, position + 2)
            out.append(text[position:end])
            position = end
        else:
            out.append(character)
            position += 1
    return "".join(out), text[start:position], min(position, len(text))


def _find(text: str, character: str, position: int) -> int:
    end = text.find(character, position)
    return len(text) if end < 0 else end


def _double_quoted(text: str, position: int) -> tuple[str, int]:
    out: list[str] = []
    while position < len(text) and text[position] != '"':
        if text[position] == "\\" and text[position + 1 : position + 2] in ("$", "`", '"', "\\"):
            position += 1
        out.append(text[position : position + 1])
        position += 1
    return "".join(out), position + 1


def _closing(text: str, position: int) -> int:
    """Just past the parenthesis that closes the one before `position`."""
    depth = 1
    while position < len(text) and depth:
        depth += {"(": 1, ")": -1}.get(text[position], 0)
        position += 1
    return position
