"""The commands of this program as values: which there are, and what each option takes.

Read from the Typer app itself, so that what is linted, planned and rendered follows the commands as they are added.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jobctl.schedule.finding import CommandShape


def command_shapes() -> dict[str, "CommandShape"]:
    """Those of the whole program, by their words: `ingest-branch`, `db migrate`. The command that asks was made alone,
    so it knows of no other."""
    from typer.main import get_command

    from jobctl.cli.app import app

    return shapes_below(get_command(app))


def shapes_below(command: object) -> dict[str, "CommandShape"]:
    """`command` is what typer makes of an app."""
    return dict(_walk(command, ()))


def _walk(command: object, words: tuple[str, ...]) -> Iterator[tuple[str, "CommandShape"]]:
    from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption

    from jobctl.schedule.finding import CommandShape

    if isinstance(command, TyperGroup):
        for name, inner in command.commands.items():
            yield from _walk(inner, (*words, name))
    if isinstance(command, TyperCommand) or (
        words and isinstance(command, TyperGroup) and command.invoke_without_command
    ):
        options = {"--help": False}
        arguments: int | None = 0
        for each in command.params:
            if isinstance(each, TyperOption):
                options |= dict.fromkeys((*each.opts, *each.secondary_opts), not each.is_flag)
            elif isinstance(each, TyperArgument) and arguments is not None:
                arguments = None if each.nargs < 0 else arguments + each.nargs
        yield " ".join(words), CommandShape(options, arguments)
