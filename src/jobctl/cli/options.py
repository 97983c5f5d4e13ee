"""Options that several commands share, each defined once."""

from typing import Annotated

import typer

JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do it without asking.")]
DryRunOption = Annotated[
    bool, typer.Option("--dry-run", help="Run the real code, roll back, and show what would be done.")
]
VerboseOption = Annotated[bool, typer.Option("--verbose", "-v", help="Say more, also without a terminal.")]
ScheduledOption = Annotated[
    bool,
    typer.Option("--scheduled", help="This start answers for a slot of the installed schedule; cron's lines say so."),
]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")]
CorrelationOption = Annotated[
    str | None,
    typer.Option("--correlation-id", help="Name this run in logs, history and sessions (default: its id)."),
]
