"""`jobctl branch add`: a branch's definition, from options and a file, laid over the one there is."""

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jobctl.cli.branch_options import SlugArgument
from jobctl.cli.options import JsonOption
from jobctl.cli.render import print_json, print_text
from jobctl.cli.session import current_settings, open_database
from jobctl.errors import DataError, JobctlError, UsageError

if TYPE_CHECKING:
    from jobctl.branches.branch import Definition

EXAMPLE = (
    "Example: jobctl branch add shops --title 'Shops of the north' --map record_id=id --map name=title "
    "--map city=address.city --map country==DE --freshness 1d"
)
_NOTHING = "none"
_MAP_FILE_BYTES = 1_000_000


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
