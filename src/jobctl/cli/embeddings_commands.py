"""jobctl embeddings: how it stands with the items' vectors, having them made anew, their index."""

from typing import TYPE_CHECKING, Annotated

import typer

from jobctl.cli import completion
from jobctl.cli.options import DryRunOption, JsonOption
from jobctl.cli.render import print_json, print_table, print_text
from jobctl.cli.session import current_settings, open_database

if TYPE_CHECKING:
    import psycopg

    from jobctl.embeddings.status import Standing

app = typer.Typer(
    help="Embeddings are the vectors by which items are found by their meaning.",
    epilog="Example: jobctl embeddings status; jobctl work --type embed; jobctl items search 'airfield in the Alps'",
    no_args_is_help=True,
    rich_markup_mode=None,
)
BranchOption = Annotated[
    str | None,
    typer.Option(
        "--branch",
        metavar="SLUG",
        help="Only items of this branch.",
        show_default=False,
        autocompletion=completion.branches,
    ),
]
ModelVersionOption = Annotated[
    str | None,
    typer.Option("--model-version", help="Another one than JOBCTL_EMBED_MODEL_VERSION.", show_default=False),
]


@app.command(epilog="Example: jobctl embeddings status --json")
def status(json: JsonOption = False) -> None:
    """How many items are embedded, wait, failed or are stale, by branch and model version."""
    from datetime import timedelta

    from jobctl import clock
    from jobctl.embeddings import index, store
    from jobctl.embeddings.status import standing

    settings = current_settings()
    current = settings.embed_model_version
    with open_database(settings).connect(purpose="embeddings status") as conn:
        found = standing(conn, model_version=current, hour_ago=clock.utc_now() - timedelta(hours=1))
        known = store.model(conn, current)
        made = index.find(conn, current)
        storage = "array" if store.extension_schema(conn) is None else "pgvector"
    is_indexed = made is not None and made.is_valid
    if json:
        print_json(
            {
                "items": [_standing_object(each) for each in found],
                "next": None,
                "model_version": current,
                "model": known.model if known else None,
                "dimensions": known.dimensions if known else None,
                "storage": storage,
                "indexed": is_indexed,
            }
        )
        return
    if not found:
        print_text("There are no items yet: jobctl ingest-branch")
        return
    columns = ("branch", "items", "embedded", "pending", "failed", "stale", "missing", "per s", "model version")
    print_table("", columns, [_standing_row(each) for each in found])
    model = f"{known.model}, {known.dimensions} dimensions" if known else "no vectors yet"
    print_text(f"{current} ({model}; {storage}{', indexed' if is_indexed else ''})")
    for line in _advice(found):
        print_text(line)


@app.command(epilog="Example: jobctl embeddings reembed --branch airports --dry-run")
def reembed(
    branch: BranchOption = None,
    model_version: ModelVersionOption = None,
    failed: Annotated[bool, typer.Option("--failed", help="Only items whose task failed for good.")] = False,
    dry_run: DryRunOption = False,
    json: JsonOption = False,
) -> None:
    """Queue every item that lacks a current vector, and take back waiting tasks of other model versions.

    For after a change of JOBCTL_EMBED_MODEL_VERSION, and after failures; what is new or changed, ingest queues."""
    from jobctl.jobs.reembed import reembed as reembed_items

    settings = current_settings()
    wanted = _checked(model_version) or settings.embed_model_version
    database = open_database(settings)
    with database.connect(purpose="embeddings reembed") as conn:
        branch_id = branch_id_of(conn, branch)
    done = reembed_items(database, model_version=wanted, branch_id=branch_id, failed=failed, dry_run=dry_run)
    if json:
        print_json(
            {"branch": branch, "model_version": wanted, "failed_only": failed, "dry_run": dry_run, **done._asdict()}
        )
        return
    told = f"{done.queued:,} items queued for {wanted}, {done.cancelled:,} tasks of other model versions cancelled"
    print_text(told + (" (dry run: nothing was written)" if dry_run else ""))
    if wanted != settings.embed_model_version:
        print_text(f"They wait for a worker whose JOBCTL_EMBED_MODEL_VERSION is {wanted}; here it is not.")
    elif done.queued and not dry_run:
        print_text("Next: jobctl work --type embed")


@app.command(
    epilog="Example: jobctl embeddings index; later, before a million new items: jobctl embeddings index --drop"
)
def index(
    model_version: ModelVersionOption = None,
    drop: Annotated[bool, typer.Option("--drop", help="Remove it: searches are exact again, writes cheap.")] = False,
    json: JsonOption = False,
) -> None:
    """Make the search index of a model version, beside whoever reads and writes.

    Worth it from about 100,000 items on. Needs pgvector and the right to create."""
    from jobctl.db.sqlstate import translated
    from jobctl.embeddings import index as indexes

    settings = current_settings()
    wanted = _checked(model_version) or settings.embed_model_version
    database = open_database(settings)
    if drop:
        from jobctl.db.connection import NO_LIMITS

        with translated(), database.connect(limits=NO_LIMITS, purpose="embeddings index") as conn:
            dropped = indexes.drop(conn, wanted)
        if json:
            print_json({"model_version": wanted, "index": None, "bytes": 0, "dropped": dropped})
        else:
            print_text(f"The index of {wanted} " + ("was removed." if dropped else "was not there."))
        return
    with translated():
        made = indexes.create(database, wanted)
    if json:
        print_json({"model_version": wanted, "index": made.name, "bytes": made.bytes, "dropped": False})
    else:
        print_text(f"The index of {wanted} is there: core.{made.name}, {made.bytes / 1e6:,.0f} MB.")


def branch_id_of(conn: "psycopg.Connection", slug: str | None) -> int | None:
    """Raises UsageError with the nearest names when there is no such branch."""
    if slug is None:
        return None
    from jobctl.branches import store

    return store.require(conn, slug).branch_id


def _checked(model_version: str | None) -> str | None:
    if model_version is None:
        return None
    import re

    from jobctl.errors import UsageError

    # As the setting has it: printable, no space, no backslash.
    if not re.fullmatch(r"[!-\[\]-~]+", model_version):
        raise UsageError(f"{model_version!r} is no model version", hint="letters, digits and signs without spaces")
    return model_version


def _standing_object(each: "Standing") -> dict[str, object]:
    return {
        "branch": each.branch,
        "model_version": each.model_version,
        "current": each.is_current,
        "items": each.items,
        "embedded": each.embedded,
        "pending": each.pending,
        "failed": each.failed,
        "stale": each.stale,
        "missing": each.missing,
        "embedded_last_hour": each.last_hour,
        "per_s": round(each.per_s, 1) if each.per_s is not None else None,
    }


def _standing_row(each: "Standing") -> tuple[object, ...]:
    numbers = (each.items, each.embedded, each.pending, each.failed, each.stale, each.missing)
    rate = f"{each.per_s:,.0f}" if each.per_s else ""
    return (each.branch, *(f"{n:,}" for n in numbers), rate, "current" if each.is_current else each.model_version)


def _advice(found: "list[Standing]") -> list[str]:
    """The way out of what the table shows."""
    current = [each for each in found if each.is_current]
    lines: list[str] = []
    if any(each.pending for each in current):
        lines.append("What is pending is done by: jobctl work --type embed")
    if any(each.stale or each.missing for each in current):
        lines.append("What is stale or missing gets a task by: jobctl embeddings reembed")
    if any(each.failed for each in current):
        lines.append("What failed gets another one by: jobctl embeddings reembed --failed")
    return lines
