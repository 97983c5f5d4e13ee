"""jobctl export: what the database tells, for other programs to read."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jobctl.cli.options import JsonOption, VerboseOption

if TYPE_CHECKING:
    from jobctl.monitor.prometheus.export import Export

app = typer.Typer(
    help="The state of jobs, queue, branches, projects, alerts and database for other programs.",
    epilog="Example: jobctl export prometheus --textfile /var/lib/prometheus/node-exporter/jobctl.prom",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.callback()(lambda: None)  # so that it stays a group while it has one command

EXAMPLE = """Examples:\n
\b
  jobctl export prometheus                            the metrics as text
  jobctl export prometheus --textfile /var/lib/prometheus/node-exporter/jobctl.prom
  * * * * *  jobctl export prometheus --textfile /var/lib/prometheus/node-exporter/jobctl.prom
  jobctl export prometheus --json | jq '.items[] | select(.name == "jobctl_job_last_success")'
"""
# A minute's line must not still be running when the next one comes.
LIMIT_MS = 10_000


@app.command(epilog=EXAMPLE)
def prometheus(
    textfile: Annotated[
        Path | None,
        typer.Option(
            "--textfile", metavar="PATH", help="Replace this .prom file instead of printing.", show_default=False
        ),
    ] = None,
    json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Print all metrics as of one moment, or replace a file of node exporter's textfile collector.

    Reads only. What the role may not read is left out and told by jobctl_export_section_seen."""
    from jobctl.cli.render import note, print_as_it_is, print_json
    from jobctl.cli.session import current_settings, open_database
    from jobctl.monitor.prometheus import export

    if textfile is not None:
        _check(textfile)
    database = open_database(current_settings())
    with database.connect(purpose="export") as conn:
        found = export.gather(database, conn, limit_ms=LIMIT_MS)
    text = export.render(found)
    if textfile is not None:
        _replace(textfile, text)
    if json:
        print_json({**as_json(found), "textfile": textfile, "bytes": len(text)})
    elif textfile is None:
        print_as_it_is(text.decode().removesuffix("\n"))
    if verbose:
        for each in found.unseen:
            note(f"not seen: {each.what}: {each.why}")


def as_json(found: "Export") -> dict[str, object]:
    return {
        "at": found.at,
        "items": [
            {
                "name": metric.name,
                "kind": metric.kind,
                "help": metric.help,
                "samples": [
                    {"labels": dict(zip(metric.labels, each.labels, strict=True)), "value": float(each.value)}
                    for each in samples
                ],
            }
            for metric, samples in found.families()
        ],
        "next": None,
        "unseen": [each._asdict() for each in found.unseen],
    }


def _check(textfile: Path) -> None:
    from jobctl.errors import UsageError

    if textfile.suffix != ".prom":
        raise UsageError(
            f"--textfile {str(textfile)!r} does not end in .prom", hint="the collector reads no other file"
        )
    if not textfile.parent.is_dir():
        raise UsageError(
            f"--textfile: there is no directory {str(textfile.parent)!r}",
            hint="name the one that node exporter is started with: --collector.textfile.directory",
        )


def _replace(textfile: Path, text: bytes) -> None:
    from jobctl.errors import JobctlError
    from jobctl.replaced_file import replace

    try:
        replace(textfile, text)
    except OSError as error:
        raise JobctlError(
            f"{textfile} cannot be written: {error.strerror}", hint="the file that was there is unchanged"
        ) from error
