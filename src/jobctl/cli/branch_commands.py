"""jobctl branch: register sources of records, load their files, and look after what was refused."""

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jobctl.cli import completion
from jobctl.cli.options import DryRunOption, JsonOption, QuietOption, YesOption
from jobctl.cli.render import note, print_json, print_text
from jobctl.cli.session import current_settings, open_database
from jobctl.errors import DataError, Interrupted, JobctlError, UsageError

if TYPE_CHECKING:
    from jobctl.branches.branch import Branch, Definition
    from jobctl.branches.load import Mapped
    from jobctl.db.connection import Database

app = typer.Typer(
    help="Branches are the sources of records: register one, load its files, activate it.",
    epilog="Example: jobctl branch add airports --map-file examples/airports.map.json; "
    "jobctl branch load airports examples/airports.csv.gz; jobctl branch activate airports",
    no_args_is_help=True,
    rich_markup_mode=None,
)
SlugArgument = Annotated[
    str, typer.Argument(metavar="SLUG", help="The branch's short name.", autocompletion=completion.branches)
]
ReasonOption = Annotated[str | None, typer.Option("--reason", help="Only rejects of this reason.")]

_NOTHING = "none"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MAP_FILE_BYTES = 1_000_000


@app.command(
    epilog="Example: jobctl branch add shops --title 'Shops of the north' --map record_id=id --map name=title "
    "--map city=address.city --map country==DE --freshness 1d"
)
def add(
    slug: SlugArgument,
    title: Annotated[str | None, typer.Option("--title", help="What people call it (default: the slug).")] = None,
    mapped: Annotated[
        list[str] | None,
        typer.Option(
            "--map",
            metavar="OURS=SOURCE",
            help="Where the source has our field: a name, outer.inner, or =constant. Repeatable; OURS= removes one.",
        ),
    ] = None,
    map_file: Annotated[
        Path | None, typer.Option("--map-file", help='The field map as a JSON object: {"record_id": "id", ...}.')
    ] = None,
    country: Annotated[
        str | None, typer.Option("--country", help="Country of records without one, as DE; none takes it back.")
    ] = None,
    freshness: Annotated[
        str | None, typer.Option("--freshness", help="A new load is expected this often: 2h, 1d; none takes it back.")
    ] = None,
    max_withdraw_share: Annotated[
        float | None, typer.Option("--max-withdraw-share", help="Share that one full load may withdraw (default 0.2).")
    ] = None,
    update: Annotated[
        bool, typer.Option("--update", help="Change a branch that exists; what is not given stays.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Register or change a branch.

    Says what it is called, and where its records have our fields."""
    from jobctl.branches import store
    from jobctl.branches.branch import Definition, check_slug, parse_field_map

    check_slug(slug)
    from_file = _read_map_file(map_file) if map_file is not None else None
    given = parse_field_map(mapped or [])
    settings = current_settings()
    with open_database(settings).connect(purpose="branch add") as conn:
        existing = store.get(conn, slug)
        base = existing.definition if existing else None
        field_map = dict(base.field_map) if base and from_file is None else dict(from_file or {})
        field_map = {ours: source for ours, source in (field_map | given).items() if source}
        wanted = Definition(
            slug=slug,
            title=title if title is not None else base.title if base else slug,
            field_map=field_map,
            default_country=_country(country, base),
            expected_freshness=_freshness(freshness, base),
            max_withdraw_share=max_withdraw_share
            if max_withdraw_share is not None
            else base.max_withdraw_share
            if base
            else settings.max_withdraw_share,
        )
        _check_field_map(wanted)
        if existing is None:
            result, branch = "added", store.insert(conn, wanted)
        elif wanted == existing.definition:
            result, branch = "unchanged", existing
        elif not update:
            raise UsageError(
                f"branch {slug!r} exists with another definition ({_difference(existing.definition, wanted)})",
                hint="to change it, add --update",
            )
        else:
            result, branch = "updated", store.update(conn, wanted, schema_version=existing.schema_version)
    if branch is None:
        raise JobctlError(f"branch {slug!r} was changed by another process meanwhile", hint="try again")
    if json:
        from jobctl.cli.branch_views import branch_object

        print_json({"result": result, **branch_object(branch)})
        return
    print_text(f"Branch {slug} {'is unchanged' if result == 'unchanged' else 'was ' + result}.")
    if existing and result == "updated" and existing.field_map["record_id"] != branch.field_map["record_id"]:
        print_text(f"Its records have other keys now: load its file again, jobctl branch load {slug} FILE --full")
    elif branch.loaded_at is None:
        print_text(f"Next: jobctl branch load {slug} FILE")


@app.command("list", epilog="Example: jobctl branch list --json")
def list_(
    active: Annotated[bool, typer.Option("--active", help="Only activated ones.")] = False,
    json: JsonOption = False,
) -> None:
    """List the branches."""
    from jobctl.branches import store
    from jobctl.cli import branch_views

    with _database().connect(purpose="branch list") as conn:
        branches = store.list_branches(conn, active=True if active else None)
    if json:
        print_json({"items": [branch_views.branch_object(branch) for branch in branches], "next": None})
    else:
        branch_views.print_branches(branches)


@app.command(epilog="Example: jobctl branch show airports")
def show(slug: SlugArgument, json: JsonOption = False) -> None:
    """Show a branch and what it holds.

    Its definition, records, rejects and last loads, and how far it was ingested."""
    from dataclasses import asdict

    from jobctl.branches import records, rejects, store
    from jobctl.cli import branch_views
    from jobctl.items import store as items
    from jobctl.runtime import checkpoints

    with _database().connect(purpose="branch show") as conn:
        branch = store.require(conn, slug)
        loads = store.recent_loads(conn, branch.branch_id)
        checkpoint = checkpoints.get(conn, "ingest-branch", slug)
        shown: dict[str, Any] = {
            **branch_views.branch_object(branch),
            "records": asdict(records.count(conn, branch.branch_id)),
            "items": {"live": items.count_live(conn, branch.branch_id)},
            "rejects_open": rejects.count_open(conn, branch.branch_id),
            "loads": [branch_views.load_object(load) for load in loads],
            "checkpoint": checkpoint._asdict() if checkpoint else None,
        }
    if json:
        print_json(shown)
    else:
        branch_views.print_branch(branch, shown, loads)


@app.command(epilog="Example: zcat shops.csv.gz | jobctl branch load shops - --format csv --full")
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
    database = _database()
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


@app.command(epilog="Example: jobctl branch activate airports")
def activate(slug: SlugArgument, json: JsonOption = False) -> None:
    """Have runs read a branch.

    ingest-branch without --branch reads all activated ones."""
    branch, changed = _set_active(slug, active=True)
    if json:
        print_json({"slug": slug, "active": True, "changed": changed})
        return
    print_text(f"Branch {slug} is activated{'' if changed else ' already'}.")
    print_text(
        f"Next: jobctl ingest-branch --branch {slug}" if branch.loaded_at else f"Next: jobctl branch load {slug} FILE"
    )


@app.command(epilog="Example: jobctl branch deactivate airports")
def deactivate(slug: SlugArgument, json: JsonOption = False) -> None:
    """Have no run read a branch.

    Its records and items stay."""
    _, changed = _set_active(slug, active=False)
    if json:
        print_json({"slug": slug, "active": False, "changed": changed})
    else:
        print_text(f"Branch {slug} is deactivated{'' if changed else ' already'}.")


@app.command(epilog="Example: jobctl branch rejects airports --reason missing_field --export rejects.ndjson")
def rejects(
    slug: SlugArgument,
    reason: ReasonOption = None,
    by_reason: Annotated[bool, typer.Option("--by-reason", help="Count them by reason and field.")] = False,
    resolved: Annotated[bool, typer.Option("--all", help="Also those that were resolved since.")] = False,
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000, help="Rejects on a page.")] = 50,
    after: Annotated[int, typer.Option("--after", min=0, help="Those after this id: the page's `next`.")] = 0,
    export: Annotated[
        str | None, typer.Option("--export", metavar="FILE", help="Write all of them as NDJSON; - is stdout.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """List, count or export refused records.

    What ingest refused, with the reason and the raw record."""
    from dataclasses import asdict

    from jobctl.branches import rejects as store_of_rejects
    from jobctl.branches import store
    from jobctl.cli import branch_views

    if export == "-" and json:
        raise UsageError("--export - and --json both want stdout", hint="leave --json out: the export is NDJSON")
    with _database().connect(purpose="branch rejects") as conn:
        branch = store.require(conn, slug)
        if export is not None:
            from jobctl.cli.reject_export import export_rejects

            found = store_of_rejects.iterate(conn, branch.branch_id, reason=reason, resolved=resolved)
            exported = export_rejects(found, export)
            if json:
                print_json({"branch": slug, "exported": exported, "file": export})
            elif export != "-":
                print_text(f"Wrote {exported:,} rejects to {export}.")
            return
        if by_reason:
            reasons = store_of_rejects.count_by_reason(conn, branch.branch_id, reason=reason, resolved=resolved)
            if json:
                print_json({"items": [asdict(each) for each in reasons], "next": None})
            else:
                branch_views.print_reasons(reasons)
            return
        page = store_of_rejects.list_rejects(
            conn, branch.branch_id, reason=reason, after=after, limit=limit + 1, resolved=resolved
        )
    shown = page[:limit]
    following = shown[-1].reject_id if len(page) > limit else None
    if json:
        print_json({"items": [branch_views.reject_object(reject) for reject in shown], "next": following})
        return
    branch_views.print_rejects(shown)
    if following is not None:
        again = f" --reason {reason}" if reason else ""
        note(f"More: jobctl branch rejects {slug}{again} --limit {limit} --after {following}")


@app.command(
    epilog="Example: jobctl branch replay airports --reason no_such_date && jobctl ingest-branch --branch airports"
)
def replay(
    slug: SlugArgument,
    reason: ReasonOption = None,
    now: Annotated[bool, typer.Option("--now", help="Run ingest-branch for this branch at once.")] = False,
    json: JsonOption = False,
) -> None:
    """Have refused records judged again, after the field map or the code was mended.

    The next ingest-branch reads them; with --now it runs at once, and --json prints its report."""
    from jobctl.branches import store
    from jobctl.branches.replay import mark_for_replay

    database = _database()
    with database.connect(purpose="branch replay") as conn:
        branch = store.require(conn, slug)
    marked = mark_for_replay(database, branch, reason=reason)
    if now:
        from jobctl.cli.job_commands import ingest_branch

        ingest_branch(branch=[slug], json=json, verbose=not json)
    elif json:
        print_json({"branch": slug, "reason": reason, "marked": marked})
    elif marked:
        print_text(f"{marked:,} rejects will be judged again. Next: jobctl ingest-branch --branch {slug}")
    else:
        print_text("There are no open rejects to judge again.")


@app.command(epilog="Example: jobctl branch deactivate shops && jobctl branch remove shops --yes")
def remove(slug: SlugArgument, yes: YesOption = False, json: JsonOption = False) -> None:
    """Remove a branch and all that is its.

    Its records, rejects, items and their waiting tasks. There is no way back."""
    from dataclasses import asdict

    from jobctl.branches import store
    from jobctl.branches.removal import remove as remove_branch

    database = _database()
    with database.connect(purpose="branch remove") as conn:
        branch = store.require(conn, slug)
    if not yes:
        raise UsageError(
            f"nothing was removed: branch {slug!r} would go with all its records and items", hint="add --yes"
        )
    removed = remove_branch(database, branch)
    if json:
        print_json({"slug": slug, "removed": asdict(removed)})
    else:
        print_text(
            f"Removed branch {slug}: {removed.records:,} records, {removed.items:,} items, "
            f"{removed.rejects:,} rejects, {removed.tasks:,} waiting tasks."
        )


def _database() -> "Database":
    return open_database(current_settings())


def _set_active(slug: str, *, active: bool) -> "tuple[Branch, bool]":
    from jobctl.branches import store
    from jobctl.branches.locking import lock_branch
    from jobctl.db.sqlstate import translated

    database = _database()
    with translated(), database.connect(purpose="branch activate") as conn, database.transaction(conn):
        branch = store.require(conn, slug)
        if branch.active == active:
            return branch, False
        lock_branch(conn, branch)
        return branch, store.set_active(conn, branch.branch_id, active=active)


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


def _check_field_map(definition: "Definition") -> None:
    from jobctl.items.record import compile_field_map

    try:
        compile_field_map(definition.field_map)
    except DataError as error:
        raise UsageError(error.message, hint=error.hint or "see: jobctl branch add --help") from error


def _read_map_file(path: Path) -> dict[str, str]:
    import json
    from typing import cast

    try:
        with path.open("rb") as file:
            found: object = json.loads(file.read(_MAP_FILE_BYTES))
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}", hint="--map-file names a JSON file") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(
            f"{path} is not JSON: {error}", hint='it holds {"record_id": "id", "name": "title"}'
        ) from error
    if not isinstance(found, dict) or not all(
        isinstance(value, str) for value in cast("dict[str, object]", found).values()
    ):
        raise UsageError(f"{path} holds no object of texts", hint='it holds {"record_id": "id", "name": "title"}')
    return cast("dict[str, str]", found)


def _country(given: str | None, base: "Definition | None") -> str | None:
    if given is None:
        return base.default_country if base else None
    return None if given == _NOTHING else given


def _freshness(given: str | None, base: "Definition | None") -> timedelta | None:
    from jobctl.branches.branch import parse_freshness

    if given is None:
        return base.expected_freshness if base else None
    return None if given == _NOTHING else parse_freshness(given)


def _difference(old: "Definition", new: "Definition") -> str:
    from dataclasses import asdict

    before, after = asdict(old), asdict(new)
    return ", ".join(name for name in before if before[name] != after[name]) + " differ"


def _format(given: str | None) -> Any:
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
