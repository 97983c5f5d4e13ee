"""jobctl branch: register sources of records, load their files, and look after what was refused."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from jobctl.cli import branch_add, branch_load, branch_rejects
from jobctl.cli.branch_options import SlugArgument
from jobctl.cli.options import JsonOption, YesOption
from jobctl.cli.render import print_json, print_text
from jobctl.cli.session import current_settings, open_database
from jobctl.errors import UsageError

if TYPE_CHECKING:
    from jobctl.branches.branch import Branch
    from jobctl.db.connection import Database

app = typer.Typer(
    help="Branches are the sources of records: register one, load its files, activate it.",
    epilog="Example: jobctl branch add airports --map-file examples/airports.map.json; "
    "jobctl branch load airports examples/airports.csv.gz; jobctl branch activate airports",
    no_args_is_help=True,
    rich_markup_mode=None,
)


app.command(epilog=branch_add.EXAMPLE)(branch_add.add)


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


app.command(epilog=branch_load.EXAMPLE)(branch_load.load)


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


app.command(epilog=branch_rejects.REJECTS_EXAMPLE)(branch_rejects.rejects)
app.command(epilog=branch_rejects.REPLAY_EXAMPLE)(branch_rejects.replay)


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
