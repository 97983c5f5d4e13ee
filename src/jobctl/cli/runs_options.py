"""How a run is named on the command line."""

from typing import Annotated

import typer

from jobctl.cli import completion

HELP = "Its id or the beginning of it; last; or a job, JOB/SCOPE or wrapped command, which is its last run."
RunArgument = Annotated[str, typer.Argument(metavar="RUN", help=HELP, autocompletion=completion.runs)]
RunningArgument = Annotated[str, typer.Argument(metavar="RUN", help=HELP, autocompletion=completion.running)]
