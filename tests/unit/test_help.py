"""`--help` of each command says what it does, what each option is for, and has an example; and each command line that
help and pages show is one that there is."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from jobctl.cli.app import app
from jobctl.cli.command_shapes import shapes_below

PROJECT = Path(__file__).parents[2]
ROOT: Any = typer.main.get_command(app)
SHAPES = shapes_below(ROOT)
PAGES = sorted(
    path
    for pattern in ("*.md", "docs/*.md", "ops/**/*.md", "deploy/crontab", "deploy/env.example", "scripts/quickstart")
    for path in PROJECT.glob(pattern)
)
CODE = re.compile(r"^```[a-z]*\n(.*?)^```|`([^`\n]+)`", re.MULTILINE | re.DOTALL)
LINE = re.compile(r"(?<![\w.-])jobctl +(?!jobctl )(?=([a-z].*))")  # `sudo -u jobctl jobctl ...` is one
HANDED_ON = "db psql"  # its options are psql's


def walk(command: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    yield " ".join(words), command
    for name, inner in getattr(command, "commands", {}).items():
        yield from walk(inner, (*words, name))


COMMANDS = dict(walk(ROOT))
GROUPS = {name for name, command in COMMANDS.items() if hasattr(command, "commands")}


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_says_what_it_does_what_each_option_is_for_and_has_an_example(name: str) -> None:
    command = COMMANDS[name]
    assert (command.help or "").strip()
    assert [each.name for each in command.params if not each.help] == []
    shown = [line for line, _ in command_lines(command.epilog or "")]
    assert [line for line in shown if f"{line} ".startswith(f"{name} ".lstrip())] != []


@pytest.mark.parametrize("name", COMMANDS)
def test_each_whole_number_has_a_largest_one(name: str) -> None:
    """What does not fit into a column is wrong usage, and no error of the database."""
    kinds = {each: getattr(each, "type_descriptor", None) for each in COMMANDS[name].params}
    numbers = [each for each, kind in kinds.items() if kind is not None and kind.annotation in (int, list[int])]
    assert [each.name for each in numbers if each.max is None] == []


def command_lines(text: str) -> Iterator[tuple[str, str | None]]:
    """What stands behind each `jobctl` up to a comment or the next command, and the command's name, if it is one."""
    for found in LINE.findall(text):
        line = re.split(r"  +| # | \|\|? | && | > |[;)`]", found)[0].strip()
        words = [word.rstrip(".,:") for word in line.split()]
        name = next((name for n in (3, 2, 1) if (name := " ".join(words[:n])) in COMMANDS), None)
        yield line, name


def faults(text: str) -> Iterator[str]:
    """Lines of a command that there is not, or with an option that it does not have."""
    for line, name in command_lines(text):
        if name is None:
            yield f"no such command: jobctl {line}"
            continue
        rest = line.split()[len(name.split()) :]
        if name in GROUPS and name not in SHAPES:
            if rest and re.fullmatch("[a-z][a-z-]*", rest[0]):
                yield f"no such command: jobctl {line}"
            continue
        for option in options(" ".join(rest).partition(" -- ")[0]):
            if name != HANDED_ON and option not in SHAPES[name].options:
                yield f"no such option: jobctl {line}: {option}"


def options(text: str) -> list[str]:
    return re.findall(r"(?<![\w-])(--[a-z][a-z-]*|-[a-z]\b)", text)


def test_each_command_line_in_help_is_one_that_there_is() -> None:
    for name, command in COMMANDS.items():
        assert (name, list(faults(command.epilog or ""))) == (name, [])


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(PROJECT)))
def test_each_command_line_on_a_page_is_one_that_there_is(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    code = "\n".join(block or span for block, span in CODE.findall(text)) if path.suffix == ".md" else text
    assert [each for each in faults(code) if path.suffix == ".md" or "no such command" not in each] == []


def test_each_synopsis_names_all_options_of_its_command() -> None:
    pages = "\n".join(path.read_text(encoding="utf-8") for path in PAGES)
    found = re.findall(r"^jobctl ([a-z -]+?) \[?((?:-|[A-Z]+ \[).*(?:\n {4,}\[.*)*)", pages, re.MULTILINE)
    assert {"ingest-branch", "sync", "metrics", "report", "retry-failed", "work"} <= {name for name, _ in found}
    for name, synopsis in found:
        long = {each for each in SHAPES[name].options if each.startswith("--")} - {"--help", "--verbose", "--quiet"}
        assert (name, long - set(options(synopsis))) == (name, set())


def test_a_line_that_is_none_is_seen() -> None:
    shown = "jobctl sink --full; jobctl sync --ful; jobctl branch lod x && jobctl run --retries 2 a -- b --any"
    assert list(faults(shown)) == [
        "no such command: jobctl sink --full",
        "no such option: jobctl sync --ful: --ful",
        "no such command: jobctl branch lod x",
    ]
