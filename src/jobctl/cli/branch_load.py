"""`jobctl branch load`: a file into a branch."""

import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from jobctl.cli.branch_options import SlugArgument
from jobctl.cli.options import DryRunOption, JsonOption, QuietOption
from jobctl.cli.render import print_json
from jobctl.cli.session import current_settings, open_database
from jobctl.errors import Interrupted, UsageError

if TYPE_CHECKING:
    from jobctl.branches.branch import Branch
    from jobctl.branches.load import Mapped
    from jobctl.branches.readers import Format

EXAMPLE = "Example: zcat shops.csv.gz | jobctl branch load shops - --format csv --full"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def load(
    slug: SlugArgument,
    file: Annotated[str, typer.Argument(metavar="FILE", help="CSV, NDJSON or a JSON array, gzip or not; - is stdin.")],
    fmt: Annotated[
        str | None, typer.Option("--format", help="csv, ndjson or json (default: by name, else by the first byte).")
    ] = None,
    delimiter: Annotated[
        str | None, typer.Option("--delimiter", help="Of CSV fields (default: the likeliest of , ; tab |).")
    ] = None,
    full: Annotated[
        bool, typer.Option("--full", help="The file holds all there is: records missing from it are withdrawn.")
    ] = False,
    max_withdraw_share: Annotated[
        float | None, typer.Option("--max-withdraw-share", help="Share that this load may withdraw, for once.")
    ] = None,
    dry_run: DryRunOption = False,
    quiet: QuietOption = False,
    json: JsonOption = False,
) -> None:
    """Load a file into a branch.

    All of it or nothing, and only what differs is written."""
    from signal import SIGINT

    from jobctl.branches import store
    from jobctl.branches.branch import check_share
    from jobctl.branches.load import load as load_file
    from jobctl.cli import branch_views
    from jobctl.cli.load_progress import load_progress

    wanted = _format(fmt)
    if max_withdraw_share is not None:
        check_share(max_withdraw_share)
    database = open_database(current_settings())
    with database.connect(purpose="branch load") as conn:
        branch = store.require(conn, slug)
    try:
        with load_progress(sys.stderr.isatty() and not (json or quiet)) as progress:
            report = load_file(
                database,
                branch,
                file,
                _mapped(branch),
                fmt=wanted,
                delimiter=_delimiter(delimiter),
                full=full,
                max_withdraw_share=max_withdraw_share,
                dry_run=dry_run,
                progress=progress,
            )
    except KeyboardInterrupt:
        raise Interrupted(f"the load was stopped; branch {slug!r} is as it was before", signal_number=SIGINT) from None
    if json:
        print_json(branch_views.report_object(report, branch))
    elif not quiet:
        branch_views.print_report(report, branch)


def _mapped(branch: "Branch") -> "Mapped":
    """Key and version of a record, as the branch's field map has them."""
    from jobctl.branches.load import Mapped
    from jobctl.items.record import Valid, compile_field_map

    validator = compile_field_map(branch.field_map)
    if "updated_at" not in branch.field_map:
        return Mapped(validator.key_of, None, validator.missing_in)
    # What else is wrong with a record does not matter to its version.
    dated = compile_field_map({ours: branch.field_map[ours] for ours in ("record_id", "name", "updated_at")})

    def version_of(payload: str) -> int | None:
        found = dated.validate(payload)
        if not isinstance(found, Valid) or found.source_updated_at is None:
            return None
        return (found.source_updated_at - _EPOCH) // timedelta(microseconds=1)

    return Mapped(validator.key_of, version_of, validator.missing_in)


def _format(given: str | None) -> "Format | None":
    from jobctl.branches.readers import Format

    if given is None:
        return None
    try:
        return Format(given.lower())
    except ValueError:
        raise UsageError(f"{given!r} is no format", hint="--format csv, ndjson or json") from None


def _delimiter(given: str | None) -> str | None:
    if given is None:
        return None
    delimiter = {"tab": "\t", "\\t": "\t"}.get(given.lower(), given)
    if len(delimiter) != 1 or delimiter in '"\r\n' or not delimiter.isascii():
        raise UsageError(f"{given!r} is no delimiter", hint="one character, or tab")
    return delimiter
