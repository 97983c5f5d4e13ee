"""Options that several commands share, each defined once; and those of every job's command, which it takes as one."""

import functools
import inspect
from collections.abc import Callable
from typing import Annotated, Any, Final, NamedTuple

import typer

LARGEST_NUMBER: Final = 2**63 - 1  # of a row: bigint
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
MaxRuntimeOption = Annotated[
    str | None,
    typer.Option("--max-runtime", help="End the run after this long, such as 9m.", show_default=False),
]


class JobOptions(NamedTuple):
    """What the command of every job takes behind its own options."""

    dry_run: DryRunOption = False
    max_runtime: MaxRuntimeOption = None
    scheduled: ScheduledOption = False
    correlation_id: CorrelationOption = None
    json: JsonOption = False
    verbose: VerboseOption = False
    quiet: QuietOption = False


def takes_job_options(command: Callable[..., None]) -> Callable[..., None]:
    """The command with these options, which it gets as one value: `given`."""
    own = inspect.signature(command)
    kind, defaults = inspect.Parameter.KEYWORD_ONLY, JobOptions._field_defaults
    of_jobs = [
        inspect.Parameter(name, kind, default=defaults[name], annotation=annotation)
        for name, annotation in JobOptions.__annotations__.items()
    ]
    parameters = [*(each for name, each in own.parameters.items() if name != "given"), *of_jobs]

    @functools.wraps(command)
    def called(**values: Any) -> None:
        given = JobOptions(**{name: values.pop(name) for name in JobOptions._fields})
        command(**values, given=given)

    called.__dict__["__signature__"] = own.replace(parameters=parameters)
    called.__annotations__ = {each.name: each.annotation for each in parameters}
    return called


def refuse_options_before_subcommand(context: typer.Context) -> None:
    """Before a subcommand they would be passed over in silence."""
    from jobctl.errors import UsageError

    given = [name for name, value in context.params.items() if value]
    if given:
        option = f"--{given[0].replace('_', '-')}"
        raise UsageError(
            f"{option} stands before {context.invoked_subcommand}", hint=f"write it behind {context.invoked_subcommand}"
        )
