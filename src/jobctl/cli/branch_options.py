"""How a branch is named on the command line."""

from typing import Annotated

import typer

from jobctl.cli import completion

SlugArgument = Annotated[
    str, typer.Argument(metavar="SLUG", help="The branch's short name.", autocompletion=completion.branches)
]
